"""An Iceberg table read at its newest snapshot: which files, and how they are opened. Nothing is made or changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.io.pyarrow import schema_to_pyarrow

from ....runtime.core.errors import BackendError, UnsupportedError
from .iceberg_errors import as_sink_errors
from .iceberg_table import IcebergTable

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from .iceberg_place import TablePlace


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """The data files of one snapshot."""

    sizes: dict[str, int]
    """Path -> bytes."""
    open_file: Callable[[str], Any] | None
    """None: the paths are of this machine."""
    empty: pa.Table


def open_snapshot(place: TablePlace) -> TableSnapshot:
    """The newest snapshot; blocks.

    Raises:
        BackendError: there is no table yet.
        UnsupportedError: it has rows deleted by position, which only an Iceberg engine reads.
        SinkMisconfiguredError, SinkUnavailableError: the catalog was not reached, or refused.
    """
    nothing = f"{place} does not exist yet. The first records that reach the sink make it."
    if not all(folder.is_dir() for folder in place.folders):
        raise BackendError(nothing)
    catalog = IcebergTable(place, state_id="")
    with as_sink_errors(place):
        try:
            table = catalog.load()
        except (NoSuchTableError, NoSuchNamespaceError):
            table = None
        tasks = [] if table is None else list(table.scan().plan_files())
        catalog.close()
    if table is None:
        raise BackendError(nothing)
    if any(task.delete_files for task in tasks):
        raise UnsupportedError(
            f"{place} has rows deleted by position, by another writer. Read it with an Iceberg engine."
        )
    sizes = {task.file.file_path: task.file.file_size_in_bytes for task in tasks}
    empty = schema_to_pyarrow(table.schema(), include_field_ids=False).empty_table()
    if all(urlsplit(path).scheme in {"", "file"} for path in sizes):
        return TableSnapshot({path.removeprefix("file://"): size for path, size in sizes.items()}, None, empty)
    io = table.io
    return TableSnapshot(sizes, lambda path: io.new_input(path).open(), empty)
