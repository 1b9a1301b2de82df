"""The catalogue: one file that all processes share."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.catalogue import (
    Catalogue,
    InvalidNameError,
    NoSuchObjectError,
    ObjectExistsError,
    StillReferencedError,
    TableNames,
    TooManyObjectsError,
    UnknownTableError,
)
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import (
    Cors,
    HttpIngest,
    PipelineObject,
    Replay,
    Retention,
    RollingPolicy,
    SinkFormat,
    SinkObject,
    StreamObject,
)
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def stream(name: str, **fields: object) -> StreamObject:
    return replace(StreamObject(id_of("stream", name), name, 1.0, 1.0), **fields)  # type: ignore[arg-type]  # any field


def sink(name: str, **fields: object) -> SinkObject:
    return replace(SinkObject(id_of("sink", name), name, "local", 1.0, 1.0), **fields)  # type: ignore[arg-type]  # any field


def pipeline(name: str, sql: str = "INSERT INTO far SELECT * FROM flights") -> PipelineObject:
    return PipelineObject(id_of("pipeline", name), name, sql, 1.0, 1.0)


FLIGHTS_TO_FAR = TableNames(("flights",), ("far",))


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with closing(Catalogue(tmp_path)) as catalogue:
        yield catalogue


@pytest.fixture
def wired(catalogue: Catalogue) -> Catalogue:
    """A stream, a sink, and a pipeline between them."""
    catalogue.add_stream(stream("flights"))
    catalogue.add_sink(sink("far"))
    catalogue.add_pipeline(pipeline("one"), FLIGHTS_TO_FAR)
    return catalogue


def test_reading_an_absent_catalogue_makes_no_file(catalogue: Catalogue, tmp_path: Path) -> None:
    assert (catalogue.version(), catalogue.streams(), catalogue.sinks(), catalogue.pipelines()) == (0, [], [], [])
    assert list(tmp_path.iterdir()) == []


def test_objects_come_back_as_they_were(catalogue: Catalogue, tmp_path: Path) -> None:
    nested = Field("list", "tags", items=Field("struct", fields=(Field("timestamp", "at", unit="nanosecond"),)))
    one = stream(
        "flights",
        schema=Schema((Field("string", "carrier", required=True), nested, Field("decimal128", "p", scale=2))),
        http=HttpIngest(authentication=False, cors=Cors(("https://a.test",))),
        retention=Retention(3600, 10),
        validation="strict",
    )
    other = sink(
        "far",
        config={"path": "out", "list": [1, {"deep": None}]},
        format=SinkFormat("parquet", "zstd"),
        rolling_policy=RollingPolicy(5.0, 100),
    )
    catalogue.add_stream(one)
    catalogue.add_sink(other)
    catalogue.add_pipeline(pipeline("one"), FLIGHTS_TO_FAR)
    with closing(Catalogue(tmp_path)) as again:
        assert again.streams() == [one]
        assert again.sinks() == [other]
        assert again.pipelines() == [pipeline("one")]


def test_an_object_is_found_by_id_and_by_name(wired: Catalogue) -> None:
    assert wired.stream("flights") == wired.stream(id_of("stream", "flights")) == stream("flights")
    assert wired.sink("far") == wired.sink(id_of("sink", "far")) == sink("far")
    assert wired.pipeline("one") == wired.pipeline(id_of("pipeline", "one")) == pipeline("one")
    assert wired.stream("far") is None


def test_every_change_counts_the_version_up_and_another_process_sees_it(catalogue: Catalogue, tmp_path: Path) -> None:
    with closing(Catalogue(tmp_path)) as other:
        assert other.version() == 0
        catalogue.add_stream(stream("flights"))
        assert other.version() == 1
        assert other.streams() == [stream("flights")]
        catalogue.change_stream(stream("flights", http=HttpIngest(enabled=False)))
        assert other.version() == 2
        found = other.stream("flights")
        assert found is not None
        assert not found.http.enabled
        catalogue.delete_stream(id_of("stream", "flights"))
        assert (other.version(), other.streams()) == (3, [])


def test_a_refused_change_changes_nothing(wired: Catalogue) -> None:
    version = wired.version()
    with pytest.raises(UnknownTableError):
        wired.change_pipeline(pipeline("one", "other"), TableNames(("nope",), ("far",)))
    with pytest.raises(ObjectExistsError):
        wired.add_stream(stream("flights"))
    assert wired.version() == version
    assert wired.pipelines() == [pipeline("one")]


@pytest.mark.parametrize("name", ["", "a-b", "a b", "a.b", "é", "x" * 129, "a\n", "*", "'; DROP TABLE objects"])
def test_a_name_that_sql_could_not_use_is_refused(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(InvalidNameError, match="letters, digits and underscores only, 1 to 128 of them"):
        catalogue.add_stream(stream(name))
    with pytest.raises(InvalidNameError):
        catalogue.add_sink(sink(name))


def test_a_stream_that_only_a_binding_names_may_have_any_name(catalogue: Catalogue) -> None:
    catalogue.add_stream(stream("my stream-1", origin="binding"))
    assert catalogue.stream("my stream-1") is not None


def test_a_name_is_taken_once_per_kind(wired: Catalogue) -> None:
    with pytest.raises(ObjectExistsError, match='There is a stream "flights" already') as refused:
        wired.add_stream(stream("flights"))
    assert refused.value.http_status == 409
    with pytest.raises(ObjectExistsError):
        wired.add_stream(stream("flights", id="0" * 32))
    with pytest.raises(ObjectExistsError):
        wired.add_stream(stream("other", id=id_of("stream", "flights")))
    wired.add_sink(sink("flights"))


def test_what_is_made_at_run_time_has_a_name_that_sql_can_tell(wired: Catalogue) -> None:
    """As what edge.toml declares, which is checked with the whole file and comes here as it is."""
    text = 'The stream "Flights" and the stream "flights" would differ in case alone'
    with pytest.raises(ObjectExistsError, match=text) as refused:
        wired.add_stream(stream("Flights", origin="api"))
    assert refused.value.http_status == 409
    with pytest.raises(ObjectExistsError, match='The sink "FLIGHTS" and the stream "flights" would differ in case'):
        wired.add_sink(sink("FLIGHTS", origin="api"))
    with pytest.raises(ObjectExistsError, match='"flights" is the name of a stream already; in SQL it would mean both'):
        wired.add_sink(sink("flights", origin="api"))
    wired.add_stream(stream("Flights"))


def test_the_twenty_first_of_a_kind_is_refused(catalogue: Catalogue) -> None:
    for number in range(20):
        catalogue.add_stream(stream(f"s{number}"))
        catalogue.add_stream(stream(f"bound {number}", origin="binding"))
    with pytest.raises(TooManyObjectsError, match='"s20" was not made: there are 20 streams, the most there may be'):
        catalogue.add_stream(stream("s20"))
    catalogue.add_sink(sink("far"))
    catalogue.add_stream(stream("bound 20", origin="binding"))


def test_a_pipeline_is_kept_with_its_tables(wired: Catalogue) -> None:
    wired.add_sink(sink("near"))
    found = wired.add_pipeline(pipeline("both"), TableNames(("flights", "flights"), ("far", "near")))
    assert found.sink_ids == (id_of("sink", "far"), id_of("sink", "near"))
    assert wired.tables_of(id_of("pipeline", "both")) == found
    assert [one.name for one in wired.pipelines_using(id_of("stream", "flights"))] == ["both", "one"]
    assert [one.name for one in wired.pipelines_using(id_of("sink", "near"))] == ["both"]
    wired.change_pipeline(pipeline("both"), FLIGHTS_TO_FAR)
    assert wired.pipelines_using(id_of("sink", "near")) == []


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (TableNames(("nope",), ("far",)), 'The SQL reads from "nope", which is no stream. Streams there are: flights.'),
        (TableNames(("flights",), ("nope",)), 'The SQL writes to "nope", which is no sink. Sinks there are: far.'),
    ],
    ids=["stream", "sink"],
)
def test_a_pipeline_of_unknown_tables_is_refused(wired: Catalogue, tables: TableNames, message: str) -> None:
    with pytest.raises(UnknownTableError, match=message):
        wired.add_pipeline(pipeline("two"), tables)
    assert wired.pipeline("two") is None


def test_what_a_pipeline_uses_is_deleted_by_force_only_and_the_pipeline_with_it(wired: Catalogue) -> None:
    with pytest.raises(StillReferencedError, match='The stream "flights" is used by the pipeline "one"') as refused:
        wired.delete_stream(id_of("stream", "flights"))
    assert refused.value.pipelines == ("one",)
    with pytest.raises(StillReferencedError, match='The sink "far" is used by the pipeline "one"'):
        wired.delete_sink(id_of("sink", "far"))
    wired.delete_stream(id_of("stream", "flights"), force=True)
    assert (wired.streams(), wired.pipelines()) == ([], [])
    wired.delete_sink(id_of("sink", "far"))


def test_deleting_or_changing_what_is_not_there_names_what_is(wired: Catalogue) -> None:
    with pytest.raises(NoSuchObjectError, match=r'There is no stream "0000"\. Streams there are: flights'):
        wired.delete_stream("0000")
    with pytest.raises(NoSuchObjectError, match=r'There is no sink "0000"\. Sinks there are: far'):
        wired.delete_sink("0000")
    with pytest.raises(NoSuchObjectError, match=r'There is no pipeline "two"\. Pipelines there are: one'):
        wired.change_pipeline(pipeline("two"), FLIGHTS_TO_FAR)
    wired.delete_pipeline(id_of("pipeline", "one"))
    with pytest.raises(NoSuchObjectError, match="There is no pipeline yet"):
        wired.delete_pipeline(id_of("pipeline", "one"))


def test_a_pipeline_made_again_has_the_place_it_had_also_under_another_name(wired: Catalogue) -> None:
    tables, first = TableNames(("flights",), ("far",)), pipeline("first")
    wired.add_pipeline(first, tables)
    asked = Replay(5.0, from_offset=3)
    second = replace(pipeline("second"), lineage=first.id, replay=asked)
    wired.rename_pipeline(first.id, second, tables)
    wired.delete_pipeline(second.id)
    assert wired.has_departed(second.id)
    wired.add_pipeline(pipeline("second"), tables)
    assert wired.pipeline("second") == second
    wired.add_pipeline(first, tables)
    made = wired.pipeline("first")
    assert made is not None
    assert made.lineage not in {"", first.id}, "its own place is another's by now"
    assert made.replay is None


def test_secrets_of_a_sink_are_on_no_screen_and_in_a_file_of_its_owner(catalogue: Catalogue, tmp_path: Path) -> None:
    one = sink("far", config={"token": "hush"})
    catalogue.add_sink(one)
    assert "hush" not in repr(catalogue.sinks())
    assert (tmp_path / "pipelines" / "catalogue.sqlite3").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_catalogue_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "catalogue.sqlite3").write_text("this is no database, and long enough to see that")
    with pytest.raises(BackendError, match=r"catalogue\.sqlite3: it is no SQLite database"):
        Catalogue(tmp_path).streams()


RACE = """
import sys
from pathlib import Path
from edge.bindings.pipelines.catalogue import Catalogue, ObjectExistsError
from edge.bindings.pipelines.objects import StreamObject

catalogue = Catalogue(Path(sys.argv[1]))
sys.stdin.readline()
for number in range(10):
    try:
        catalogue.add_stream(StreamObject(f"{number:032x}", f"s{number}", 1.0, 1.0))
    except ObjectExistsError:
        continue
    print(number)
"""


def test_of_processes_that_make_the_same_name_at_once_exactly_one_wins(catalogue: Catalogue, tmp_path: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0]
    assert sorted(int(line) for output in outputs for line in output.split()) == list(range(10))
    assert catalogue.version() == 10
