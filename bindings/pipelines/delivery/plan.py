"""What is to run: every INSERT of every pipeline in the catalogue, and a check of each stream nobody reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ids import id_of
from ..sql.statements import SqlError, parse_pipeline
from .store import InsertKey

if TYPE_CHECKING:
    from ....runtime.core.errors import EdgeError
    from ..catalogue import Catalogue
    from ..objects import PipelineObject, SinkObject, StreamObject
    from ..sql.statements import Insert


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """One INSERT with what it names. Equal plans need no restart."""

    key: InsertKey
    stream: StreamObject | None = None
    pipeline: PipelineObject | None = None
    """None: only the stream's schema is checked."""
    insert: Insert | None = None
    sink: SinkObject | None = None
    problem: EdgeError | None = None
    """Why it cannot run: its SQL makes no sense any more."""
    is_ending: bool = False
    """It is no more, but for a roll that is half out (succession.py)."""
    is_moved: bool = False
    """Who waits for its end writes to another sink."""

    @property
    def name(self) -> str:
        """For logs."""
        if self.pipeline is not None:
            return self.pipeline.name
        if self.sink is not None:
            return f"last roll to {self.sink.name}"
        return f"check of {self.stream.name}" if self.stream else "check"


def decide_plan(catalogue: Catalogue) -> dict[str, InsertPlan]:
    """Insert id -> plan."""
    plans: list[InsertPlan] = []
    for pipeline in catalogue.pipelines():
        plans += _plans_of(pipeline, catalogue)
    read = {plan.key.stream_id for plan in plans}
    for stream in catalogue.streams():
        if stream.schema is not None and stream.id not in read:
            plans.append(InsertPlan(InsertKey(id_of("check", stream.id), "", 0, stream.id, ""), stream))
    return {plan.key.id: plan for plan in plans}


def _plans_of(pipeline: PipelineObject, catalogue: Catalogue) -> list[InsertPlan]:
    try:
        inserts = parse_pipeline(pipeline.sql)
    except SqlError as error:
        return [InsertPlan(_broken_key(pipeline, 0), pipeline=pipeline, problem=error)]
    plans: list[InsertPlan] = []
    ordinals: Counter[tuple[str, str]] = Counter()
    for position, insert in enumerate(inserts):
        stream, sink = catalogue.stream(insert.stream), catalogue.sink(insert.sink)
        if stream is None or sink is None:
            missing = f'stream "{insert.stream}"' if stream is None else f'sink "{insert.sink}"'
            problem = SqlError(f"There is no {missing} any more. Make it again, or delete the pipeline.")
            plans.append(InsertPlan(_broken_key(pipeline, position), pipeline=pipeline, problem=problem))
            continue
        key = _key(pipeline, position, stream, sink, ordinals[stream.id, sink.id])
        ordinals[stream.id, sink.id] += 1
        plans.append(InsertPlan(key, stream, pipeline, insert, sink))
    return plans


def _key(pipeline: PipelineObject, position: int, stream: StreamObject, sink: SinkObject, ordinal: int) -> InsertKey:
    """What stays the same while SQL is edited, INSERTs change places, and a pipeline is deleted and made again.

    So the offsets of a stream in a sink have one account, and nothing goes there twice. A stream or a sink that was
    made anew is another one: its time says so. A replay has an id of its own: what goes twice is meant to.
    """
    ends = f"{stream.id}@{stream.created_at}/{sink.id}@{sink.created_at}"
    place = f"{pipeline.lineage or pipeline.id}/{ends}/{ordinal}"
    replay = f"/{pipeline.replay.asked_at}" if pipeline.replay else ""
    insert_id, account = id_of("insert", f"{place}{replay}"), id_of("insert", place)
    return InsertKey(insert_id, pipeline.id, position, stream.id, sink.id, account, sink.created_at)


def _broken_key(pipeline: PipelineObject, position: int) -> InsertKey:
    """Of an INSERT that cannot run: it has a place to show its failure, and no records."""
    return InsertKey(id_of("insert", f"{pipeline.id}/broken/{position}"), pipeline.id, position, "", "")
