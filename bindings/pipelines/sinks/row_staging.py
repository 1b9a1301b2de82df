"""Rows staged for targets that take records, not files: one JSON row a line, behind the position it came from.

    <partition> <offset> <part> <ingest time, us> {"carrier":"AA", ...}

The position is what a target tells repeats by, so it is fixed together with the row before anything is sent. `part`
counts the rows that UNNEST made of one record, from 0.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid5

from .sink import HIDDEN_COLUMNS, OFFSET_COLUMN, PARTITION_COLUMN, TIME_COLUMN, StagedFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from .sink import Rows

FILE_NAME = "rows.staged"


class StagedRow(NamedTuple):
    """A row and where it came from."""

    partition: int
    offset: int
    part: int
    ingested_at_us: int
    json: bytes
    """An object, without a newline."""

    def id_in(self, stream_id: str) -> str:
        """`stream:partition:offset`, and `:part` for the second and later rows of one record."""
        place = f"{stream_id}:{self.partition}:{self.offset}"
        return f"{place}:{self.part}" if self.part else place

    def json_with(self, fields: bytes) -> bytes:
        """The row with more members at its end, given as JSON without braces."""
        return self.json[:-1] + (b"," if len(self.json) > 2 else b"") + fields + b"}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that follow each other in a staged file, `since` and `until` being where they begin and end in bytes."""

    rows: Sequence[StagedRow]
    since: int
    until: int


class RowStager:
    """The Stager of every sink that sends rows."""

    takes_lines = False

    def __init__(self, folder: Path, insert_id: str, epoch: int) -> None:
        self._key = str(uuid5(UUID(insert_id), f"{epoch}"))
        self._file = (folder / FILE_NAME).open("xb")
        self._digest = sha256()
        self._columns: dict[str, None] = {}
        self._row_count = 0
        self.size_bytes = 0

    def write(self, rows: Rows) -> None:
        assert rows.batch is not None, "this stager takes no lines"
        self._columns.update(dict.fromkeys(n for n in rows.batch.schema.names if n not in HIDDEN_COLUMNS))
        data = _lines_of(rows.batch)
        self._file.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)
        self._row_count += rows.batch.num_rows

    def close(self) -> Sequence[StagedFile]:
        """One file, or none when there were no rows."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if not self._row_count:
            return ()
        facts = {"columns": list(self._columns)}
        return (
            StagedFile(FILE_NAME, self._key, self.size_bytes, self._digest.hexdigest(), self._row_count, facts=facts),
        )

    def abandon(self) -> None:
        self._file.close()


def read_chunk(path: Path, since: int, *, bytes_max: int, rows_max: int) -> Chunk:
    """The rows from byte `since` on, at least one unless the file ends there; blocks. Same limits, same chunks."""
    rows: list[StagedRow] = []
    until = since
    with path.open("rb") as file:
        file.seek(since)
        while len(rows) < rows_max and (line := file.readline()):
            if rows and until + len(line) - since > bytes_max:
                break
            partition, offset, part, time_us, row = line[:-1].split(b" ", 4)
            rows.append(StagedRow(int(partition), int(offset), int(part), int(time_us), row))
            until += len(line)
    return Chunk(rows, since, until)


def _lines_of(batch: pa.RecordBatch) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - an extra, loaded when rows come
    import pyarrow.compute as pc  # noqa: PLC0415

    from .json_rows import json_rows  # noqa: PLC0415

    place = [batch.column(name) for name in (PARTITION_COLUMN, OFFSET_COLUMN)]
    time_us = batch.column(TIME_COLUMN).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    columns = [column.cast(pa.string()) for column in (*place, _parts_of(*place), time_us)]
    lines = pc.binary_join_element_wise(*columns, json_rows(batch, end="\n"), " ")
    return "".join(lines.to_pylist()).encode()


def _parts_of(partitions: pa.Array, offsets: pa.Array) -> pa.Array:
    """For each row how many rows of the same record stand before it."""
    import pyarrow as pa  # noqa: PLC0415 - an extra, loaded when rows come

    seen: dict[tuple[int, int], int] = {}
    parts: list[int] = []
    for place in zip(partitions.to_pylist(), offsets.to_pylist(), strict=True):
        part = seen.get(place, 0)
        seen[place] = part + 1
        parts.append(part)
    return pa.array(parts, pa.int32())
