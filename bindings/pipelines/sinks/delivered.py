"""What a sink has delivered so far, for whoever reads it back. Only whole files: a half one has another name.

A file of a sink is either there as a whole or not at all, and an Iceberg table is read at its newest snapshot, so a
reader may come while the sink writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ....runtime.core.errors import UnsupportedError
from .file_stager import writer_of
from .places import place_of
from .sink import SinkMisconfiguredError
from .sink_config import config_of
from .types import iceberg, local, r2, r2_data_catalog, s3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from ..objects import SinkObject
    from .file_names import FileNaming
    from .iceberg_place import TablePlace
    from .object_store import Bucket


@dataclass(frozen=True, slots=True)
class Delivered:
    """A sink's files. `open_file` is None where the paths are of this machine."""

    type: Literal["json", "parquet"]
    paths: list[str]
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes by path, for files elsewhere."""
    open_file: Callable[[str], Any] | None = None
    is_gzip: bool = False
    empty: pa.Table | None = None
    """The columns, when the sink knows them without any file."""


def find_delivered(
    sink: SinkObject,
    others: Sequence[SinkObject],
    state_dir: Path,
    config_folder: Path,
    on_count: Callable[[int], None] = lambda _: None,
) -> Delivered:
    """The files of a sink; blocks.

    Args:
        others: the sinks there are, whose files below the sink's place are not its own.
        on_count: hears how many files were found so far.

    Raises:
        UnsupportedError: the sink's type keeps no files.
        SinkMisconfiguredError, SinkUnavailableError: they cannot be listed, or told apart from another sink's.
        BackendError: the table has not been made yet.
    """
    foreign = _foreign_paths(sink, others, state_dir, config_folder)
    match sink.type:
        case "local":
            folder = config_folder / config_of(local.Config, sink).path
            return _in_folder(sink, folder, None, foreign, on_count)
        case "r2":
            r2_config = config_of(r2.Config, sink)
            if not r2_config.remote and r2_config.endpoint is None:
                folder = state_dir / r2.FOLDER_NAME / r2_config.bucket / r2_config.path.strip("/")
                return _in_folder(sink, folder, r2_config.file_naming, foreign, on_count)
            bucket = r2.open_bucket(r2_config, state_dir)
            return _in_bucket(sink, bucket, r2_config, foreign, on_count)
        case "s3":
            s3_config = config_of(s3.Config, sink)
            bucket = s3.open_bucket(s3_config)
            return _in_bucket(sink, bucket, s3_config, foreign, on_count)
        case "iceberg":
            return _in_table(iceberg.place_of(sink, state_dir), on_count)
        case "r2_data_catalog" | "basin_catalog":
            return _in_table(r2_data_catalog.place_of(sink, state_dir), on_count)
    raise UnsupportedError(
        f"Sink {sink.name} is of type {sink.type}, which keeps no files here. Query it where it is; "
        f"edge query reads local, r2, s3, iceberg and r2_data_catalog."
    )


def _foreign_paths(
    sink: SinkObject, others: Sequence[SinkObject], state_dir: Path, config_folder: Path
) -> tuple[str, ...]:
    """What the paths of other sinks' files begin with, from the sink's own place on.

    Raises:
        SinkMisconfiguredError: another sink writes files of the same kind to the same place.
    """
    mine = place_of(sink.type, sink.config, state_dir, config_folder)
    if mine is None:
        return ()
    foreign: list[str] = []
    for other in others:
        theirs = place_of(other.type, other.config, state_dir, config_folder)
        if other.id == sink.id or theirs is None or not theirs.startswith(mine):
            continue
        if theirs != mine:
            foreign.append(theirs.removeprefix(mine))
        elif writer_of(other.format)[1] == writer_of(sink.format)[1]:
            raise SinkMisconfiguredError(
                f"Sinks {sink.name} and {other.name} both write to {mine}, so their files cannot be told apart. "
                f"Give each a path of its own."
            )
    return tuple(foreign)


def _ending(sink: SinkObject, naming: FileNaming | None) -> str:
    return f".{(naming and naming.suffix) or writer_of(sink.format)[1]}"


def _is_gzip(sink: SinkObject) -> bool:
    return sink.format.type == "json" and sink.format.compression == "gzip"


def _in_folder(
    sink: SinkObject,
    folder: Path,
    naming: FileNaming | None,
    foreign: tuple[str, ...],
    on_count: Callable[[int], None],
) -> Delivered:
    ending = _ending(sink, naming)
    paths: list[str] = []
    for path in folder.rglob(f"[!.]*{ending}"):  # a dot begins the name of a file that is being written
        if path.is_file() and not path.relative_to(folder).as_posix().startswith(foreign):
            paths.append(str(path))
            on_count(len(paths))
    return Delivered(sink.format.type, sorted(paths), is_gzip=_is_gzip(sink))


def _in_bucket(
    sink: SinkObject,
    bucket: Bucket,
    config: r2.Config | s3.Config,
    foreign: tuple[str, ...],
    on_count: Callable[[int], None],
) -> Delivered:
    path = config.path.strip("/")
    others = tuple(f"{path}/{one}".removeprefix("/") for one in foreign)
    found = bucket.list(path, _ending(sink, config.file_naming), on_count)
    sizes = {key: size for key, size in found.items() if not key.startswith(others)}
    return Delivered(sink.format.type, sorted(sizes), sizes, bucket.open, _is_gzip(sink))


def _in_table(place: TablePlace, on_count: Callable[[int], None]) -> Delivered:
    from .iceberg_reading import open_snapshot  # noqa: PLC0415 - it loads pyiceberg

    snapshot = open_snapshot(place)
    on_count(len(snapshot.sizes))
    return Delivered("parquet", list(snapshot.sizes), snapshot.sizes, snapshot.open_file, empty=snapshot.empty)
