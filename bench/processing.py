"""Mask, filter and sample between the log and the SQL: what one process makes of records of 200 B, columns included."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import msgspec
from figures import Figure, at_least
from streams import record

from edge.bindings.pipelines.delivery.columns import StreamColumns
from edge.bindings.pipelines.delivery.feed import Chunk
from edge.bindings.pipelines.objects import StreamObject
from edge.bindings.pipelines.processing.declared import FilterStep, MaskStep, SampleStep
from edge.bindings.pipelines.processing.processor import Processor
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.stream_log.frame_extra import FrameExtra

RECORDS = 10_000
ROUNDS = 9
STEPS = (
    MaskStep("mask", detectors=("card",)),
    FilterStep("filter", "ms >= 0"),
    SampleStep("sample", 0.5, always="ok = false"),
)


def figures() -> list[Figure]:
    with_steps, without = _per_second(Processor(STEPS, "events", Path())), _per_second(None)
    beside = f"the same columns without steps {without:,.0f} records/s; a tenth of the records hold a card number"
    return [at_least("mask + filter + sample of 200 B records", with_steps, 150_000, unit=" records/s", beside=beside)]


def _per_second(processor: Processor | None) -> float:
    columns = StreamColumns(_stream(), processor)
    lines = b"".join(msgspec.json.encode(_record(n)) + b"\n" for n in range(RECORDS))
    took: list[float] = []
    for _ in range(ROUNDS):
        chunk = Chunk(0, 0, RECORDS, bodies=[lines], firsts=[0], counts=[RECORDS], times_us=[0], extras=[FrameExtra()])
        started_at = time.perf_counter()
        columns.of(chunk)
        took.append(time.perf_counter() - started_at)
    return RECORDS / median(took)


def _record(n: int) -> dict[str, object]:
    one = dict(record(n))
    if n % 10 == 0:
        one["note"] = "paid with 4111 1111 1111 1111"
    return one


def _stream() -> StreamObject:
    fields = (
        Field("int64", "id", required=True),
        Field("string", "user", required=True),
        Field("string", "kind"),
        Field("string", "path"),
        Field("float64", "ms"),
        Field("bool", "ok"),
        Field("string", "note"),
    )
    return StreamObject("0" * 32, "events", 0.0, 0.0, schema=Schema(fields))
