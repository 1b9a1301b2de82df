"""`edge streams`, `edge sinks`, `edge pipelines`: made, shown and deleted on the state folder, beside a server too."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.delivery.intent import Intent, Tally
from edge.bindings.pipelines.delivery.store import DeliveryStore, InsertKey
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.sinks.sink import Roll
from edge.runtime.cli.main import main

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Edge = Callable[..., subprocess.CompletedProcess[str]]

SCHEMA = {"fields": [{"name": "carrier", "type": "string", "required": True}, {"name": "distance", "type": "int32"}]}
SQL = "INSERT INTO far SELECT upper(carrier) AS carrier FROM flights"


@pytest.fixture
def command(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command in the project, in this process: starting one costs 0.4 s. Exit code, output, errors."""
    monkeypatch.chdir(project)

    def run(*arguments: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def ok(command: Callable[..., Any]) -> Callable[..., str]:
    """Run a command that succeeds; its standard output."""

    def run(*arguments: str) -> str:
        code, output, errors = command(*arguments)
        assert code == 0, errors
        return output  # type: ignore[no-any-return]  # a str

    return run


@pytest.fixture
def refused(command: Callable[..., Any]) -> Callable[..., str]:
    """Run a command that is refused, without a traceback; its standard error."""

    def run(*arguments: str) -> str:
        code, _, errors = command(*arguments)
        assert code in {1, 2}
        assert "Traceback" not in errors
        assert "Edge failed" not in errors
        return errors  # type: ignore[no-any-return]  # a str

    return run


@pytest.fixture
def wired(ok: Callable[..., str], project: Path) -> Path:
    """A stream, a sink, and a pipeline between them."""
    (project / "schema.json").write_text(json.dumps(SCHEMA))
    ok("streams", "create", "flights", "--schema-file", "schema.json")
    ok("sinks", "create", "far", "--type", "local", "--path", "out/far")
    ok("pipelines", "create", "one", "--sql", SQL)
    return project


def test_wranglers_options_of_a_stream_are_taken(ok: Callable[..., str], project: Path) -> None:
    (project / "schema.json").write_text(json.dumps(SCHEMA))
    ok("streams", "create", "a", "--schema-file", "schema.json", "--http-auth=false", "--cors-origin", "https://a.test")
    ok("streams", "create", "b", "--http-enabled", "false", "--cors-origin", "none")
    a = json.loads(ok("streams", "get", "a", "--json"))
    assert a["http"] == {"enabled": True, "authentication": False, "cors": {"origins": ["https://a.test"]}}
    assert [field["name"] for field in a["schema"]["fields"]] == ["carrier", "distance"]
    b = json.loads(ok("streams", "get", "b", "--json"))
    assert b["http"] == {"enabled": False, "authentication": True, "cors": {"origins": []}}
    assert b["schema"] is None
    assert "distance int32" in ok("streams", "get", a["id"])


def test_a_new_stream_is_listed_before_it_holds_anything(ok: Callable[..., str]) -> None:
    ok("streams", "create", "flights")
    (stream,) = json.loads(ok("streams", "list", "--json"))
    assert (stream["name"], stream["record_count"]) == ("flights", 0)


def test_wranglers_options_of_a_sink_are_taken_and_secrets_not_shown(ok: Callable[..., str]) -> None:
    keys = [
        "--access-key-id",
        "hush-id",
        "--secret-access-key",
        "hush-key",
        "--roll-size",
        "5",
        "--roll-interval",
        "10",
    ]
    ok("sinks", "create", "far", "--type", "r2", "--bucket", "bucket", "--path", "p", "--partitioning", "y=%Y", *keys)
    text = ok("sinks", "get", "far", "--json")
    sink = json.loads(text)
    assert (sink["type"], sink["config"]["bucket"], sink["config"]["path"]) == ("r2", "bucket", "p")
    assert sink["config"]["partitioning"] == {"time_pattern": "y=%Y"}
    assert sink["config"]["rolling_policy"] == {"file_size_bytes": 5 * 1024 * 1024, "interval_seconds": 10.0}
    assert sink["format"]["type"] == "parquet"
    assert "hush" not in text + ok("sinks", "get", "far") + ok("sinks", "list") + ok("sinks", "list", "--json")


def test_a_pipeline_is_shown_with_its_tables(wired: Path, ok: Callable[..., str]) -> None:
    (listed,) = json.loads(ok("pipelines", "list", "--json"))
    shown = json.loads(ok("pipelines", "get", "one", "--json"))
    assert (listed["name"], shown["id"], shown["sql"]) == ("one", listed["id"], SQL)
    assert [(table["name"], table["type"]) for table in shown["tables"]] == [("flights", "stream"), ("far", "sink")]
    assert [sink["name"] for sink in json.loads(ok("sinks", "list", "--json", "--pipeline-id", "one"))] == ["far"]
    assert "flights" in ok("pipelines", "get", shown["id"])


def test_validate_shows_what_would_be_written_and_makes_nothing(wired: Path, ok: Callable[..., str]) -> None:
    (wired / "new.sql").write_text("INSERT INTO far\nSELECT distance * 2.0 AS d FROM flights")
    assert ok("pipelines", "validate", "--sql-file", "new.sql") == "flights -> far\n  d  double\n"
    assert len(json.loads(ok("pipelines", "list", "--json"))) == 1


def test_refused_sql_is_shown_with_its_place(wired: Path, refused: Callable[..., str]) -> None:
    (wired / "new.sql").write_text("INSERT INTO far\nSELECT crrier FROM flights")
    assert refused("pipelines", "create", "two", "--sql-file", "new.sql").endswith(
        "new.sql:2:8: There is no column crrier. Did you mean carrier?\n  SELECT crrier FROM flights\n         ~\n"
    )


def test_every_insert_that_is_refused_is_shown(wired: Path, refused: Callable[..., str]) -> None:
    (wired / "new.sql").write_text("INSERT INTO fra SELECT 1 FROM flights;\nINSERT INTO far SELECT crrier FROM flights")
    said = refused("pipelines", "validate", "--sql-file", "new.sql")
    assert 'new.sql:1:13: There is no sink "fra". There is: far.\n  INSERT INTO fra' in said
    assert "new.sql:2:24: There is no column crrier. Did you mean carrier?\n  INSERT INTO far" in said


def test_records_of_a_file_are_in_the_stream(wired: Path, ok: Callable[..., str]) -> None:
    (wired / "lines.ndjson").write_text('{"carrier": "a", "distance": 1}\n\n{"carrier": "b"}\n')
    (wired / "array.json").write_text(' [{"carrier": "c"}, {"carrier": "d"}]')
    ok("streams", "send", "flights", "lines.ndjson")
    ok("streams", "send", "flights", "array.json")
    lines = ok("streams", "tail", "flights", "--no-follow", "--json").splitlines()
    assert [json.loads(line)["record"]["carrier"] for line in lines] == ["a", "b", "c", "d"]


def test_a_bad_line_says_how_many_records_went_before_it(wired: Path, refused: Callable[..., str]) -> None:
    (wired / "lines.ndjson").write_text('{"carrier": "a"}\n' * 10_000 + '{"carrier"\n')
    text = refused("streams", "send", "flights", "lines.ndjson")
    assert "lines.ndjson, line 10001 is no JSON" in text
    assert "The 10,000 records before were sent, the others not." in text


def test_sending_and_making_work_beside_a_running_server(
    wired: Path, ok: Callable[..., str], edge: Edge, start: Callable[..., Any], worker: Any
) -> None:
    worker.config(wired, ', "pipelines": [{"binding": "STREAM", "stream": "flights"}]')
    start(wired, "serve")
    (wired / "lines.ndjson").write_text('{"carrier": "a"}\n')
    assert edge("streams", "send", "flights", "lines.ndjson", cwd=wired).returncode == 0
    assert '{"carrier":"a"}' in ok("streams", "tail", "flights", "--no-follow")
    ok("streams", "create", "other")
    ok("streams", "delete", "other", "-y")


def test_deleting_asks_and_without_a_terminal_is_refused(
    wired: Path, ok: Callable[..., str], refused: Callable[..., str]
) -> None:
    text = refused("streams", "delete", "flights")
    assert "Delete stream flights with the pipeline one?" in text
    assert "Nothing was deleted: there is no terminal to ask on. Pass -y to delete it." in text
    assert "Delete sink far with the pipeline one?" in refused("sinks", "delete", "far")
    assert "Delete pipeline one?" in refused("pipelines", "delete", "one")
    ok("streams", "delete", "flights", "-y")
    assert json.loads(ok("pipelines", "list", "--json")) == json.loads(ok("streams", "list", "--json")) == []
    ok("sinks", "delete", "far", "--force")
    assert json.loads(ok("sinks", "list", "--json")) == []


def test_deleting_a_sink_that_has_half_of_a_roll_tells_what_may_be_twice(
    wired: Path, ok: Callable[..., str], refused: Callable[..., str]
) -> None:
    """The pipeline that waits for it goes on elsewhere; one that writes to it is deleted along."""
    (sink,) = json.loads(ok("sinks", "list", "--json"))
    with closing(DeliveryStore(wired / ".edge" / "state")) as store:
        store.take_lease(store.lease(), "someone")
        for position, (pipeline, count) in enumerate({"moved": 1_200, id_of("pipeline", "one"): 7}.items()):
            key = InsertKey(f"{position}" * 32, pipeline, position, "3" * 32, sink["id"])
            store.begin_insert(1, key, {0: 0})
            roll = Roll(key.id, key.sink_id, key.stream_id, 1, 1, {0: 0}, {0: count}, ())
            store.add_intent(1, Intent(roll, "1", {0: Tally(delivered=count)}), [])
    assert (
        "It may have some of 1,200 records that a pipeline which was moved elsewhere waits to see here. They go where "
        "that writes now, and what this sink has is in both."
    ) in refused("sinks", "delete", "far")


def test_deleting_a_stream_tells_how_many_records_are_unprocessed(
    wired: Path, ok: Callable[..., str], refused: Callable[..., str]
) -> None:
    (wired / "lines.ndjson").write_text('{"carrier": "a"}\n' * 3)
    ok("streams", "send", "flights", "lines.ndjson")
    assert "Unprocessed:  3 records" in ok("streams", "get", "flights")
    assert "Delete stream flights with 3 unprocessed records and the pipeline one?" in refused(
        "streams", "delete", "flights"
    )
    ok("streams", "delete", "flights", "-y")
    assert list((wired / ".edge" / "state" / "streams").iterdir()) == []


BAD = [
    (["streams", "create", "a-b"], "letters, digits and underscores only"),
    (["streams", "create", "flights"], 'There is a stream "flights" already.'),
    (["streams", "create", "a", "--schema-file", "nope.json"], "nope.json cannot be read: No such file"),
    (["streams", "create", "a", "--schema-file", "entry.py"], "entry.py is no JSON"),
    (["streams", "create", "a", "--cors-origin", "ftp://x"], "neither"),
    (["streams", "get", "nope"], 'There is no stream "nope". Streams there are: flights.'),
    (["streams", "delete", "nope", "-y"], 'There is no stream "nope".'),
    (["streams", "send", "nope", "entry.py"], 'There is no stream "nope".'),
    (["streams", "send", "flights", "nope.ndjson"], "nope.ndjson"),
    (["streams", "send", "flights", "entry.py"], "entry.py, line 1 is no JSON"),
    (["streams", "dead", "list", "nope"], 'There is no stream "nope".'),
    (["streams", "dead", "replay", "nope"], 'There is no stream "nope".'),
    (["sinks", "create", "a", "--type", "nope"], "there is no nope. The types are: "),
    (["sinks", "create", "a", "--type", "local"], "Object missing required field `path`"),
    (["sinks", "create", "a", "--type", "local", "--path", "x", "--set", "nope=1"], "have no setting 'nope'"),
    (["sinks", "create", "a", "--type", "local", "--path", "x", "--set", "x"], "'x' is not KEY=VALUE."),
    (
        ["sinks", "create", "a", "--type", "local", "--path", "x", "--format", "json", "--compression", "zstd"],
        "JSON files cannot be compressed with zstd.",
    ),
    (
        ["sinks", "create", "a", "--type", "r2", "--bucket", "bucket", "--path", "../x"],
        "is no place inside the sink",
    ),
    (["sinks", "create", "a-b", "--type", "local", "--path", "x"], "letters, digits and underscores only"),
    (["sinks", "get", "nope"], 'There is no sink "nope". Sinks there are: far.'),
    (["pipelines", "create", "a"], "Give the SQL with --sql, or a file of it with --sql-file"),
    (["pipelines", "create", "a", "--sql", "SELECT 1"], "SQL:1:1: "),
    (["pipelines", "create", "one", "--sql", SQL], 'There is a pipeline "one" already.'),
    (["pipelines", "create", "a", "--sql", "INSERT INTO x SELECT * FROM flights"], 'There is no sink "x".'),
    (["pipelines", "get", "nope"], 'There is no pipeline "nope". Pipelines there are: one.'),
    (["pipelines", "validate"], "Give the SQL with --sql"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments)[:60] for arguments, _ in BAD])
def test_bad_input_is_a_sentence(wired: Path, refused: Callable[..., str], arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)
