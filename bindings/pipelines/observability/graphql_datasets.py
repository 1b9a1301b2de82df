"""The four datasets of Cloudflare's GraphQL API that tell of pipelines: their columns, their rows, and groups of rows.

Times are to the minute, and the last day is there. A record counts in the minute in which its roll was committed.
Source: Cloudflare docs, Pipelines "Metrics and analytics"; spec "Pipelines" 1.5. What the single errors' text is called
there is unverified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..delivery.counts import minute_counts, user_errors
from .user_errors import SHOWN_S, recent_user_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..._shared.sqlite_facts import Facts
    from ..delivery.store import InsertKey

ROWS_MAX = 10_000
"""Most that a query may ask for, and single errors that are looked at."""
STRING, TIME, DATE = "string", "Time", "Date"
TIMES = {"date": DATE, "datetime": TIME, "datetimeHour": TIME, "datetimeMinute": TIME}

Row = dict[str, Any]
"""Column -> value; times as text, which sorts."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One field of an account."""

    name: str
    columns: Mapping[str, str]
    """Column -> type. Of a group: its dimensions."""
    sums: tuple[str, ...]
    """What `sum` has."""
    is_grouped: bool
    rows: Callable[[Source], Iterator[Row]]

    @property
    def has_count(self) -> bool:
        return self.is_grouped and not self.sums


@dataclass(frozen=True, slots=True)
class Source:
    """What the rows are made of."""

    facts: Facts
    inserts: Mapping[str, InsertKey]
    now: float

    @property
    def since(self) -> float:
        return self.now - SHOWN_S

    def firsts(self) -> set[str]:
        """Of the INSERTs of a pipeline that read the same stream the first: the others read the same records again."""
        ordered = sorted(self.inserts.values(), key=lambda key: key.position, reverse=True)
        return set({(key.pipeline_id, key.stream_id): key.id for key in ordered}.values())


def grouped(dataset: Dataset, rows: Iterable[Row], dimensions: Sequence[str]) -> list[Row]:
    """One row for each combination of the dimensions, with the sums and the count of its rows."""
    groups: dict[tuple[Any, ...], Row] = {}
    added = dataset.sums or ("count",)
    for row in rows:
        values = tuple(row[name] for name in dimensions)
        group = groups.setdefault(values, dict(zip(dimensions, values, strict=True)) | dict.fromkeys(added, 0))
        for name in added:
            group[name] += row.get(name, 0)
    return list(groups.values())


def is_wanted(row: Row, wanted: Mapping[str, Any]) -> bool:
    """Whether a row passes a filter: column or column_operator -> value, all of them."""
    for key, value in wanted.items():
        name, _, operator = key.partition("_")
        if not OPERATORS[operator](row[name], value):
            return False
    return True


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda one, other: one == other,
    "neq": lambda one, other: one != other,
    "in": lambda one, others: one in others,
    "notin": lambda one, others: one not in others,
    "gt": lambda one, other: one > other,
    "geq": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "leq": lambda one, other: one <= other,
}
LISTED = ("in", "notin")
"""Operators whose value is a list."""


def _operators(source: Source) -> Iterator[Row]:
    firsts = source.firsts()
    for one in minute_counts(source.facts, source.since):
        key = source.inserts.get(one.insert_id)
        if key is not None and key.id in firsts and one.name in OPERATOR_SUMS:
            ids = {"pipelineId": key.pipeline_id, "streamId": key.stream_id}
            yield {**ids, **_times(one.at), one.name: int(one.value)}


def _sinks(source: Source) -> Iterator[Row]:
    for one in minute_counts(source.facts, source.since):
        key = source.inserts.get(one.insert_id)
        if key is not None and one.name in SINK_SUMS:
            ids = {"pipelineId": key.pipeline_id, "sinkId": key.sink_id}
            yield {**ids, **_times(one.at), one.name: int(one.value)}


def _error_groups(source: Source) -> Iterator[Row]:
    firsts = source.firsts()
    for one in user_errors(source.facts, source.since):
        key = source.inserts.get(one.insert_id)
        if key is not None and (one.family != "deserialization" or key.id in firsts):
            kind = {"pipelineId": key.pipeline_id, "errorFamily": one.family, "errorType": one.kind}
            yield {**kind, **_times(one.at), "count": one.count}


def _errors(source: Source) -> Iterator[Row]:
    readers: dict[str, dict[str, None]] = {}
    for key in source.inserts.values():
        readers.setdefault(key.stream_id, {})[key.pipeline_id] = None
    for one in recent_user_errors(source.facts, source.since, ROWS_MAX):
        failed_in = source.inserts.get(one.insert_id)
        for pipeline_id in [failed_in.pipeline_id] if failed_in else readers.get(one.stream_id, ()):
            kind = {"pipelineId": pipeline_id, "errorFamily": one.family, "errorType": one.kind}
            yield {**kind, "datetime": _text(one.at), "errorMessage": one.message}


def _times(at: float) -> Row:
    minute = _text(at)
    return {
        "date": minute[:10],
        "datetime": minute,
        "datetimeHour": f"{minute[:14]}00:00Z",
        "datetimeMinute": minute,
    }


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


OPERATOR_SUMS = ("recordsIn", "bytesIn", "decodeErrors")
SINK_SUMS = ("recordsWritten", "bytesWritten", "filesWritten", "rowGroupsWritten", "uncompressedBytesWritten")
_KIND = {"pipelineId": STRING, "errorFamily": STRING, "errorType": STRING}

DATASETS = (
    Dataset(
        "pipelinesOperatorAdaptiveGroups",
        {"pipelineId": STRING, "streamId": STRING, **TIMES},
        OPERATOR_SUMS,
        is_grouped=True,
        rows=_operators,
    ),
    Dataset(
        "pipelinesSinkAdaptiveGroups",
        {"pipelineId": STRING, "sinkId": STRING, **TIMES},
        SINK_SUMS,
        is_grouped=True,
        rows=_sinks,
    ),
    Dataset("pipelinesUserErrorsAdaptiveGroups", {**_KIND, **TIMES}, (), is_grouped=True, rows=_error_groups),
    Dataset(
        "pipelinesUserErrorsAdaptive",
        {**_KIND, "datetime": TIME, "errorMessage": STRING},
        (),
        is_grouped=False,
        rows=_errors,
    ),
)
