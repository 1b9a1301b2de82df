"""`edge query` and what is below it, over files that the sinks themselves wrote."""

from __future__ import annotations

import csv
import io
import json
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from edge.bindings.pipelines import query
from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.objects import SinkFormat
from edge.bindings.pipelines.query import QueryError, open_query
from edge.bindings.pipelines.sinks.types import iceberg, local, r2, r2_data_catalog, s3
from edge.runtime.cli import query as cli
from edge.runtime.core.errors import EdgeError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.bindings.pipelines.objects import SinkObject

PARQUET = SinkFormat("parquet")


def named(sink: SinkObject, name: str) -> SinkObject:
    return replace(sink, name=name, id=f"{name:0>32}")


def ask(runner: Any, sql: str, *sinks: SinkObject) -> list[Any]:
    with open_query(sql, sinks, runner.host.state_dir, runner.folder) as opened:
        return [json.loads(row) for row in opened.json_rows()]


@pytest.mark.parametrize("form", [PARQUET, SinkFormat(), SinkFormat("json", "gzip")], ids=["parquet", "json", "gzip"])
@pytest.mark.parametrize("type_", ["local", "r2", "r2-named", "s3"])
async def test_files_are_read_back_where_they_are(
    runner: Any, s3_config: dict[str, Any], type_: str, form: SinkFormat
) -> None:
    configs: dict[str, tuple[Any, dict[str, Any]]] = {
        "local": (local, {"path": "out"}),
        "r2": (r2, {"bucket": "my-bucket", "path": "raw"}),
        "r2-named": (r2, {"bucket": "my-bucket", "file_naming": {"suffix": "data", "strategy": "ulid"}}),
        "s3": (s3, {**s3_config, "path": "raw"}),
    }
    module, config = configs[type_]
    sink = runner.sink(type_.partition("-")[0], form, **config)
    opened = module.open_sink(sink, runner.site)
    await runner.deliver(opened, runner.rows([1, 2]), runner.rows([3], day=1))
    await runner.deliver(opened, runner.rows([2**53 + 1]), epoch=2)
    sql = "SELECT count(*) AS c, max(n) AS m FROM my_sink"
    assert ask(runner, sql, sink) == [{"c": 4, "m": 2**53 + 1}]
    assert list(ask(runner, "SELECT * FROM my_sink LIMIT 1", sink)[0]) == ["n"]


@pytest.mark.parametrize("where", ["here", "catalog", "s3"])
async def test_a_table_is_read_at_its_newest_snapshot(runner: Any, s3_config: dict[str, Any], where: str) -> None:
    if where == "catalog":
        sink = runner.sink("r2_data_catalog", PARQUET, bucket="my-bucket", table_name="t")
        opened = r2_data_catalog.open_sink(sink, runner.site)
    else:
        keys = ("endpoint", "credentials", "allow_private_network")
        there = {"warehouse": f"s3://{s3_config['bucket']}/lake", **{key: s3_config[key] for key in keys}}
        sink = runner.sink("iceberg", PARQUET, table_name="t", **(there if where == "s3" else {}))
        opened = iceberg.open_sink(sink, runner.site)
    with pytest.raises(EdgeError, match=r"Iceberg table default\.t does not exist yet"):
        ask(runner, "SELECT * FROM my_sink", sink)
    await runner.deliver(opened, runner.rows([1, 2], city=pa.array(["x", None])))
    sql = "SELECT n, city, CAST(__ingest_ts AS DATE) AS d FROM my_sink ORDER BY n"
    assert ask(runner, sql, sink) == [
        {"n": 1, "city": "x", "d": "2026-01-01"},
        {"n": 2, "city": None, "d": "2026-01-01"},
    ]
    await opened.aclose()


async def test_sinks_are_joined_and_others_are_not_touched(runner: Any, answers: Any, config_of_url: Any) -> None:
    left = named(runner.sink("local", PARQUET, path="a"), "left_sink")
    right = named(runner.sink("local", path="b"), "right_sink")
    down = named(runner.sink("s3", **config_of_url(answers.url, "some-bucket")), "down")
    await runner.deliver(local.open_sink(left, runner.site), runner.rows([1, 2], city=pa.array(["x", "y"])))
    await runner.deliver(local.open_sink(right, runner.site), runner.rows([2, 3]), insert_id="f" * 32)
    sql = "WITH r AS (FROM right_sink) SELECT l.city FROM LEFT_SINK l JOIN r USING (n)"
    assert ask(runner, sql, left, right, down) == [{"city": "y"}]
    assert answers.seen == []


async def test_half_a_file_is_never_read(runner: Any) -> None:
    """Control: under a finished file's name the same bytes are an error."""
    sink = runner.sink("local", PARQUET, path="out")
    roll = await runner.deliver(local.open_sink(sink, runner.site), runner.rows([1]))
    half = (runner.folder / "out" / roll.files[0].key).with_name(".x.parquet.tmp")
    half.write_bytes(b"PAR1 and no more")
    half.with_name(".y.parquet").write_bytes(b"PAR1 and no more")
    half.with_name("z.parquet#1").write_bytes(b"PAR1 and no more")
    assert ask(runner, "SELECT n FROM my_sink", sink) == [{"n": 1}]
    half.rename(half.with_name("x.parquet"))
    with pytest.raises(QueryError, match="The query failed"):
        ask(runner, "SELECT n FROM my_sink", sink)


async def test_columns_that_differ_between_files_are_null_where_absent(runner: Any) -> None:
    sink = runner.sink("local", path="out")
    opened = local.open_sink(sink, runner.site)
    await runner.deliver(opened, runner.rows([1]))
    await runner.deliver(opened, runner.rows([2], more=pa.array(["x"])), epoch=2)
    assert ask(runner, "SELECT n, more FROM my_sink ORDER BY n", sink) == [
        {"n": 1, "more": None},
        {"n": 2, "more": "x"},
    ]


def write_lines(runner: Any, sink: SinkObject, *lines: str) -> None:
    file = runner.folder / sink.config["path"] / "one.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    "value",
    [
        '"2026-11-21T10:00:00+02:00"',
        '"2026-11-21"',
        '"10:00:00"',
        '"0b8f3d3e-1d0e-4f39-9d2f-9f1b2a3c4d5e"',
        "123456789012345678901234567890",
        "18446744073709551615",
        "1.5",
        "true",
        '[1.5,"2026-11-21"]',
        '{"date":"2026-11-21","a \\"b":["2026-11-21"],"n":-123456789012345678901234567890}',
    ],
)
def test_values_of_json_files_are_what_was_written(runner: Any, value: str) -> None:
    sink = runner.sink("local", path="out")
    write_lines(runner, sink, f'{{"value":{value}}}')
    with open_query("SELECT * FROM my_sink", [sink], runner.host.state_dir, runner.folder) as opened:
        assert list(opened.json_rows()) == [f'{{"value":{value}}}']


def test_long_whole_numbers_between_fractions_keep_their_digits(runner: Any) -> None:
    sink = runner.sink("local", path="out")
    write_lines(runner, sink, '{"n":1.5}', '{"n":123456789012345678901234567890}', f'{{"n":{"9" * 40}}}')
    with open_query("SELECT n FROM my_sink", [sink], runner.host.state_dir, runner.folder) as opened:
        texts = [row for (row,) in opened.rows()]
    assert texts == ["1.5", "123456789012345678901234567890", "9" * 40]


def test_where_values_differ_in_kind_the_error_says_how_to_compare(runner: Any) -> None:
    sink = runner.sink("local", path="out")
    write_lines(runner, sink, '{"value":{"a":"text"}}', '{"value":{"a":1}}')
    with pytest.raises(QueryError, match="Compare its text: column->>"):
        ask(runner, "SELECT * FROM my_sink WHERE value.a = 'text'", sink)
    assert ask(runner, "SELECT value.a FROM my_sink WHERE value.a->>'$' = 'text'", sink) == [{"a": "text"}]


@pytest.mark.parametrize("type_", ["local", "r2", "s3"])
async def test_a_sink_below_another_keeps_its_files_to_itself(
    runner: Any, s3_config: dict[str, Any], type_: str
) -> None:
    module = {"local": local, "r2": r2, "s3": s3}[type_]
    bucket = {"local": {}, "r2": {"bucket": "my-bucket"}, "s3": s3_config}[type_]
    outer = named(runner.sink(type_, PARQUET, **bucket, path="out"), "outside")
    inner = named(runner.sink(type_, PARQUET, **bucket, path="out/b"), "inside")
    beside = named(runner.sink(type_, PARQUET, **bucket, path="out/bb"), "beside")
    for number, sink in enumerate((outer, inner, beside)):
        await runner.deliver(module.open_sink(sink, runner.site), runner.rows([number]), insert_id=f"{number}" * 32)
    for number, sink in enumerate((outer, inner, beside)):
        assert ask(runner, f"SELECT n FROM {sink.name}", outer, inner, beside) == [{"n": number}]


async def test_two_sinks_at_one_place_are_not_guessed_apart(runner: Any) -> None:
    one, two = (named(runner.sink("r2", PARQUET, bucket="my-bucket"), name) for name in ("one", "two"))
    as_json = named(runner.sink("r2", bucket="my-bucket"), "three")
    await runner.deliver(r2.open_sink(one, runner.site), runner.rows([1]))
    with pytest.raises(EdgeError, match=r"Sinks two and one both write to .*my-bucket/, so their files cannot be told"):
        ask(runner, "SELECT n FROM two", one, two)
    assert ask(runner, "SELECT n FROM one", one, as_json) == [{"n": 1}]


async def test_a_catalogs_tables_are_no_files_of_the_bucket_they_are_in(runner: Any) -> None:
    table = named(runner.sink("r2_data_catalog", PARQUET, bucket="my-bucket", table_name="t"), "tabled")
    files = named(runner.sink("r2", PARQUET, bucket="my-bucket"), "files")
    opened = r2_data_catalog.open_sink(table, runner.site)
    await runner.deliver(opened, runner.rows([1]))
    await opened.aclose()
    await runner.deliver(r2.open_sink(files, runner.site), runner.rows([2]), insert_id="f" * 32)
    assert ask(runner, "SELECT n FROM files", table, files) == [{"n": 2}]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO 'stolen.csv'",
        "CREATE TABLE t AS SELECT 1",
        "SELECT 1; SELECT 2",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'stolen.csv'",
        "ATTACH 'x.duckdb'",
        "INSTALL httpfs",
        "SET memory_limit = '1GB'",
        "",
    ],
)
def test_nothing_but_reading_is_done(runner: Any, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runner.folder)
    with pytest.raises(QueryError, match="edge query only reads"):
        ask(runner, sql)
    assert sorted(path.name for path in runner.folder.iterdir()) == ["state"]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT * FROM nope", r"There is no sink nope \(there: my_sink\)"),
        ("SELEC 1", "The query failed. Parser Error"),
        ("SELECT * FROM my_sink", "Sink my_sink has delivered nothing yet"),
    ],
)
def test_what_cannot_be_asked_is_told(runner: Any, sql: str, problem: str) -> None:
    with pytest.raises(QueryError, match=problem):
        ask(runner, sql, runner.sink("local", path="out"))


def test_a_sink_that_keeps_no_files_says_so(runner: Any) -> None:
    with pytest.raises(UnsupportedError, match="Sink my_sink is of type kafka, which keeps no files here"):
        ask(runner, "SELECT * FROM my_sink", runner.sink("kafka"))


@pytest.fixture
def flights(runner: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `edge query` in a project whose catalogue has one sink, `my_sink`."""
    (runner.folder / "wrangler.json").write_text(
        '{"name": "w", "main": "entry.py", "compatibility_flags": ["python_workers"]}'
    )
    (runner.folder / "entry.py").write_text("")
    state_dir: Path = runner.folder / ".edge" / "state"
    catalogue = Catalogue(state_dir)
    catalogue.add_sink(runner.sink("local", PARQUET, path="out"))
    catalogue.close()
    monkeypatch.chdir(runner.folder)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli.command, list(arguments))

    return run


async def test_the_command_shows_a_table(runner: Any, flights: Any) -> None:
    sink = runner.sink("local", PARQUET, path="out")
    await runner.deliver(
        local.open_sink(sink, runner.site), runner.rows([1, 20], city=pa.array([None, "Zürich\x1b[2J" + "x" * 90]))
    )
    done = flights("SELECT n, city FROM my_sink ORDER BY n")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == " n  city"
    assert lines[2] == " 1  null"
    assert "\x1b" not in lines[3]
    assert lines[3].endswith("x…")
    assert done.stderr == "rows: 2\n"


async def test_the_command_writes_json_and_csv(runner: Any, flights: Any) -> None:
    sink = runner.sink("local", PARQUET, path="out")
    city = pa.array([None, 'a,"b"\nc'])
    await runner.deliver(local.open_sink(sink, runner.site), runner.rows([2**53 + 1, 2**53 + 2], city=city))
    sql = "SELECT n, city FROM my_sink ORDER BY n"
    assert json.loads(flights(sql, "--json").stdout) == [
        {"n": 2**53 + 1, "city": None},
        {"n": 2**53 + 2, "city": 'a,"b"\nc'},
    ]
    assert list(csv.reader(io.StringIO(flights(sql, "--csv").stdout))) == [
        ["n", "city"],
        [str(2**53 + 1), ""],
        [str(2**53 + 2), 'a,"b"\nc'],
    ]
    nothing = "SELECT n FROM my_sink WHERE false"
    assert json.loads(flights(nothing, "--json").stdout) == []
    assert flights(nothing, "--csv").stdout == "n\n"
    assert "Choose --json or --csv" in flights(sql, "--json", "--csv").stderr


async def test_a_long_table_is_cut_and_says_so(runner: Any, flights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "TABLE_ROWS_MAX", 2)
    sink = runner.sink("local", PARQUET, path="out")
    await runner.deliver(local.open_sink(sink, runner.site), runner.rows([1, 2, 3]))
    done = flights("SELECT n FROM my_sink ORDER BY n")
    assert done.stdout.splitlines()[2:] == ["1", "2"]
    assert done.stderr == "rows: the first 2; --json and --csv give all\n"


async def test_an_error_names_the_line_as_it_was_written(runner: Any) -> None:
    sink = runner.sink("local", PARQUET, path="out")
    await runner.deliver(local.open_sink(sink, runner.site), runner.rows([1]))
    with pytest.raises(QueryError, match=r"LINE 2: +nope"):
        ask(runner, "SELECT\n nope FROM my_sink -- and a comment", sink)


def test_a_terminal_shows_how_far_a_long_query_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class LongQuery:
        def __init__(self) -> None:
            self.was_asked = threading.Event()

        def progress(self) -> float:
            self.was_asked.set()
            return 42.0

    terminal, long_query = Terminal(), LongQuery()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(cli, "PROGRESS_AFTER_SECONDS", 0)
    monkeypatch.setattr(cli, "PROGRESS_EVERY_SECONDS", 0.001)
    with cli._Progress() as progress:
        progress.count_files("my_sink", 12_000)
        progress.query = long_query
        assert long_query.was_asked.wait(60)
    assert "42 % read" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\033[K"), "the line is gone before the result comes"


def test_without_duckdb_the_install_command_is_told(flights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.delitem(sys.modules, query.__name__)
    done = flights("SELECT 1")
    assert str(done.exception).startswith(
        "edge query needs duckdb, which is not installed. Run: pip install 'edge-workers["
    )
