"""Where a delivered file goes: `path/`, the folders of its time, a UUID that is the same on every retry.

The time is when a record was accepted (`__edge_ingested_at`), in UTC.
Source: Cloudflare docs, Pipelines "R2 sink" (`path`, `partitioning.time_pattern`); spec "Pipelines" 5.6 (names).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import pyarrow as pa
import pyarrow.compute as pc

from .sink import TIME_COLUMN, SinkMisconfiguredError
from .time_pattern import DIRECTIVES, TIME_PATTERN, folder_of, problem_of_path, problem_of_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNITS = ("day", "hour", "minute", "second")
_UNIT_US = {"day": 86_400_000_000, "hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The folders and names of one sink's files."""

    path: str = ""
    """Before everything, without slashes at its ends."""
    time_pattern: str = TIME_PATTERN

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            SinkMisconfiguredError: a directive is unknown, or a part would leave the sink's folder.
        """
        if problem := problem_of_path(self.path, "path") or problem_of_pattern(self.time_pattern):
            raise SinkMisconfiguredError(problem)

    def folder_of(self, ingested_at_us: int) -> str:
        """The folders of a time, without slashes at the ends."""
        return folder_of(self.time_pattern, ingested_at_us)

    def span_of(self, ingested_at_us: int) -> int:
        """The number of the smallest span of time the pattern can tell apart: equal spans have equal folders."""
        return ingested_at_us // _UNIT_US[self._unit()]

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """The rows by folder. Almost always all of them are in one."""
        times = batch.column(TIME_COLUMN).cast("int64")
        bounds = pc.min_max(times)
        if not batch.num_rows:
            return
        if self.span_of(bounds["min"].as_py()) == self.span_of(bounds["max"].as_py()):
            yield self.folder_of(bounds["min"].as_py()), batch
            return
        unit_us = _UNIT_US[self._unit()]
        spans = pc.divide(times, unit_us)
        places: dict[str, list[int]] = {}
        for span in pc.unique(spans).to_pylist():
            places.setdefault(self.folder_of(span * unit_us), []).append(span)
        for place, of_place in places.items():
            yield place, batch.filter(pc.is_in(spans, pa.array(of_place)))

    def key(self, insert_id: str, epoch: int, folder: str, part: int, ending: str) -> str:
        """The key of a file: the same for the same roll, folder and part, and of nothing else."""
        name = uuid5(UUID(insert_id), f"{epoch}/{part}/{folder}")
        return "/".join(piece for piece in (self.path.strip("/"), folder, f"{name}.{ending}") if piece)

    def _unit(self) -> str:
        letters = re.findall(r"%(.)", self.time_pattern, re.DOTALL)
        return max((DIRECTIVES[letter] for letter in letters), key=_UNITS.index, default="day")


def require_inside(path: str, what: str) -> None:
    """Refuse a key, path or pattern that names something outside of the sink's folder.

    Raises:
        SinkMisconfiguredError: it does.
    """
    if problem := problem_of_path(path, what):
        raise SinkMisconfiguredError(problem)
