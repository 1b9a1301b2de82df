"""What start-up makes of a config: the catalogue follows, and nothing is deleted."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import StreamObject
from edge.bindings.pipelines.reconcile import reconcile
from edge.runtime.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.bindings.pipelines.declared import Declared

STREAM = "[streams.flights]\n"
SCHEMA = 'schema = { fields = [{ name = "carrier", type = "string" }] }\n'
SINK = '[sinks.far]\ntype = "local"\npath = "out"\n'
PIPELINE = '[[pipelines]]\nname = "far"\nsql = "INSERT INTO far SELECT * FROM flights"\n'
ALL = STREAM + SINK + PIPELINE


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with closing(Catalogue(tmp_path / "state")) as catalogue:
        yield catalogue


@pytest.fixture
def start(declared: Callable[..., Declared], catalogue: Catalogue) -> Callable[..., list[str]]:
    """Start with this edge.toml at this time; the warnings."""
    return lambda text, now=1.0, **wrangler: reconcile(catalogue, declared(text, **wrangler), now)


def test_the_first_start_makes_what_is_declared(start: Callable[..., list[str]], catalogue: Catalogue) -> None:
    assert start(ALL, now=5.0) == []
    (stream,), (sink,), (pipeline,) = catalogue.streams(), catalogue.sinks(), catalogue.pipelines()
    assert (stream.name, stream.created_at, stream.modified_at, stream.origin) == ("flights", 5.0, 5.0, "declared")
    assert (sink.name, sink.created_at) == ("far", 5.0)
    assert (pipeline.version, pipeline.created_at, pipeline.started_at) == (1, 5.0, 5.0)
    assert catalogue.tables_of(pipeline.id).sink_ids == (sink.id,)


def test_starting_again_changes_nothing(start: Callable[..., list[str]], catalogue: Catalogue) -> None:
    start(ALL + STREAM.replace("flights", "other") + SCHEMA)
    version = catalogue.version()
    assert start(ALL + STREAM.replace("flights", "other") + SCHEMA, now=9.0) == []
    assert catalogue.version() == version


def test_an_edited_pipeline_is_a_new_version_with_a_new_start_time(
    start: Callable[..., list[str]], catalogue: Catalogue
) -> None:
    start(ALL, now=1.0)
    start(ALL.replace("SELECT *", "SELECT value"), now=9.0)
    (pipeline,) = catalogue.pipelines()
    assert "SELECT value" in pipeline.sql
    assert (pipeline.version, pipeline.created_at, pipeline.modified_at, pipeline.started_at) == (2, 1.0, 9.0, 9.0)


def test_another_on_error_is_no_new_version(start: Callable[..., list[str]], catalogue: Catalogue) -> None:
    start(ALL)
    start(ALL + 'on_error = "fail"', now=9.0)
    (pipeline,) = catalogue.pipelines()
    assert (pipeline.on_error, pipeline.version, pipeline.started_at) == ("fail", 1, 1.0)


def test_an_edited_stream_or_sink_is_in_force_and_keeps_when_it_was_made(
    start: Callable[..., list[str]], catalogue: Catalogue
) -> None:
    start(ALL)
    start(ALL.replace(STREAM, STREAM + "http.enabled = false\n").replace('"out"', '"there"'), now=9.0)
    (stream,), (sink,) = catalogue.streams(), catalogue.sinks()
    assert (stream.http.enabled, stream.version, stream.created_at, stream.modified_at) == (False, 2, 1.0, 9.0)
    assert (sink.config["path"], sink.created_at, sink.modified_at) == ("there", 1.0, 9.0)


@pytest.mark.parametrize("text", [ALL, ALL.replace(STREAM, STREAM + SCHEMA.replace("string", "int32"))])
def test_a_changed_schema_is_refused_with_the_way_to_go(
    start: Callable[..., list[str]], catalogue: Catalogue, text: str
) -> None:
    start(ALL.replace(STREAM, STREAM + SCHEMA))
    version = catalogue.version()
    with pytest.raises(ConfigError, match=r'The schema of stream "flights" differs .*Declare a new stream .*or delete'):
        start(text.replace('"out"', '"there"'))
    assert catalogue.version() == version


def test_a_stream_that_only_a_binding_named_gets_its_first_schema(
    start: Callable[..., list[str]], catalogue: Catalogue
) -> None:
    bound = {"pipelines": [{"binding": "S", "stream": "flights"}]}
    start("", **bound)
    (stream,) = catalogue.streams()
    assert (stream.origin, stream.http.enabled) == ("binding", False)
    start(STREAM + SCHEMA, **bound)
    (stream,) = catalogue.streams()
    assert (stream.origin, stream.http.enabled) == ("declared", True)
    assert stream.schema is not None
    start("", **bound)
    assert catalogue.streams() == [stream]


def test_what_is_no_longer_declared_stays_and_is_warned_about(
    start: Callable[..., list[str]], catalogue: Catalogue
) -> None:
    start(ALL)
    warnings = start("")
    assert [len(kind) for kind in (catalogue.streams(), catalogue.sinks(), catalogue.pipelines())] == [1, 1, 1]
    stays = 'The stream "flights" is no longer declared. It and its records stay; '
    assert warnings == [
        f"{stays}delete it with: edge streams delete flights",
        'The sink "far" is no longer declared. It stays, and what it wrote; delete it with: edge sinks delete far',
        'The pipeline "far" is no longer declared. It goes on running; delete it with: edge pipelines delete far',
    ]


def test_what_the_api_made_is_no_orphan(start: Callable[..., list[str]], catalogue: Catalogue) -> None:
    catalogue.add_stream(StreamObject("0" * 32, "made", 1.0, 1.0, origin="api"))
    assert start(ALL) == []


def test_a_name_that_another_id_has_is_refused(start: Callable[..., list[str]], catalogue: Catalogue) -> None:
    catalogue.add_stream(StreamObject("0" * 32, "flights", 1.0, 1.0, origin="api"))
    with pytest.raises(ConfigError, match=rf'"flights" exists with the id {"0" * 32}, and is declared with'):
        start(STREAM)
    assert start(STREAM + f'id = "{"0" * 32}"') == []
    assert [stream.origin for stream in catalogue.streams()] == ["declared"]


def test_a_renamed_stream_keeps_its_id(start: Callable[..., list[str]], catalogue: Catalogue) -> None:
    start(STREAM)
    start(f'[streams.renamed]\nid = "{id_of("stream", "flights")}"')
    assert [stream.name for stream in catalogue.streams()] == ["renamed"]


RACE = """
import sys
from pathlib import Path
from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.declared import declared_objects
from edge.bindings.pipelines.reconcile import reconcile
from edge.runtime.serve import ConfigChoice, load_config
folder = Path(sys.argv[1])
declared = declared_objects(load_config(ConfigChoice(folder / "wrangler.jsonc", "")))
sys.stdin.readline()
assert reconcile(Catalogue(folder / "state"), declared, 1.0) == []
"""


def test_processes_that_start_at_once_make_each_object_once(
    tmp_path: Path, catalogue: Catalogue, declared: Callable[..., Declared]
) -> None:
    declared(ALL + "".join(f"[streams.s{number}]\n" for number in range(10)))
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    starting = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(3)]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in starting:
        process.communicate(timeout=60)
    assert [process.returncode for process in starting] == [0, 0, 0]
    assert catalogue.version() == 13


@pytest.mark.parametrize("sql", ["SELECT *", "SELECT value"], ids=["alone", "with other SQL"])
def test_a_renamed_pipeline_takes_the_old_ones_place(
    start: Callable[..., list[str]], catalogue: Catalogue, sql: str
) -> None:
    start(ALL)
    (old,) = catalogue.pipelines()
    text = STREAM + SINK + PIPELINE.replace('"far"', '"further"', 1).replace("SELECT *", sql)
    told = ['The pipeline "far" is now declared as "further": it goes on under this name where it was.']
    assert start(text, now=9.0) == told
    (new,) = catalogue.pipelines()
    assert (new.name, new.lineage, new.created_at) == ("further", old.id, old.created_at)
    assert catalogue.tables_of(new.id) == catalogue.tables_of(id_of("pipeline", "further"))
    version = catalogue.version()
    assert start(text, now=10.0) == []
    assert catalogue.version() == version


def test_a_pipeline_to_another_sink_is_no_renamed_one(start: Callable[..., list[str]], catalogue: Catalogue) -> None:
    start(ALL)
    other = SINK.replace("far", "near").replace('"out"', '"there"')
    place, orphan = start(STREAM + SINK + other + PIPELINE.replace("far", "near"))
    assert place == (
        'The pipeline "near" is new, and begins at the oldest record that the log of flights has. "far", which reads '
        "that too and is no longer declared, goes on beside it. If this is that one under a new name: rename it alone, "
        "and change its streams or sinks at a later start."
    )
    assert orphan.startswith('The pipeline "far" is no longer declared. It goes on running')
    assert [one.name for one in catalogue.pipelines()] == ["far", "near"]


def test_a_new_pipeline_of_a_name_that_moved_on_has_a_place_of_its_own(
    start: Callable[..., list[str]], catalogue: Catalogue
) -> None:
    start(ALL)
    further = PIPELINE.replace('"far"', '"further"', 1)
    start(STREAM + SINK + further)
    start(ALL + further)
    far, moved = catalogue.pipelines()
    assert (far.name, moved.lineage) == ("far", far.id)
    assert far.lineage not in {"", moved.lineage}
