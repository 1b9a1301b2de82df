"""Which SQL a pipeline may be, and what the rest is told."""

from __future__ import annotations

import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis import given

from edge.bindings.pipelines.sql.not_supported import AGGREGATES, WINDOW_FUNCTIONS
from edge.bindings.pipelines.sql.statements import PROBLEM_COUNT_MAX, SqlError, parse_pipeline

ACCEPTED = [
    "SELECT * FROM s",
    "SELECT s.* FROM s",
    "SELECT t.* FROM s AS t",
    "SELECT t.* FROM s t",
    "SELECT *, 1 AS one FROM s",
    "SELECT a FROM s",
    "SELECT a AS b, c d FROM s",
    'SELECT "camelCase" FROM s',
    "SELECT a FROM s WHERE a > 1 AND NOT b OR c IS NOT NULL",
    "SELECT a FROM s WHERE a IS DISTINCT FROM b",
    "SELECT a FROM s WHERE a BETWEEN 1 AND 2 AND b NOT BETWEEN 3 AND 4",
    "SELECT a FROM s WHERE a IN (1, 2) AND b NOT IN ('x')",
    "SELECT a FROM s WHERE a LIKE 'x%' ESCAPE '!' OR a NOT ILIKE 'y'",
    "SELECT a FROM s WHERE a SIMILAR TO 'x' OR a ~ 'x' OR a !~* 'y'",
    "SELECT a FROM s WHERE random() < 0.1",
    "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END AS c FROM s",
    "SELECT CASE a WHEN 1 THEN 'x' END AS c FROM s",
    "SELECT CAST(a AS BIGINT) AS x, TRY_CAST(b AS DECIMAL(10, 2)) AS y FROM s",
    "SELECT a::int AS x, b::TIMESTAMP WITH TIME ZONE AS y, c::int[] AS z, d::DOUBLE PRECISION AS w FROM s",
    "SELECT extract(day FROM a) AS x FROM s",
    "SELECT position('c' IN a) AS x FROM s",
    "SELECT overlay(a PLACING 'x' FROM 2 FOR 4) AS x FROM s",
    "SELECT trim(BOTH 'x' FROM a) AS x, trim(a) AS y, substring(a FROM 2 FOR 3) AS z FROM s",
    "SELECT left(a, 2) AS x, right(a, 2) AS y FROM s",
    "SELECT INTERVAL '1' MONTH AS x, INTERVAL '15 minutes' AS y, DATE '2024-01-01' AS d FROM s",
    "SELECT a AT TIME ZONE 'UTC' AS x FROM s",
    "SELECT [1, 2] AS x, ARRAY[1] AS y, struct(1, 'b') AS z, {'a': 1} AS w, [] AS v FROM s",
    "SELECT items[1].sku AS x, items[1]['sku'] AS y, items[1:2] AS z FROM s",
    "SELECT address.city AS x, s.address.city AS y FROM s",
    "SELECT value->'a'->>'b' AS x, value ? 'c' AS y FROM s",
    "SELECT unnest(items) AS item FROM s",
    "SELECT upper(unnest(items)) AS item, a FROM s",
    "SELECT now() AS x, current_date AS y, current_timestamp AS z FROM s",
    "SELECT -a AS x, +b AS y, a - -1 AS z, a || 'x' AS w, a % 2 AS v, a ^ 2 AS u FROM s",
    "SELECT X'A123' AS x, E'a\\nb' AS y, 1e3 AS z, .5 AS w FROM s",
    "WITH t AS (SELECT a FROM s) SELECT a FROM t",
    "WITH t AS (SELECT a FROM s), u AS (SELECT * FROM t WHERE a > 1) SELECT a + 1 AS b FROM u",
    "WITH s AS (SELECT a FROM s) SELECT a FROM s",
    "SELECT a FROM (SELECT a, b FROM s WHERE b) AS t WHERE a > 1",
    "SELECT a FROM (WITH t AS (SELECT * FROM s) SELECT * FROM t) u",
    "SELECT /* one; */ a -- two; three\nFROM s",
    "SELECT 'x;y' AS a, ';' AS \"b;c\" FROM s",
    "select a from s where b",
    "SELECT date, time, timestamp, type FROM s",
]


@pytest.mark.parametrize("select", ACCEPTED)
def test_supported_shape_is_accepted(select: str) -> None:
    (insert,) = parse_pipeline(f"INSERT INTO k {select}")
    assert (insert.sink, insert.stream) == ("k", "s")
    assert insert.select == select


REFUSED = [
    # (statement, what the message begins with, what is at the position; "" is the end)
    ("SELECT a FROM s", "A pipeline writes somewhere", "SELECT"),
    ("WITH t AS (SELECT 1) INSERT INTO k SELECT a FROM t", "WITH goes after the sink's name", "WITH"),
    ("CREATE TABLE t (a INT)", "CREATE is not supported", "CREATE"),
    ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE is not supported", "CREATE"),
    ("INSERT INTO k SELECT a FROM s; DROP TABLE s", "DROP is not supported", "DROP"),
    ("ALTER TABLE s ADD a INT", "ALTER is not supported", "ALTER"),
    ("COPY s TO 'x.csv'", "COPY is not supported", "COPY"),
    ("EXPLAIN INSERT INTO k SELECT a FROM s", "EXPLAIN is not supported", "EXPLAIN"),
    ("ANALYZE s", "ANALYZE is not supported", "ANALYZE"),
    ("DESCRIBE s", "DESCRIBE is not supported", "DESCRIBE"),
    ("DELETE FROM s", "DELETE is not supported", "DELETE"),
    ("UPDATE s SET a = 1", "UPDATE is not supported", "UPDATE"),
    ("MERGE INTO s USING t ON 1", "MERGE is not supported", "MERGE"),
    ("TRUNCATE TABLE s", "TRUNCATE is not supported", "TRUNCATE"),
    ("SET x = 1", "SET is not supported", "SET"),
    ("SHOW TABLES", "SHOW is not supported", "SHOW"),
    ("VALUES (1)", "VALUES is not supported", "VALUES"),
    ("PREPARE p AS SELECT 1", "PREPARE is not supported", "PREPARE"),
    ("BEGIN", "BEGIN is not supported", "BEGIN"),
    ("", "There is no statement", ""),
    (" ; -- nothing\n", "There is no statement", ""),
    ("hello", "Expected INSERT", "hello"),
    ("INSERT k SELECT a FROM s", "Expected INTO", "k"),
    ("INSERT OVERWRITE k SELECT a FROM s", "INSERT OVERWRITE is not supported", "OVERWRITE"),
    ("INSERT INTO SELECT a FROM s", "Expected the name of a sink", "SELECT"),
    ("INSERT INTO k (a) SELECT a FROM s", "A column list after the sink's name", "("),
    ("INSERT INTO c.k SELECT a FROM s", "A sink has no catalog", "c.k"),
    ("INSERT INTO k VALUES (1)", "VALUES is not supported", "VALUES"),
    ("INSERT INTO k (SELECT a FROM s)", "A column list after the sink's name", "("),
    ("INSERT INTO k SELECT a", "Expected FROM a_stream", ""),
    ("INSERT INTO k SELECT a WHERE 1", "Expected FROM a_stream", "WHERE"),
    ("INSERT INTO k SELECT FROM s", "Expected an expression", "FROM"),
    ("INSERT INTO k SELECT a, FROM s", "Expected an expression", "FROM"),
    ("INSERT INTO k SELECT DISTINCT a FROM s", "DISTINCT is not supported", "DISTINCT"),
    ("INSERT INTO k SELECT ALL a FROM s", "SELECT ALL is not supported", "ALL"),
    ("INSERT INTO k SELECT TOP 5 a FROM s", "SELECT TOP is not supported", "TOP"),
    ("INSERT INTO k SELECT a INTO t FROM s", "SELECT ... INTO is not supported", "INTO"),
    ("INSERT INTO k SELECT * EXCEPT (a) FROM s", "SELECT * EXCEPT is not supported", "EXCEPT"),
    ("INSERT INTO k SELECT * EXCLUDE a FROM s", "SELECT * EXCLUDE is not supported", "EXCLUDE"),
    ("INSERT INTO k SELECT * REPLACE (1 AS a) FROM s", "SELECT * REPLACE is not supported", "REPLACE"),
    ("INSERT INTO k SELECT a FROM s JOIN t ON s.a = t.a", "Joins are not supported", "JOIN"),
    ("INSERT INTO k SELECT a FROM s t LEFT JOIN u USING (a)", "Joins are not supported", "LEFT"),
    ("INSERT INTO k SELECT a FROM s CROSS JOIN t", "Joins are not supported", "CROSS"),
    ("INSERT INTO k SELECT a FROM s NATURAL JOIN t", "Joins are not supported", "NATURAL"),
    ("INSERT INTO k SELECT a FROM s, t", "A second table after FROM is a join", ", t"),
    ("INSERT INTO k SELECT a FROM s GROUP BY a", "GROUP BY is not supported", "GROUP"),
    ("INSERT INTO k SELECT a FROM s HAVING a > 1", "HAVING is not supported", "HAVING"),
    ("INSERT INTO k SELECT a FROM s\nORDER BY a", "ORDER BY is not supported", "ORDER"),
    ("INSERT INTO k SELECT a FROM s WHERE b LIMIT 5", "LIMIT is not supported", "LIMIT"),
    ("INSERT INTO k SELECT a FROM s OFFSET 5", "OFFSET is not supported", "OFFSET"),
    ("INSERT INTO k SELECT a FROM s FETCH FIRST ROW ONLY", "FETCH is not supported", "FETCH"),
    ("INSERT INTO k SELECT a FROM s UNION ALL SELECT a FROM s", "UNION is not supported", "UNION"),
    ("INSERT INTO k SELECT a FROM s EXCEPT SELECT a FROM t", "EXCEPT is not supported", "EXCEPT"),
    ("INSERT INTO k SELECT a FROM s INTERSECT SELECT a FROM t", "INTERSECT is not supported", "INTERSECT"),
    ("INSERT INTO k SELECT a FROM s QUALIFY a", "QUALIFY is not supported", "QUALIFY"),
    ("INSERT INTO k SELECT a FROM s WINDOW w AS (PARTITION BY a)", "WINDOW is not supported", "WINDOW"),
    ("INSERT INTO k SELECT a FROM s TABLESAMPLE (10)", "TABLESAMPLE is not supported", "TABLESAMPLE"),
    ("INSERT INTO k SELECT a FROM s RETURNING a", "RETURNING is not supported", "RETURNING"),
    ("INSERT INTO k SELECT a FROM s ON CONFLICT DO NOTHING", "ON CONFLICT and RETURNING", "ON"),
    ("INSERT INTO k SELECT count(*) AS n FROM s", "count() is an aggregate", "count"),
    ("INSERT INTO k SELECT 1 + SUM(a) AS n FROM s", "sum() is an aggregate", "SUM"),
    ("INSERT INTO k SELECT row_number() OVER () AS n FROM s", "row_number() is a window function", "row_number"),
    ("INSERT INTO k SELECT abs(a) OVER () AS n FROM s", "abs(...) OVER is not supported", "OVER"),
    ("INSERT INTO k SELECT abs(a) FILTER (WHERE b) AS n FROM s", "abs(...) FILTER is not supported", "FILTER"),
    ("INSERT INTO k SELECT unnest(a), unnest(b) FROM s", "A SELECT may have one UNNEST", "unnest(b)"),
    ("INSERT INTO k SELECT a FROM s WHERE unnest(a) > 1", "UNNEST is only supported in a select list", "unnest(a)"),
    ("INSERT INTO k SELECT a FROM unnest([1])", "UNNEST is only supported in a select list", "unnest"),
    ("INSERT INTO k SELECT a FROM s CROSS JOIN UNNEST(b)", "Joins are not supported", "CROSS"),
    ("INSERT INTO k SELECT a FROM range(1, 5)", "Table functions such as range()", "range"),
    ("INSERT INTO k SELECT a FROM read_csv('/etc/passwd')", "Table functions such as read_csv()", "read_csv"),
    ("INSERT INTO k SELECT a FROM '/etc/passwd'", "Reading a file in FROM is not supported", "'/etc"),
    ("INSERT INTO k SELECT a FROM information_schema.tables", "A stream has no catalog", "information_schema"),
    ("INSERT INTO k SELECT a FROM (VALUES (1)) t", "VALUES is not supported", "VALUES"),
    ("INSERT INTO k SELECT a FROM LATERAL (SELECT 1)", "LATERAL is not supported in FROM", "LATERAL"),
    ("INSERT INTO k SELECT a FROM s AS t(x)", "Column names after a table's alias", "(x)"),
    ("INSERT INTO k WITH RECURSIVE t AS (SELECT 1) SELECT a FROM t", "WITH RECURSIVE is not supported", "RECURSIVE"),
    ("INSERT INTO k WITH t(x) AS (SELECT a FROM s) SELECT x FROM t", "Column names after a WITH name", "(x)"),
    ("INSERT INTO k SELECT a FROM (SELECT a FROM s ORDER BY a) t", "ORDER BY is not supported", "ORDER"),
    ("INSERT INTO k SELECT (SELECT 1) AS a FROM s", "A sub-select is only supported in FROM", "(SELECT 1)"),
    ("INSERT INTO k SELECT a FROM s WHERE a IN (SELECT b FROM t)", "A sub-select is only supported in FROM", "(SELECT"),
    ("INSERT INTO k SELECT a FROM s WHERE EXISTS (SELECT 1)", "EXISTS(SELECT ...) is not supported", "EXISTS"),
    ("INSERT INTO k WITH t AS (SELECT a FROM u) SELECT a FROM s", "The statement reads u and s", "s"),
    ("INSERT INTO k SELECT a FROM s)", "Expected `;` or the end", ")"),
    ("INSERT INTO k SELECT a b c FROM s", "Expected FROM a_stream", "c"),
    ("INSERT INTO k SELECT 'a FROM s", "This string is not closed", "'a"),
    ('INSERT INTO k SELECT "a FROM s', "This quoted name is empty, or not closed", '"a'),
    ("INSERT INTO k SELECT a /* FROM s", "This comment is not closed", "/*"),
    ("INSERT INTO k SELECT a /* /* x */ */ FROM s", "This comment is not closed", "/*"),
    ("INSERT INTO k SELECT $1 FROM s", "'$' has no meaning", "$1"),
    ("INSERT INTO k SELECT __edge_offset FROM s", "Names that begin with __edge_", "__edge_offset"),
    ('INSERT INTO k SELECT a AS "__EDGE_x" FROM s', "Names that begin with __edge_", '"__EDGE_x"'),
    ("INSERT INTO k SELECT a FROM s WHERE", "Expected an expression, but the text ends here", ""),
    ("INSERT INTO k SELECT a FROM s WHERE " + " OR ".join(["a"] * 300), "More than 200 operators in a row", "OR"),
    ("INSERT INTO k SELECT a" + "[1]" * 300 + " FROM s", "More than 200 operators in a row", "["),
    ("INSERT INTO k SELECT a AS b, (a) (b) FROM s", "Expected FROM a_stream", "(b)"),
    ("INSERT INTO k SELECT f.g(1) FROM s", "There is no function f.g", "f.g"),
    ('INSERT INTO k SELECT "upper"(a) FROM s', "A function name is not quoted", '"upper"'),
    ("INSERT INTO k SELECT a[] FROM s", "Expected an index before ']'", "FROM"),
    ("INSERT INTO k SELECT a IS 5 FROM s", "Expected NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM", "5"),
    ("INSERT INTO k SELECT a::DECIMAL(x) FROM s", "Expected a number in the type's parentheses", "x"),
    ("INSERT INTO k WITH t AS MATERIALIZED (SELECT a FROM s) SELECT a FROM t", "MATERIALIZED is not", "MATERIALIZED"),
    ("INSERT INTO k WITH t AS (VALUES (1)) SELECT a FROM t", "VALUES is not supported", "VALUES"),
    ("INSERT INTO k SELECT input_file_name() FROM s", "input_file_name() needs a file", "input_file_name"),
    ("INSERT INTO k SELECT offset FROM s", "Expected an expression, but 'offset' is here. A column", "offset"),
    ("INSERT INTO k SELECT " + "(" * 200 + "a" + ")" * 200 + " FROM s", "Nested more than 100 deep", "("),
]


@pytest.mark.parametrize(("sql", "message", "place"), REFUSED, ids=[r[0][:60] or "nothing" for r in REFUSED])
def test_unsupported_sql_is_refused_with_its_place(sql: str, message: str, place: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_pipeline(sql)
    error = caught.value
    assert error.message.startswith(message)
    if message != "There is no statement":
        line = sql.split("\n")[error.line - 1]
        assert line[error.column - 1 :].startswith(place)


def test_a_message_carries_line_and_column() -> None:
    with pytest.raises(SqlError, match=r"LIMIT is not supported: .* \(line 3, column 3\)"):
        parse_pipeline("INSERT INTO k\nSELECT a FROM s\n  LIMIT 5")


def test_several_inserts_keep_their_order() -> None:
    inserts = parse_pipeline("INSERT INTO a SELECT * FROM s; insert into b select x from s where y;;\n")
    assert [(i.sink, i.stream, i.is_pass_through) for i in inserts] == [("a", "s", True), ("b", "s", False)]


@pytest.mark.parametrize(
    "select",
    [
        "SELECT *, 1 AS a FROM s",
        "SELECT * FROM s WHERE a",
        "SELECT a FROM s",
        "SELECT * FROM (SELECT * FROM s) t",
        "WITH t AS (SELECT * FROM s) SELECT * FROM t",
    ],
)
def test_only_a_bare_star_is_a_pass_through(select: str) -> None:
    (insert,) = parse_pipeline(f"INSERT INTO k {select}")
    assert not insert.is_pass_through


def test_unquoted_names_fold_and_quoted_ones_do_not() -> None:
    (insert,) = parse_pipeline('INSERT INTO "My-Sink" SELECT * FROM Flights')
    assert (insert.sink, insert.stream) == ("My-Sink", "flights")


def test_every_aggregate_of_the_engine_is_known_as_one() -> None:
    from datafusion import SessionContext

    context = SessionContext()
    assert set(context.udafs()) <= AGGREGATES
    assert set(context.udwfs()) <= AGGREGATES | WINDOW_FUNCTIONS


def test_sql_has_a_length() -> None:
    with pytest.raises(SqlError, match="The SQL is 100001 characters long; at most 100000 are taken"):
        parse_pipeline(" " * 100_001)


_WORDS = """INSERT INTO k SELECT FROM s WHERE a b * , ( ) [ ] -> ->> :: . 'x' "q" 1 2.5 CASE WHEN THEN ELSE END AND OR
    NOT IN IS NULL WITH AS CAST INTERVAL extract unnest LIKE BETWEEN ; -- /* */ { } : ? - + || AT TIME ZONE OVER"""


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=25).map(" ".join) | st.text(max_size=40))
def test_any_text_is_sql_or_refused(text: str) -> None:
    with contextlib.suppress(SqlError):
        assert parse_pipeline("INSERT INTO k SELECT " + text)


def test_what_is_wrong_with_each_statement_is_told() -> None:
    with pytest.raises(SqlError) as caught:
        parse_pipeline("DROP TABLE a; INSERT INTO k SELECT * FROM s; INSERT INTO k SELECT ((a FROM s; SELECT ';'")
    assert [one.column for one in caught.value.all] == [1, 71, 79]


def test_what_is_no_sql_at_all_is_told_to_a_limit() -> None:
    with pytest.raises(SqlError) as caught:
        parse_pipeline("x;" * 10_000)
    assert len(caught.value.all) == PROBLEM_COUNT_MAX
