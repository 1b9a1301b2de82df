"""Stages one roll as files: one per folder of the layout, written by the format's own writer.

Sinks that deliver files (local, r2, s3) stage with this and differ in how they publish.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..stream_log.disk import Disk
from .ndjson import open_ndjson
from .parquet import open_parquet
from .sink import Published, StagedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..objects import SinkFormat
    from .file_layout import FileLayout
    from .sink import Roll, Rows
    from .staged_file import FileWriter

OPEN_FILES_MAX = 32
"""Files one roll writes to at once; beyond it the one that was used the longest ago is closed."""
BUFFERED_BYTES_MAX = 64 * 1024 * 1024
"""Rows that all writers of one roll hold in memory together."""


class FileStager:
    """The Stager of file formats (sink.py says what its methods promise)."""

    def __init__(
        self,
        folder: Path,
        insert_id: str,
        epoch: int,
        *,
        form: SinkFormat,
        layout: FileLayout,
        disk: Disk | None = None,
    ) -> None:
        self.takes_lines = form.type == "json"
        self._folder = folder
        self._insert_id = insert_id
        self._epoch = epoch
        self._layout = layout
        self._form = form
        self._disk = disk or Disk()
        self._open: dict[str, _Part] = {}
        """Folder of the layout -> the file being written there; the one used the longest ago is first."""
        self._part_counts: dict[str, int] = {}
        self._finished: list[StagedFile] = []

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self._finished) + sum(p.writer.size_bytes for p in self._open.values())

    def write(self, rows: Rows) -> None:
        if rows.lines is not None:
            assert self.takes_lines, "log lines are for NDJSON only"
            if rows.lines:
                self._to(self._layout.folder_of(rows.ingested_at_us), rows.count).write_lines(rows.lines)
            return
        assert rows.batch is not None, "rows are a batch or lines"
        for place, batch in self._layout.split(rows.batch):
            self._to(place, batch.num_rows).write(batch)
        if len(self._open) > 1:
            self._bound_buffers()

    def close(self) -> Sequence[StagedFile]:
        for place in list(self._open):
            self._finish(place)
        return tuple(self._finished)

    def abandon(self) -> None:
        for part in self._open.values():
            part.writer.abandon()
        self._open.clear()

    def _to(self, place: str, row_count: int) -> FileWriter:
        part = self._open.pop(place, None)
        if part is None:
            if len(self._open) >= OPEN_FILES_MAX:
                self._finish(next(iter(self._open)))
            part = self._open_part(place)
        self._open[place] = part  # to the end: the latest used
        part.row_count += row_count
        return part.writer

    def _open_part(self, place: str) -> _Part:
        number = self._part_counts.get(place, 0)
        self._part_counts[place] = number + 1
        open_writer, ending = writer_of(self._form)
        name = f"{len(self._finished) + len(self._open)}.{ending}"
        key = self._layout.key(self._insert_id, self._epoch, place, number, ending)
        return _Part(name, key, open_writer(self._disk, self._folder / name, self._form))

    def _finish(self, place: str) -> None:
        part = self._open[place]
        done = part.writer.finish()
        del self._open[place]
        facts = {"uncompressed_bytes": done.uncompressed_bytes, "row_groups": done.row_group_count}
        self._finished.append(StagedFile(part.name, part.key, done.size_bytes, done.sha256, part.row_count, facts))

    def _bound_buffers(self) -> None:
        writers = [part.writer for part in self._open.values()]
        while sum(writer.buffered_bytes for writer in writers) > BUFFERED_BYTES_MAX:
            max(writers, key=lambda writer: writer.buffered_bytes).flush()


@dataclass(slots=True)
class _Part:
    name: str
    key: str
    writer: FileWriter
    row_count: int = field(default=0)


def writer_of(form: SinkFormat) -> tuple[Callable[[Disk, Path, SinkFormat], FileWriter], str]:
    """What opens a writer of a format, and how its files' names end."""
    if form.type == "parquet":
        return open_parquet, "parquet"
    return open_ndjson, "json.gz" if form.compression == "gzip" else "json"


def published_files(roll: Roll) -> Published:
    """What publishing a roll of files wrote, in the hosted metrics' names."""

    def total(name: str) -> Any:
        return sum(file.facts.get(name, 0) for file in roll.files)

    return Published(
        files_written=len(roll.files),
        bytes_written=sum(file.size_bytes for file in roll.files),
        uncompressed_bytes_written=total("uncompressed_bytes"),
        row_groups_written=total("row_groups"),
        rows_written=sum(file.row_count for file in roll.files),
    )
