"""Where deleted pipelines were in their logs: one that is made again under the same name goes on there.

The place itself is in the delivery store, found by a pipeline's lineage and the last replay of it (delivery/plan.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from .ids import id_of
from .objects import PipelineObject

if TYPE_CHECKING:
    from .._shared.sqlite_facts import Connection

DEPARTED = "CREATE TABLE departed (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
"""The newest pipeline of each id that was deleted or renamed, as the table `objects` had it."""


def remember_place(connection: Connection, pipeline_id: str) -> None:
    """Keep what a pipeline is about to be deleted with."""
    query = "INSERT OR REPLACE INTO departed SELECT id, value FROM objects WHERE kind = 'pipeline' AND id = ?"
    connection.execute(query, (pipeline_id,))


def in_its_place(connection: Connection, pipeline: PipelineObject) -> PipelineObject:
    """A new pipeline at the place that one of its id had; at one of its own where that is another's by now."""
    for (value,) in connection.execute("SELECT value FROM departed WHERE id = ?", (pipeline.id,)):
        was = msgspec.json.decode(value, type=PipelineObject)
        pipeline = replace(pipeline, lineage=was.lineage, replay=was.replay)
    for (value,) in connection.execute("SELECT value FROM objects WHERE kind = 'pipeline'"):
        other = msgspec.json.decode(value, type=PipelineObject)
        if (other.lineage or other.id) == (pipeline.lineage or pipeline.id):
            lineage = id_of("lineage", f"{pipeline.id}/{pipeline.created_at}")
            return replace(pipeline, lineage=lineage, replay=None)
    return pipeline
