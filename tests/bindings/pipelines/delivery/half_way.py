"""A sink that fails with half of a roll in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import RollingPolicy, SinkFormat, SinkObject
from edge.bindings.pipelines.sinks.local_folder import LocalSink
from edge.bindings.pipelines.sinks.sink import SinkUnavailableError
from edge.bindings.pipelines.sinks.types import local

if TYPE_CHECKING:
    from pathlib import Path

    from edge.bindings.pipelines.sinks.sink import Published, Roll

    from .place import Place

MADE_AT = 5.0
"""When `old` was made, Unix seconds."""


class HalfWay:
    """A sink type whose sink `old` takes one file of each roll, then no more, until it is up."""

    Config = local.Config
    SECRETS = ()

    def __init__(self) -> None:
        self.is_up = False

    def open_sink(self, sink: SinkObject, site: Any) -> LocalSink:
        kind = self

        class HalfWaySink(LocalSink):
            async def publish(self, roll: Roll, folder: Path) -> Published:
                if kind.is_up or sink.name != "old":
                    return await super().publish(roll, folder)
                await super().publish(replace(roll, files=roll.files[:1]), folder)
                raise SinkUnavailableError("The far end does not answer.")

        inner = local.open_sink(sink, site)
        return HalfWaySink(inner._folder, inner._form, inner._layout)


def add_old_sink(place: Place) -> None:
    """`old`, which has a file of each second in which records came."""
    config = {"path": "out/old", "partitioning": {"time_pattern": "%H-%M-%S"}}
    policy = RollingPolicy(interval_seconds=0.02)
    place.catalogue.add_sink(
        SinkObject(id_of("sink", "old"), "old", "local", MADE_AT, MADE_AT, config, SinkFormat("json"), policy)
    )
