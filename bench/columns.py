"""Checking records against a schema and making columns of them, beside the libraries' own bare reading."""

from __future__ import annotations

import json
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
from figures import Figure, at_least
from pyarrow import json as arrow_json
from streams import record

from edge.bindings.pipelines.schemas.columns import ColumnBuilder
from edge.bindings.pipelines.schemas.schema_json import schema_from_json
from edge.bindings.pipelines.schemas.validation import RecordChecker

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 9
COUNT = 10_000
_TYPES = {int: "int64", str: "string", float: "float64", bool: "bool"}


def figures() -> list[Figure]:
    texts = [json.dumps(record(1000 + number), separators=(",", ":")).encode() for number in range(COUNT)]
    lines = b"".join(text + b"\n" for text in texts)
    array = b"[" + b",".join(texts[:100]) + b"]"
    fields = [{"name": name, "type": _TYPES[type(value)], "required": True} for name, value in record(1000).items()]
    checker, builder = RecordChecker(schema := schema_from_json({"fields": fields})), ColumnBuilder(schema)
    unstructured = ColumnBuilder(None)

    split_only = msgspec.json.Decoder(list[msgspec.Raw])
    bare = arrow_json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    columns = arrow_json.ParseOptions(explicit_schema=builder.arrow_schema)
    bare_split = _per_second(lambda: split_only.decode(array), 100)
    bare_arrow = _per_second(
        lambda: arrow_json.read_json(pa.BufferReader(lines), read_options=bare, parse_options=columns), COUNT
    )

    def figure(what: str, work: Callable[[], object], count: int, target: float, beside: tuple[str, float]) -> Figure:
        measured = _per_second(work, count)
        told = f"{beside[0]}: {beside[1]:,.0f} records/s, so {measured / beside[1]:.2f} of it"
        return at_least(f"{what}, 200 B each", measured, target, unit=" records/s", beside=told)

    splitting, reading = ("msgspec splits the array only", bare_split), ("bare pyarrow.json", bare_arrow)
    return [
        figure("check 100 records", lambda: checker.check(array, is_lines=False), 100, 1e6, splitting),
        figure("columns of 10,000 checked records", lambda: builder.build(lines, is_checked=True), COUNT, 1e6, reading),
        figure("columns of 10,000 unchecked records", lambda: builder.build(lines), COUNT, 5e5, reading),
        figure("columns of 10,000 unstructured records", lambda: unstructured.build(lines), COUNT, 1e6, reading),
    ]


def _per_second(work: Callable[[], object], count: int) -> float:
    """Median over rounds that each take long enough to be timed."""
    repeats = max(1, COUNT // count)
    rates = []
    for _ in range(ROUNDS):
        start = perf_counter()
        for _ in range(repeats):
            work()
        rates.append(repeats * count / (perf_counter() - start))
    return sorted(rates)[ROUNDS // 2]
