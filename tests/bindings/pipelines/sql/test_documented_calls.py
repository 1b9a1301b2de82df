"""Every documented function gives its documented result.

`documented_calls.json` is `spec/sql-functions.json`: 200 expressions with the values that Cloudflare's Pipelines SQL
reference gives for them. RESOLVES names every other documented function, and how each may be called.
"""

from __future__ import annotations

import ast
import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

CALLS = json.loads((Path(__file__).parent / "documented_calls.json").read_text())
BARE_JSON = ("json_get (union)", "-> operator")
"""Their value is JSON, which we give as its text."""


@pytest.mark.parametrize("call", CALLS, ids=[f"{n}-{c['name']}" for n, c in enumerate(CALLS)])
def test_documented_call_gives_the_documented_value(call: dict[str, Any], value: Any) -> None:
    found = value(call["sql"])
    if hasattr(found, "to_pydatetime"):
        found = found.floor("us").to_pydatetime()
    assert (json.loads(found) if call["name"] in BARE_JSON else found) == _documented(call["expected"])


def _documented(text: str) -> Any:
    """The file writes values as Python shows them; 'INT0' is the integer 0."""
    if text == "'INT0'":
        return 0
    if text.startswith(("datetime", "[datetime")):
        return eval(text, {"datetime": datetime})  # our own data file
    return ast.literal_eval(text)


RESOLVES = {
    "math": """abs(n) acos(x) acosh(x) asin(x) asinh(x) atan(x) atanh(x) atan2(x,x) cbrt(x) ceil(x) cos(x) cosh(x)
        cot(x) degrees(x) exp(x) factorial(n) floor(x) gcd(n,n) isnan(x) iszero(x) lcm(n,n) ln(x) log(x) log(2,x)
        log10(x) log2(x) nanvl(x,x) pi() pow(x,2) power(x,2) radians(x) random() round(x) round(x,1) signum(x) sin(x)
        sinh(x) sqrt(x) tan(x) tanh(x) trunc(x) trunc(x,1)""",
    "conditional": "coalesce(t,'a') ifnull(t,'a') nullif(n,1) nvl(t,'a') nvl2(t,'a','b') greatest(n,1) least(n,1)",
    "string": """ascii(t) bit_length(t) btrim(t) btrim(t,'a') char_length(t) character_length(t) chr(n) concat(t,t)
        concat_ws('-',t,t) contains(t,'a') ends_with(t,'a') find_in_set(t,'a,b') initcap(t) instr(t,'a') left(t,1)
        length(t) levenshtein(t,t) lower(t) lpad(t,3) lpad(t,3,'x') ltrim(t) ltrim(t,'x') octet_length(t)
        position('a'IN(t)) repeat(t,2) replace(t,'a','b') reverse(t) right(t,1) rpad(t,3) rpad(t,3,'x') rtrim(t)
        split_part(t,'a',1) starts_with(t,'a') strpos(t,'a') substr(t,1) substr(t,1,2) substr_index(t,'.',1)
        substring(t,1,2) substring_index(t,'.',1) to_hex(n) translate(t,'a','b') trim(t) upper(t) uuid()""",
    "binary string": "encode(t,'hex') encode(t,'base64') decode('YWJj','base64') decode('616263','hex')",
    "regex": """regexp_count(t,'a') regexp_instr(t,'a') regexp_like(t,'a') regexp_like(t,'a','i')
        regexp_match(t,'(a)')
        regexp_replace(t,'a','b') regexp_replace(t,'a','b','gi')""",
    "json": """json_get(j,'a') json_get(j,'a',0) json_get_str(j,'a') json_get_int(j,'a') json_get_float(j,'a')
        json_get_bool(j,'a') json_get_json(j,'a') json_as_text(j,'a') json_length(j) json_length(j,'a')
        json_contains(j,'a') extract_json(j,'$.a') extract_json_string(j,'$.a') j->'a' j->>'a' j->0 j?'a'""",
    "time": """now() current_date() current_date current_time() current_time current_timestamp today()
        date_bin(INTERVAL'1hour',ts) date_bin(INTERVAL'1hour',ts,TIMESTAMP'2001-01-01')
        date_trunc('day',ts) datetrunc('day',ts) date_part('year',ts) datepart('year',ts)
        extract(year/**/FROM/**/ts) make_date(2024,1,n) make_time(1,2,n)
        to_char(ts,'%Y') date_format(ts,'%Y') to_date('2024-01-01') to_date('01-2024-02','%m-%Y-%d') to_timestamp(n)
        to_timestamp('2024-01-01') to_timestamp_millis(n) to_timestamp_micros(n) to_timestamp_nanos(n)
        to_timestamp_seconds(n) from_unixtime(n) from_unixtime(n,'America/New_York') to_unixtime(ts) to_local_time(ts)
        to_unixtime('2024-01-01')""",
    "array": """array_any_value(a) array_append(a,1) array_cat(a,a) array_concat(a,a) array_contains(a,1) array_dims(a)
        array_distance([1.0,2.0],[2.0,3.0]) array_distinct(a) array_element(a,1) array_empty(a) array_except(a,a)
        array_extract(a,1) array_fill(1,[2]) array_has(a,1) array_has_all(a,a) array_has_any(a,a) array_indexof(a,1)
        array_intersect(a,a) array_join(a,',') array_length(a) array_length(a,1) array_max(a) array_min(a)
        array_ndims(a) array_pop_back(a) array_pop_front(a) array_position(a,1)
        array_position(a,1,1) array_positions(a,1) array_prepend(1,a) array_push_back(a,1) array_push_front(1,a)
        array_remove(a,1) array_remove_all(a,1)
        array_remove_n(a,1,1) array_repeat(1,2) array_replace(a,1,2) array_replace_all(a,1,2) array_replace_n(a,1,2,1)
        array_resize(a,5) array_resize(a,5,0) array_reverse(a) array_slice(a,1,2) array_slice(a,1,2,1) array_sort(a)
        array_sort(a,'DESC') array_to_string(a,',') array_to_string(a,',','x') array_union(a,a)
        arrays_overlap(a,a) cardinality(a) element_at(map(['k'],[1]),'k') empty(a) flatten([a,a])
        generate_series(1,3) make_array(1,2) make_list(1,2) range(1,3) range(3) string_to_array(t,'a')
        string_to_list(t,'a') trim_array(a,1)""",
    "list aliases": """list_any_value(a) list_append(a,1) list_cat(a,a) list_concat(a,a) list_contains(a,1) list_dims(a)
        list_distance([1.0],[2.0]) list_distinct(a) list_element(a,1) list_empty(a) list_except(a,a) list_extract(a,1)
        list_has(a,1) list_has_all(a,a) list_has_any(a,a) list_indexof(a,1) list_intersect(a,a) list_join(a,',')
        list_length(a) list_max(a) list_ndims(a) list_pop_back(a) list_pop_front(a) list_position(a,1)
        list_positions(a,1) list_prepend(1,a) list_push_back(a,1) list_push_front(1,a) list_remove(a,1)
        list_remove_all(a,1) list_remove_n(a,1,1) list_repeat(1,2) list_replace(a,1,2) list_replace_all(a,1,2)
        list_replace_n(a,1,2,1) list_resize(a,5,0) list_reverse(a) list_slice(a,1,2) list_sort(a)
        list_to_string(a,',') list_union(a,a)""",
    "struct": "struct(n,t) named_struct('a',n) row(n,t) get_field(named_struct('a',n),'a') {'a':n}",
    "map": "map(['k'],[1]) map_keys(map(['k'],[1])) map_values(map(['k'],[1])) map_extract(map(['k'],[1]),'k')",
    "hashing": "digest(t,'blake3') md5(t) sha224(t) sha256(t) sha384(t) sha512(t)",
    "other": """arrow_cast(n,'Int8') arrow_typeof(n) version() n::VARCHAR CAST(n/**/AS/**/DOUBLE)
        TRY_CAST(t/**/AS/**/INT)""",
}
EXPRESSIONS = [(group, each) for group, text in RESOLVES.items() for each in text.split()]
COLUMNS = {
    "n": pa.array([5]),
    "x": pa.array([0.5]),
    "t": pa.array(["a,b"]),
    "j": pa.array(['{"a": [1]}']),
    "a": pa.array([[1, 2, 3]]),
    "ts": pa.array([1_700_000_000_000_000], pa.timestamp("us")),
}


@pytest.mark.parametrize(("group", "expression"), EXPRESSIONS, ids=[f"{g}-{e}" for g, e in EXPRESSIONS])
def test_documented_function_is_there(group: str, expression: str, rows: Any) -> None:
    """`/**/` stands for a blank."""
    (row,) = rows(f"SELECT {expression} AS x FROM s", COLUMNS)
    assert list(row) == ["x"]


@pytest.mark.parametrize(
    ("expression", "documented"),
    [
        ("signum(0)", 1),
        ("signum(-4.2)", -1),
        ("signum(NULL)", None),
        ("flatten([[[[[1]]]],[[[[2]]]]])", [1, 2]),
        ("flatten([1, 2])", [1, 2]),
        ("empty([])", 1),
        ("array_fill('x', [2])", ["x", "x"]),
        ("trim_array([1, 2, 3], 2)", [1]),
        ("trim_array([1, 2, 3], 0)", [1, 2, 3]),
        ("trim_array([1, 2, 3], 9)", []),
        ("arrow_typeof(from_unixtime(0, 'Europe/Berlin'))", 'Timestamp(ns, "Europe/Berlin")'),
        ("json_get_str('{}', 'a')", ""),
    ],
)
def test_where_the_engine_differs_the_documentation_wins(expression: str, documented: Any, value: Any) -> None:
    assert value(expression) == documented


def test_the_clock_stands_at_the_start_of_the_pipeline(rows: Any) -> None:
    select = "SELECT now() AS a, current_timestamp AS b, current_date AS c, today() AS d, current_time AS e FROM s"
    (row,) = rows(select, {"n": pa.array([1])})
    moment = datetime.datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=datetime.UTC).replace(tzinfo=None)
    assert [row["a"], row["b"]] == [moment, moment]
    assert [row["c"], row["d"], row["e"]] == [moment.date(), moment.date(), moment.time()]
