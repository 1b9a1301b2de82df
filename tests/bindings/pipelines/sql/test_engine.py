"""INSERTs as they run: columns, types, hidden columns, records that fail."""

from __future__ import annotations

import base64
import datetime
import decimal
from typing import Any

import pyarrow as pa
import pytest

from edge.bindings.pipelines.sql import feed
from edge.bindings.pipelines.sql.engine import HIDDEN_FIELDS, TOGETHER_BYTES_MAX, compile_insert
from edge.bindings.pipelines.sql.engine_errors import EngineError, is_about_data, panics_as_errors
from edge.bindings.pipelines.sql.sql_error import TooMuchMadeError
from edge.bindings.pipelines.sql.statements import SqlError, parse_pipeline

NUMBERS = {"n": pa.array([1, 2, 3]), "t": pa.array(["a", "b", "c"])}


def offsets(outcome: Any) -> list[int]:
    return outcome.rows.column("__edge_offset").to_pylist()


def refusal(select: str, columns: dict[str, pa.Array]) -> SqlError:
    with pytest.raises(SqlError) as caught:
        compile_insert(*parse_pipeline(f"INSERT INTO k {select}"), pa.record_batch(columns).schema, started_at=0)
    return caught.value


@pytest.mark.parametrize(
    "select",
    [
        "SELECT n FROM s WHERE n > 1",
        "SELECT * FROM s WHERE n > 1",
        "SELECT s.* FROM s WHERE n > 1",
        "SELECT n FROM (SELECT n, t FROM s) u WHERE n > 1",
        "SELECT n FROM (SELECT * FROM s WHERE n > 1) u",
        "WITH u AS (SELECT n + 0 AS n FROM s), v AS (SELECT * FROM u) SELECT v.n FROM v WHERE v.n > 1",
        "WITH s AS (SELECT n FROM s) SELECT n FROM s WHERE n > 1",
    ],
)
def test_rows_know_their_records_through_every_level(select: str, run: Any) -> None:
    outcome = run(select, NUMBERS)
    assert offsets(outcome) == [101, 102]
    assert outcome.rows.column("n").to_pylist() == [2, 3]


def test_unnest_repeats_the_record_and_drops_empty_lists(run: Any) -> None:
    outcome = run("SELECT unnest(a) AS x FROM s", {"a": pa.array([[1, 2], [], None, [3]], pa.list_(pa.int64()))})
    assert outcome.rows.column("x").to_pylist() == [1, 2, 3]
    assert offsets(outcome) == [100, 100, 103]


def test_star_never_shows_extracted_columns(run: Any) -> None:
    outcome = run("SELECT *, value->>'a' AS a FROM s WHERE value->'n' IS NOT NULL", {"value": pa.array(['{"n":1}'])})
    assert outcome.rows.schema.names[:2] == ["value", "a"]


def test_columns_come_in_the_order_of_the_select(rows: Any) -> None:
    (row, *_) = rows("SELECT t, n * 2 AS double, n FROM s", NUMBERS)
    assert list(row.items()) == [("t", "a"), ("double", 2), ("n", 1)]


def test_one_plan_runs_many_batches() -> None:
    (insert,) = parse_pipeline("INSERT INTO k SELECT n, random() AS r FROM s WHERE n > 1")
    schema = pa.schema([("n", pa.int64())])
    compiled = compile_insert(insert, schema, started_at=0)
    made = [compiled.run(_numbered(range(start, start + 5))) for start in (0, 100, 200)]
    assert [outcome.rows.num_rows for outcome in made] == [3, 5, 5]
    assert len({r for outcome in made for r in outcome.rows.column("r").to_pylist()}) == 13


def _numbered(numbers: range) -> pa.RecordBatch:
    count = len(numbers)
    columns = [pa.array(numbers, pa.int64()), pa.array([0] * count, pa.int32()), pa.array(numbers, pa.int64())]
    return pa.RecordBatch.from_arrays(
        [*columns, pa.array([0] * count, pa.timestamp("us", "UTC"))],
        schema=pa.schema([pa.field("n", pa.int64()), *HIDDEN_FIELDS]),
    )


def test_an_empty_batch_makes_no_rows(run: Any) -> None:
    outcome = run("SELECT value->>'a' AS a FROM s", {"value": pa.array([], pa.string())})
    assert (outcome.rows.num_rows, outcome.bad) == (0, ())


# Records that fail


def test_one_bad_record_in_ten_thousand_fails_alone(run: Any) -> None:
    texts = [str(n) for n in range(10_000)]
    texts[6_543] = "secret value"
    outcome = run("SELECT CAST(t AS BIGINT) AS n FROM s", {"t": pa.array(texts)})
    assert [(bad.index, bad.message) for bad in outcome.bad] == [(6_543, "A text cannot be cast to Int64.")]
    assert offsets(outcome) == [100 + n for n in range(10_000) if n != 6_543]


def test_every_record_may_be_bad(run: Any) -> None:
    outcome = run("SELECT 1 / n AS x FROM s", {"n": pa.array([0] * 64)})
    assert outcome.rows.num_rows == 0
    assert [bad.index for bad in outcome.bad] == list(range(64))


@pytest.mark.parametrize(
    ("expression", "value", "message"),
    [
        ("10 / v", 0, "A number is divided by zero."),
        ("10 % v", 0, "A number is divided by zero."),
        ("CAST(v AS INT)", "4711x", "A text cannot be cast to Int32."),
        ("CAST(v AS TINYINT)", 4711, "A value is out of the range of Int8."),
        ("CAST(v AS BOOLEAN)", "4711x", "A text cannot be cast to Boolean."),
        ("CAST(v AS TIMESTAMP)", "4711x", "A text is no timestamp of the expected form."),
        ("to_timestamp(v)", "4711x", "A text is no timestamp of the expected form."),
        ("CAST(v AS DATE)", "4711x", "A text cannot be cast to Date32."),
        ("to_date(v)", "4711x", "A text is no date."),
        ("CAST(v AS DECIMAL(5, 2))", "4711.4711", "A number is too large for its type."),
        ("decode(v, 'base64')", "4711!", "A text is no base64."),
        ("decode(v, 'hex')", "4711x", "A text is no hexadecimal."),
        ("regexp_like('a', v)", "4711(", "A text is no regular expression."),
        ("CAST(decode(v, 'hex') AS VARCHAR)", "ff4711", "Bytes are no UTF-8 text."),
        ("factorial(v)", 4711, "A number is too large for its type."),
    ],
)
def test_the_message_of_a_bad_record_has_no_data(expression: str, value: Any, message: str, run: Any) -> None:
    outcome = run(f"SELECT {expression} AS x FROM s", {"v": pa.array([value])})
    (bad,) = outcome.bad
    assert bad.message == message


def test_what_fails_for_every_record_is_refused_when_compiled() -> None:
    error = refusal("SELECT CAST('x' AS INT) AS a FROM s", NUMBERS)
    assert "Cannot cast string 'x' to value of Int32 type" in error.message


def test_what_only_running_finds_out_is_refused_when_compiled_too() -> None:
    error = refusal("SELECT date_bin(INTERVAL '1 hour', ts, ts) AS a FROM s", {"ts": pa.array([0], pa.timestamp("us"))})
    assert error.message.startswith("DATE_BIN only supports literal values")


def test_an_engine_that_fails_by_itself_blames_no_record() -> None:
    assert not is_about_data(Exception("DataFusion error: Resources exhausted: Failed to allocate 9 bytes"))
    assert not is_about_data(Exception("DataFusion error: External error: KeyError: 'n'"))
    assert is_about_data(Exception("DataFusion error: Arrow error: Divide by zero error"))


def test_a_batch_of_the_wrong_shape_is_no_bad_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan itself fails: nothing may become a dead letter."""
    (insert,) = parse_pipeline("INSERT INTO k SELECT n FROM s")
    compiled = compile_insert(insert, pa.schema([("n", pa.int64())]), started_at=0)
    monkeypatch.setattr(feed, "_select", lambda *_: None)
    with pytest.raises(EngineError, match="The SQL engine failed"):
        compiled.run(_numbered(range(3)))


# Values and types


def test_null_struct_gives_null_fields(value: Any) -> None:
    """The children of a null struct may hold anything; `s.f IS NULL` must not see it."""
    struct = pa.StructArray.from_arrays([pa.array(["hidden"]), pa.array([7])], names=["a", "b"], mask=pa.array([True]))
    assert value("address.a IS NULL AND address.b IS NULL", {"address": struct}) is True
    outer = pa.StructArray.from_arrays([struct], names=["inner"], mask=pa.array([True]))
    assert value("address['inner']['b'] IS NULL", {"address": outer}) is True


def test_null_struct_inside_a_list_of_a_slice_gives_null_fields(rows: Any) -> None:
    items = pa.StructArray.from_arrays(
        [pa.array(["a", "b", "hidden"])], names=["f"], mask=pa.array([False, False, True])
    )
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 1, 3]), items, mask=pa.array([False, True, False]))
    found = rows("SELECT a[2].f AS x, array_length(a) AS n FROM s", {"a": lists.slice(1)})
    assert found == [{"x": None, "n": None}, {"x": None, "n": 2}]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 = ANY([1, 2])", True),
        ("(1 = 1) IS NOT TRUE", False),
        ("TIMESTAMP '2020-01-01' < now()", True),
        ("arrow_cast(0, 'Timestamp(Microsecond, Some(\"UTC\"))') < now()", True),
        ("5 / 2", 2),
        ("5 / 2.0", 2.5),
        ("1.9::INT", 1),
        ("-7 / 2", -3),
        ("[10, 20, 30][1]", 10),
        ("[10, 20, 30][9]", None),
        ("[10, 20, 30][-1]", 30),
        ("9223372036854775807 + 1", -9223372036854775808),
        ("9007199254740993", 9007199254740993),
        ("1.10::DECIMAL(20, 2) + 2.25::DECIMAL(20, 2)", decimal.Decimal("3.35")),
        ("'12345678901234567890.123456789'::DECIMAL(38, 9)", decimal.Decimal("12345678901234567890.123456789")),
        ("TRY_CAST('x' AS INT)", None),
        ("'x;y -- no /* comment'", "x;y -- no /* comment"),
        ("'it''s'", "it's"),
        ("E'a\\nb\\'c'", "a\nb'c"),
        ("/* one */ 1 -- two\n + 1", 2),
        ("NOT true OR 1 < 2 AND 'b' BETWEEN 'a' AND 'c'", True),
        ("struct(1, 'b')", {"c0": 1, "c1": "b"}),
        ("{'a': 1}['a']", 1),
    ],
)
def test_expression_gives(expression: str, expected: Any, value: Any) -> None:
    assert value(expression) == expected


def test_field_after_an_index_is_read(rows: Any) -> None:
    items = pa.array([[{"sku": "x", "d": {"e": 1}}, {"sku": "y", "d": {"e": 2}}]])
    (row,) = rows("SELECT items[1].sku AS a, s.items[2].d.e AS b, (items[1]).sku AS c FROM s", {"items": items})
    assert row == {"a": "x", "b": 2, "c": "x"}


def test_camel_case_needs_quotes_and_works_with_them(rows: Any) -> None:
    (row,) = rows('SELECT "userId", "userId" + 1 AS "nextId" FROM s', {"userId": pa.array([7])})
    assert row == {"userId": 7, "nextId": 8}


def test_stream_name_that_is_no_identifier_is_quoted(rows: Any) -> None:
    (insert,) = parse_pipeline('INSERT INTO k SELECT "my-stream".n FROM "my-stream"')
    compiled = compile_insert(insert, pa.schema([("n", pa.int64())]), started_at=0)
    assert compiled.run(_numbered(range(2))).rows.column("n").to_pylist() == [0, 1]


def test_base64_goes_both_ways(value: Any) -> None:
    raw = bytes(range(256))
    found = value("encode(b, 'base64')", {"b": pa.array([raw])})
    assert base64.b64decode(found + "=" * (-len(found) % 4)) == raw


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_keep_their_unit(unit: str, run: Any) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = pa.array([1_700_000_000 * per_second], pa.timestamp(unit))
    outcome = run("SELECT ts, date_part('epoch', ts) AS e, ts + INTERVAL '1 day' AS d FROM s", {"ts": times})
    assert outcome.rows.schema.field("ts").type == pa.timestamp(unit)
    (row,) = outcome.rows.to_pylist()
    assert row["e"] == 1_700_000_000
    assert (row["d"] - row["ts"]) == datetime.timedelta(days=1)


def test_no_engine_layout_leaves(run: Any) -> None:
    outcome = run("SELECT md5(t) AS a, upper(t) AS b, [md5(t)] AS c, struct(md5(t)) AS d FROM s", NUMBERS)
    types = [outcome.rows.schema.field(n).type for n in "abcd"]
    assert types == [pa.string(), pa.string(), pa.list_(pa.string()), pa.struct([("c0", pa.string())])]


# What planning refuses


@pytest.mark.parametrize(
    ("select", "message", "place"),
    [
        (
            "SELECT userId FROM s",
            'There is no column userid. Names fold to lower case unless quoted: write "userId".',
            8,
        ),
        ("SELECT 1 AS x, carier FROM s", "There is no column carier. Did you mean carrier?", 16),
        ("SELECT zzz FROM s", "There is no column zzz. The stream has: userId, carrier, value.", 8),
        ("SELECT t.carrier FROM s", "There is no column carrier.", 8),
        ("SELECT frobnicate(carrier) AS x FROM s", "Invalid function 'frobnicate'", 8),
        ("SELECT upper(carrier, 1) AS x FROM s", "Function 'upper' expects 1 arguments but received 2.", 8),
        ("SELECT t.v FROM (SELECT w AS v FROM s WHERE value > '') AS t", "There is no column w.", 25),
        ("WITH t AS (SELECT w AS v FROM s) SELECT v FROM t", "There is no column w.", 19),
        ("SELECT 1 AS a, 2 AS a FROM s", "Projections require unique expression names", 16),
        ("SELECT carrier, value, s.carrier FROM s", "Projections require unique expression names", 24),
        ("SELECT 1 AS x, carrier::nosuch AS a FROM s", "Unsupported SQL type", 16),
        ("SELECT 1 AS x, arrow_cast(carrier, 'Nope') AS a FROM s", "Unsupported type 'Nope'", 36),
        ("SELECT 1 AS x, DATE 'zz' AS a FROM s", "Cannot cast string 'zz'", 16),
        ("SELECT 1 AS x, INTERVAL '1' MONTH AS a FROM s", "Column a has the type month_day_nano_interval", 16),
        ("SELECT *, [INTERVAL '1' MONTH] AS a FROM s", "Column a has the type month_day_nano_interval", 11),
        ("SELECT map([[1]], [2]) AS a FROM s", "Column a has the type map<", 8),
        ("SELECT carrier + 1 AS a FROM s WHERE carrier", "Cannot create filter with non-boolean predicate", 38),
        ("SELECT carrier::UINT128 AS a FROM s", "Unsupported SQL type", 8),
        ("SELECT json_get(\"userId\", 'a')::int AS x FROM s", "JSON is read from text", 17),
    ],
)
def test_planning_error_says_what_and_where(select: str, message: str, place: int) -> None:
    columns = {"userId": pa.array([1]), "carrier": pa.array(["x"]), "value": pa.array(["{}"])}
    error = refusal(select, columns)
    assert error.message.startswith(message)
    assert error.column == len("INSERT INTO k ") + place
    assert "__edge" not in error.message


def test_nothing_in_the_context_reads_files() -> None:
    (insert,) = parse_pipeline('INSERT INTO k SELECT * FROM "/etc/passwd.csv"')
    compiled = compile_insert(insert, pa.schema([("n", pa.int64())]), started_at=0)
    assert compiled.output_schema.names == ["n"]


def test_the_longest_chain_that_is_parsed_also_runs(rows: Any) -> None:
    chain = " OR ".join(f"n = {number}" for number in range(100))
    assert len(rows(f"SELECT n FROM s WHERE {'(' * 20}{chain}{')' * 20}", NUMBERS)) == 3
    assert rows("SELECT " + " || ".join(["t"] * 200) + " AS x FROM s", {"t": pa.array(["a"])}) == [{"x": "a" * 200}]


# Hostile records: what functions make


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("range(n)", [0, 1, 2]),
        ("generate_series(1, n)", [1, 2, 3]),
        ("range(DATE '2024-01-01', DATE '2024-01-01' + CAST(n AS INT), INTERVAL '1 day')", None),
        ("repeat(t, n)", "ababab"),
        ("lpad(t, n)", " ab"),
        ("rpad(t, n, '-')", "ab-"),
        ("array_repeat(t, n)", ["ab"] * 3),
        ("array_resize([t], n, t)", ["ab"] * 3),
        ("array_fill(t, [n])", ["ab"] * 3),
    ],
)
def test_a_record_that_asks_for_too_much_fails_alone(expression: str, good: Any, run: Any) -> None:
    columns = {"n": pa.array([3, 2**24, -1, None, 2**24, 3]), "t": pa.array(["ab"] * 6)}
    outcome = run(f"SELECT {expression} AS x FROM s", columns)
    assert [bad.index for bad in outcome.bad] == [1, 4]
    made = outcome.rows.column("x").to_pylist()
    assert (len(made), made[0]) == (4, made[3])
    if good is not None:
        assert made[0] == good
        assert {bad.message for bad in outcome.bad} == {
            "A function would make more than 16 MiB of text or list items of one record."
        }


def test_a_replacement_that_grows_too_much_fails_alone(run: Any) -> None:
    columns = {"t": pa.array(["a", "a" * 5_000]), "by": pa.array(["b", "b" * 5_000])}
    outcome = run("SELECT replace(t, 'a', by) AS x FROM s", columns)
    assert outcome.rows.column("x").to_pylist() == ["b"]
    assert [bad.index for bad in outcome.bad] == [1]


def test_records_that_ask_for_much_together_are_run_in_parts(run: Any) -> None:
    outcome = run("SELECT octet_length(repeat('x', n)) AS x FROM s", {"n": pa.array([1_000_000] * 100)})
    assert outcome.rows.column("x").to_pylist() == [1_000_000] * 100


def test_what_many_records_make_together_is_held_to_a_limit(run: Any) -> None:
    select = "SELECT repeat('x', n) AS x FROM s"
    with pytest.raises(TooMuchMadeError, match="The SQL makes too much of the records up to offset 1") as caught:
        run(select, {"n": pa.array([1_000_000] * 100)})
    count = caught.value.offset - 100
    assert 0 < count <= TOGETHER_BYTES_MAX // 1_000_000
    assert run(select, {"n": pa.array([1_000_000] * count)}).rows.num_rows == count


def test_a_range_too_long_in_the_sql_itself_is_refused() -> None:
    error = refusal("SELECT n, range(1099511627776) AS x FROM s", NUMBERS)
    assert error.message.startswith("A function would make more than 16 MiB")
    assert error.column == 25


def test_a_panic_of_the_engine_is_an_error_of_the_engine() -> None:
    class PanicException(BaseException):
        """As pyo3 raises it."""

    with pytest.raises(EngineError, match="broke down: capacity overflow"), panics_as_errors():
        raise PanicException("capacity overflow")
    with pytest.raises(KeyboardInterrupt), panics_as_errors():
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ['"\0"', '"a\tb"', "`\x7f`"])
def test_a_name_with_a_control_character_is_refused_where_it_stands(name: str) -> None:
    error = refusal(f"SELECT n AS {name} FROM s", NUMBERS)
    assert "control character" in error.message
    assert error.column == 27


def test_whatever_the_engine_raises_while_planning_is_an_error_in_the_sql() -> None:
    assert refusal("SELECT 'a\0' FROM s", NUMBERS).line == 1
