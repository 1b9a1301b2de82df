"""What the catalogue holds at one version, decoded and ready to look things up in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from .objects import PipelineObject, SinkObject, StreamObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._shared.sqlite_facts import Facts

Kind: TypeAlias = Literal["stream", "sink", "pipeline"]
T = TypeVar("T", StreamObject, SinkObject, PipelineObject)


@dataclass(frozen=True, slots=True)
class Tables:
    """What a pipeline reads from and writes to: ids."""

    stream_ids: tuple[str, ...] = ()
    sink_ids: tuple[str, ...] = ()

    def __contains__(self, table_id: str) -> bool:
        return table_id in self.stream_ids or table_id in self.sink_ids


class Shelf(Generic[T]):
    """The objects of one kind, in order of their names."""

    def __init__(self, objects: list[T]) -> None:
        self._by_id: dict[str, T] = {one.id: one for one in objects}
        self._by_name: dict[str, T] = {one.name: one for one in objects}

    def all(self) -> list[T]:
        return list(self._by_id.values())

    def find(self, id_or_name: str) -> T | None:
        """An id comes before a name."""
        return self._by_id.get(id_or_name) or self._by_name.get(id_or_name)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, at a version."""

    version: int = -1
    streams: Shelf[StreamObject] = field(default_factory=lambda: Shelf([]))
    sinks: Shelf[SinkObject] = field(default_factory=lambda: Shelf([]))
    pipelines: Shelf[PipelineObject] = field(default_factory=lambda: Shelf([]))
    tables: Mapping[str, Tables] = field(default_factory=dict)
    """Pipeline id -> its tables; each pipeline is in it."""


def read_snapshot(facts: Facts, version: int) -> Snapshot:
    """Read and decode everything; `version` is what was counted before."""
    values: dict[str, list[Any]] = {"stream": [], "sink": [], "pipeline": []}
    for kind, value in facts.read("SELECT kind, value FROM objects ORDER BY name"):
        values[kind].append(value)
    pipelines = [msgspec.json.decode(value, type=PipelineObject) for value in values["pipeline"]]
    used: dict[str, dict[str, list[str]]] = {one.id: {"stream": [], "sink": []} for one in pipelines}
    for pipeline_id, kind, table_id in facts.read("SELECT pipeline_id, kind, id FROM tables ORDER BY position"):
        if pipeline_id in used:
            used[pipeline_id][kind].append(table_id)
    return Snapshot(
        version,
        Shelf([msgspec.json.decode(value, type=StreamObject) for value in values["stream"]]),
        Shelf([msgspec.json.decode(value, type=SinkObject) for value in values["sink"]]),
        Shelf(pipelines),
        {id_: Tables(tuple(one["stream"]), tuple(one["sink"])) for id_, one in used.items()},
    )
