"""`edge pipelines compact`: small data files of an Iceberg table joined, and files removed that no snapshot names.

A roll makes a file per day it touches, so a table of short rolls has many small ones. Joining reads them and writes
one, row group by row group; one transaction then exchanges them, so a reader sees the same rows before and after. Rolls
may be published meanwhile. The old files go with the snapshots that name them (iceberg_upkeep.py).

A crash, or a commit that others made impossible, leaves files that no snapshot names. They are removed once they are
older than a day: what a roll has uploaded is uploaded again by its next try, so only a younger file can be in use.
Source: Iceberg docs, "Maintenance"; spec "Pipelines" 5.7.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from pyarrow.fs import FileSelector
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO, parquet_file_to_data_file

from .iceberg_errors import as_sink_errors
from .iceberg_sink import state_id
from .iceberg_table import COMMIT_TRIES_MAX, IcebergTable
from .iceberg_upkeep import files_of
from .sink import SinkMisconfiguredError, SinkUnavailableError
from .types import iceberg, r2_data_catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from ..objects import SinkObject

JOINED_BYTES = 128 * 1024 * 1024
"""About the size of a joined file; a file above half of it is left alone."""
ORPHAN_AGE_SECONDS = 86_400.0
ORPHAN_ENDINGS = (".parquet", ".avro", ".metadata.json")
"""What Edge and pyiceberg write; anything else below the table is not ours to judge."""
ROWS_AT_ONCE = 64 * 1024


@dataclass(slots=True)
class Compacted:
    """What was done."""

    joined_count: int = 0
    """Files that are in another one now."""
    made_count: int = 0
    removed_count: int = 0
    """Files that nothing named."""


def compact_sink(
    sink: SinkObject, host: Any, on_joined: Callable[[int, int], None] = lambda _done, _of: None
) -> Compacted:
    """Compact the table of an iceberg or r2_data_catalog sink. Raises the sinks' two errors."""
    kind = iceberg if sink.type == "iceberg" else r2_data_catalog
    place = kind.place_of(sink, host.state_dir)
    table = IcebergTable(place, state_id(host))
    with as_sink_errors(place):
        try:
            return compact(table, host, on_joined)
        except NoSuchTableError as error:
            raise SinkMisconfiguredError(f"{place} has not been made yet: the first records make it.") from error
        finally:
            table.close()


def compact(
    table: IcebergTable, host: Any, on_joined: Callable[[int, int], None] = lambda _done, _of: None
) -> Compacted:
    """Join and remove; blocks. `on_joined` hears how many of the files to be joined are done.

    Raises:
        SinkMisconfiguredError: this Edge did not make the table.
        SinkUnavailableError: others kept changing it; what was joined so far stays joined.
        NoSuchTableError: it has not been made yet.
    """
    loaded = table.load()
    if not table.made(loaded):
        raise SinkMisconfiguredError(f"{table.place} was not made by this Edge. Compact it with what made it.")
    done = Compacted()
    bins = list(_bins(loaded))
    total_count = sum(map(len, bins))
    for files in bins:
        _join(table, files, host.new_id())
        done.joined_count += len(files)
        done.made_count += 1
        on_joined(done.joined_count, total_count)
    done.removed_count = _remove_orphans(table.load(), host.now() - ORPHAN_AGE_SECONDS)
    return done


def _bins(table: Table) -> Iterator[list[DataFile]]:
    """Small files of one day each, as many as make a joined one; at least two."""
    days: dict[str, list[DataFile]] = {}
    for task in table.scan().plan_files():
        if not task.delete_files and task.file.file_size_in_bytes < JOINED_BYTES // 2:
            days.setdefault(str(task.file.partition), []).append(task.file)
    for day in sorted(days):
        some: list[DataFile] = []
        size_bytes = 0
        for file in sorted(days[day], key=lambda one: one.file_path):
            if some and size_bytes + file.file_size_in_bytes > JOINED_BYTES:
                if len(some) > 1:
                    yield some
                some, size_bytes = [], 0
            some.append(file)
            size_bytes += file.file_size_in_bytes
        if len(some) > 1:
            yield some


def _join(table: IcebergTable, files: list[DataFile], name: str) -> None:
    loaded = table.load()
    location = f"{files[0].file_path.rpartition('/')[0]}/{name}.parquet"
    _write_joined(loaded, [file.file_path for file in files], location)
    for _ in range(COMMIT_TRIES_MAX):
        with suppress(CommitFailedException):
            joined = parquet_file_to_data_file(loaded.io, loaded.metadata, location)
            with loaded.transaction() as transaction, transaction.update_snapshot().overwrite() as exchange:
                for file in files:
                    exchange.delete_data_file(file)
                exchange.append_data_file(joined)
            return
        loaded = table.load()
    raise SinkUnavailableError(f"{table.place}: others committed {COMMIT_TRIES_MAX} times meanwhile. Try again.")


def _write_joined(table: Table, sources: Iterable[str], target: str) -> None:
    writer: pq.ParquetWriter | None = None
    with table.io.new_output(target).create() as file:
        for source in sources:
            with table.io.new_input(source).open() as opened:
                parquet = pq.ParquetFile(opened)
                if writer is None:
                    writer = pq.ParquetWriter(file, parquet.schema_arrow, compression="zstd")
                for batch in parquet.iter_batches(ROWS_AT_ONCE):
                    writer.write_batch(batch)
        assert writer is not None, "at least two files are joined"
        writer.close()


def _remove_orphans(table: Table, older_than: float) -> int:
    io = table.io
    if not isinstance(io, PyArrowFileIO):  # another file access cannot list
        return 0
    kept = {entry.metadata_file for entry in table.metadata.metadata_log} | {table.metadata_location}
    kept |= files_of(table, table.metadata.snapshots)
    scheme, netloc, root = io.parse_location(table.location())
    kept_paths = {io.parse_location(location)[2] for location in kept}
    store = io.fs_by_scheme(scheme, netloc)
    removed_count = 0
    for found in store.get_file_info(FileSelector(root, recursive=True, allow_not_found=True)):
        is_old = found.mtime is not None and found.mtime.timestamp() < older_than
        if found.is_file and is_old and found.path not in kept_paths and found.path.endswith(ORPHAN_ENDINGS):
            store.delete_file(found.path)
            removed_count += 1
    return removed_count
