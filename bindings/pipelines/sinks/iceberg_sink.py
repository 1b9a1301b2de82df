"""The Sink on an Iceberg table: Parquet files of one day each, staged here, published by iceberg_table.py."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ..stream_log.disk import Disk, write_file
from .addresses import require_public
from .file_layout import FileLayout
from .file_stager import FileStager, published_files
from .iceberg_columns import INGEST_COLUMN, IcebergColumns
from .iceberg_errors import as_sink_errors
from .iceberg_table import IcebergTable
from .iceberg_upkeep import expire_snapshots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..objects import SinkObject
    from .iceberg_place import TablePlace
    from .sink import Published, Roll, Rows, SinkSite, StagedFile, Stager

INTERVAL_SECONDS_MIN = 60.0
"""Hosted catalogs take no shorter roll interval. Source: Cloudflare docs, Pipelines "R2 Data Catalog sink"."""
LAYOUT = FileLayout("data", f"{INGEST_COLUMN}_day=%Y-%m-%d")
"""A file must be of one day, the table's partition."""


class IcebergSink:
    """One table."""

    promise: Literal["exactly once"] = "exactly once"

    def __init__(self, place: TablePlace, sink: SinkObject, site: SinkSite, *, public_urls: Sequence[str] = ()) -> None:
        """Write to the table at `place`. `public_urls` must be on the public internet."""
        self._place = place
        self._form = replace(sink.format, type="parquet")
        self._host = site.host
        self._public_urls = public_urls
        self._turn = asyncio.Lock()
        self._table = IcebergTable(place, state_id(site.host))
        interval_s = sink.rolling_policy.interval_seconds or site.default_interval_s
        if interval_s < INTERVAL_SECONDS_MIN:
            self._host.log.warning(
                "iceberg_interval_short",
                sink=sink.name,
                interval_s=interval_s,
                hosted_interval_s_min=INTERVAL_SECONDS_MIN,
            )

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> Stager:
        return _IcebergStager(FileStager(folder, insert_id, epoch, form=self._form, layout=LAYOUT))

    async def publish(self, roll: Roll, folder: Path) -> Published:
        for url in self._public_urls:
            await require_public(url)
        if roll.files:
            async with self._turn:  # one transaction at a time: two of one process would only refuse each other
                await asyncio.to_thread(self._publish, roll, folder)
        return published_files(roll)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._table.close)

    def _publish(self, roll: Roll, folder: Path) -> None:
        try:
            with as_sink_errors(self._place):
                table = self._table.publish(roll, folder)
        except Exception:
            self._table.close()  # the next try begins with a new catalog
            raise
        if self._table.made(table):
            expire_snapshots(table, self._place, self._host)


class _IcebergStager:
    """Writes the table's columns as Parquet."""

    takes_lines = False

    def __init__(self, files: FileStager) -> None:
        self._files = files
        self._columns = IcebergColumns()

    @property
    def size_bytes(self) -> int:
        return self._files.size_bytes

    def write(self, rows: Rows) -> None:
        assert rows.batch is not None, "this stager takes no lines"
        self._files.write(replace(rows, batch=self._columns.convert(rows.batch)))

    def close(self) -> Sequence[StagedFile]:
        return self._files.close()

    def abandon(self) -> None:
        self._files.abandon()


def state_id(host: Any) -> str:
    """The id of this state folder, made once: tells its tables from those of a state that was deleted."""
    path: Path = host.state_dir / "iceberg" / "state_id"
    if not path.exists():
        disk, own = Disk(), path.with_name(f".{host.new_id()}")
        disk.make_folder(path.parent)
        write_file(disk, own, host.new_id().encode())
        with suppress(FileExistsError):  # another process was first
            disk.link(own, path)
        disk.unlink(own)
        disk.sync_folder(path.parent)
    return path.read_text()
