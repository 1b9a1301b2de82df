"""At start, what edge.toml declares goes into the catalogue. Nothing is ever deleted by that.

An edited pipeline becomes a new version, which goes on from the old one's offsets, and so does one under a new name: as
a pipeline of its own beside the old one it would deliver everything twice. An edited sink or HTTP setting is in
force at once. A schema cannot change: records of the old one are in the log. What was declared and is no longer stays,
and is warned about. Several processes may do this at once, with the same result.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ...runtime.core.errors import ConfigError
from ...wrangler_config.section import Problem
from .admin import table_names
from .catalogue import NoSuchObjectError, ObjectExistsError
from .declared_places import find_renamed, told_places
from .objects import PipelineObject, SinkObject, StreamObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .catalogue import Catalogue
    from .declared import Declared

T = TypeVar("T", StreamObject, SinkObject, PipelineObject)


def reconcile(catalogue: Catalogue, declared: Declared, now: float) -> list[str]:
    """Bring the catalogue up to the config; returns sentences to warn with.

    Raises:
        ConfigError: the config asks for what cannot be; the catalogue is as before.
        BindingError: there would be too many objects of a kind.
    """
    if problems := refused_changes(catalogue, declared):
        raise ConfigError("\n".join(one.text for one in problems))
    for stream in declared.streams:
        _bring_stream(catalogue, stream, now)
    for sink in declared.sinks:
        _bring_sink(catalogue, sink, now)
    places = [text for _, text in told_places(catalogue, declared)]
    for old, new in find_renamed(catalogue, declared):
        _rename_pipeline(catalogue, old, new, now)
    for pipeline in declared.pipelines:
        _bring_pipeline(catalogue, pipeline, now)
    return [
        *places,
        *_orphans("stream", "It and its records stay", catalogue.streams(), declared.streams),
        *_orphans("sink", "It stays, and what it wrote", catalogue.sinks(), declared.sinks),
        *_orphans("pipeline", "It goes on running", catalogue.pipelines(), declared.pipelines),
    ]


def refused_changes(catalogue: Catalogue, declared: Declared) -> list[Problem]:
    """What the config changes although it cannot be changed, with the way to go; `at` is (section, name)."""
    problems = [
        *_moved("stream", catalogue.stream, declared.streams),
        *_moved("sink", catalogue.sink, declared.sinks),
        *_moved("pipeline", catalogue.pipeline, declared.pipelines),
    ]
    for stream in declared.streams:
        known = catalogue.stream(stream.id)
        # A stream that only a binding named so far gets its schema now; that of any other is fixed.
        if known is None or "binding" in {known.origin, stream.origin} or known.schema == stream.schema:
            continue
        text = (
            f'The schema of stream "{stream.name}" differs from the one it was made with, and a schema cannot change: '
            f"records of the old one may be in its log. Declare a new stream with the new schema, or delete this one "
            f"with its records: edge streams delete {stream.name}."
        )
        problems.append(Problem(text, at=("streams", stream.name)))
    return problems


def _bring_stream(catalogue: Catalogue, stream: StreamObject, now: float) -> None:
    known = _known_or_added(catalogue.stream, catalogue.add_stream, stream, now)
    if known is None or stream.origin == "binding":
        return
    same = replace(stream, created_at=known.created_at, modified_at=known.modified_at, version=known.version)
    if same != known:
        catalogue.change_stream(replace(same, modified_at=now, version=known.version + 1))


def _bring_sink(catalogue: Catalogue, sink: SinkObject, now: float) -> None:
    known = _known_or_added(catalogue.sink, catalogue.add_sink, sink, now)
    if known is None:
        return
    same = replace(sink, created_at=known.created_at, modified_at=known.modified_at)
    if same != known:
        catalogue.change_sink(replace(same, modified_at=now))


def _bring_pipeline(catalogue: Catalogue, pipeline: PipelineObject, now: float) -> None:
    tables = table_names(pipeline.sql)

    def add(one: PipelineObject) -> None:
        catalogue.add_pipeline(replace(one, started_at=now), tables)

    known = _known_or_added(catalogue.pipeline, add, pipeline, now)
    if known is None:
        return
    same = replace(
        pipeline,
        created_at=known.created_at,
        modified_at=known.modified_at,
        version=known.version,
        started_at=known.started_at,
        lineage=known.lineage,
        replay=known.replay,
    )
    if same.sql != known.sql:
        same = replace(same, version=known.version + 1, started_at=now)
    if same != known:
        catalogue.change_pipeline(replace(same, modified_at=now), tables)


def _rename_pipeline(catalogue: Catalogue, old: PipelineObject, pipeline: PipelineObject, now: float) -> None:
    """Put a declared pipeline in the place it had under its old name."""
    lineage = old.lineage or old.id
    new = replace(old, id=pipeline.id, name=pipeline.name, sql=pipeline.sql, lineage=lineage, modified_at=now)
    if new.sql != old.sql:
        new = replace(new, version=old.version + 1, started_at=now)
    with suppress(NoSuchObjectError, ObjectExistsError):  # another process was quicker
        catalogue.rename_pipeline(old.id, new, table_names(pipeline.sql))


def _known_or_added(find: Callable[[str], T | None], add: Callable[[T], object], one: T, now: float) -> T | None:
    """What the catalogue has under this id; None when it was added now."""
    if (known := find(one.id)) is not None:
        return known
    try:
        add(replace(one, created_at=now, modified_at=now))
    except ObjectExistsError:  # another process was quicker
        if (known := find(one.id)) is not None:
            return known
        raise
    return None


def _moved(kind: str, find: Callable[[str], T | None], declared: Iterable[T]) -> Iterator[Problem]:
    """Declared with an id while the name belongs to another one."""
    for one in declared:
        if (known := find(one.name)) is not None and known.id != one.id:
            text = (
                f'The {kind} "{one.name}" exists with the id {known.id}, and is declared with {one.id}. Declare it '
                f"with its own id, choose another name, or delete that one: edge {kind}s delete {known.id}."
            )
            yield Problem(text, at=(f"{kind}s", one.name))


def _orphans(kind: str, what_stays: str, known: Iterable[T], declared: Iterable[T]) -> list[str]:
    ids = {one.id for one in declared}
    return [
        f'The {kind} "{one.name}" is no longer declared. {what_stays}; delete it with: edge {kind}s delete {one.name}'
        for one in known
        if one.origin == "declared" and one.id not in ids
    ]
