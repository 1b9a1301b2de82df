"""Where a declared pipeline that the catalogue does not have yet begins: in the place of one that vanished, or anew.

A pipeline under a new name is told from a new one by what vanished with it: an old one of the same streams and sinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .admin import table_names
from .catalogue_snapshot import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalogue import Catalogue
    from .declared import Declared
    from .objects import PipelineObject


def find_renamed(catalogue: Catalogue, declared: Declared) -> list[tuple[PipelineObject, PipelineObject]]:
    """The pipelines that are declared under another name: as the catalogue has them, and as they are declared."""
    vanished, renamed = _vanished(catalogue, declared), []
    for pipeline in _new(catalogue, declared):
        tables = _tables(catalogue, declared, pipeline)
        same = [one for one in vanished if catalogue.tables_of(one.id) == tables]
        if same:
            old = max(same, key=lambda one: one.sql.split() == pipeline.sql.split())
            vanished.remove(old)
            renamed.append((old, pipeline))
    return renamed


def told_places(catalogue: Catalogue, declared: Declared) -> Iterator[tuple[str, str]]:
    """Name of a pipeline, and a sentence about where it begins, if that is perhaps not where one thinks."""
    renamed = find_renamed(catalogue, declared)
    for old, new in renamed:
        text = f'The pipeline "{old.name}" is now declared as "{new.name}": it goes on under this name where it was.'
        yield new.name, text
    left = [one for one in _vanished(catalogue, declared) if one.id not in {old.id for old, _ in renamed}]
    for pipeline in _new(catalogue, declared):
        if pipeline.id in {new.id for _, new in renamed} or catalogue.has_departed(pipeline.id):
            continue
        streams = _tables(catalogue, declared, pipeline).stream_ids
        for old in left:
            if shared := [one for one in streams if one in catalogue.tables_of(old.id).stream_ids]:
                names = " and ".join(stream.name for stream in map(catalogue.stream, shared) if stream)
                text = (
                    f'The pipeline "{pipeline.name}" is new, and begins at the oldest record that the log of {names} '
                    f'has. "{old.name}", which reads that too and is no longer declared, goes on beside it. If this is '
                    f"that one under a new name: rename it alone, and change its streams or sinks at a later start."
                )
                yield pipeline.name, text


def _new(catalogue: Catalogue, declared: Declared) -> list[PipelineObject]:
    """Those that a start would make or rename."""
    return [
        one for one in declared.pipelines if catalogue.pipeline(one.id) is None and catalogue.pipeline(one.name) is None
    ]


def _vanished(catalogue: Catalogue, declared: Declared) -> list[PipelineObject]:
    ids = {one.id for one in declared.pipelines}
    return [one for one in catalogue.pipelines() if one.origin == "declared" and one.id not in ids]


def _tables(catalogue: Catalogue, declared: Declared, pipeline: PipelineObject) -> Tables:
    """What a declared pipeline reads and writes, once its streams and sinks are in the catalogue."""
    names = table_names(pipeline.sql)
    streams = {one.name: one.id for one in (*catalogue.streams(), *declared.streams)}
    sinks = {one.name: one.id for one in (*catalogue.sinks(), *declared.sinks)}
    return Tables(
        tuple(dict.fromkeys(streams[name] for name in names.streams if name in streams)),
        tuple(dict.fromkeys(sinks[name] for name in names.sinks if name in sinks)),
    )
