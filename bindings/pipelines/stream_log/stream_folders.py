"""Where streams live on disk, and what can be seen there without holding anything: list and tail, from any process.

    streams/<id>/meta.json                             id, name, schema, when it was made
    streams/<id>/<partition>/<base offset>.log         segments, and the partition's lock
    streams/<id>/cursors/<reader>.<partition>          the next offset a reader needs; the log is kept from there on
    streams/<id>/files/<partition>-<first>-<last>.ndjson   delivered records
    streams/<id>/dead/<partition>-<first>-<last>.damaged   bytes of the log that could not be read
    streams/<id>/deleted                               where each partition ended when the stream was deleted

The id is 32 hex digits, so no name that a config invents ever becomes a path.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

import msgspec

from ....runtime.core.errors import BackendError
from ..log import DamagedStreamError
from .disk import Disk, write_beside, write_file
from .reader import PartitionReader
from .segments import base_offsets, segment_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    PipelineReadersOf = Callable[[str], AbstractSet[str]]

FILES_READER = "files"
"""The reader that writes records out as files; it also leaves file names behind. Idle while a pipeline reads."""
PIPELINE_READER = "pipeline-"
"""How the names of pipelines' readers begin."""
DELETED_MARK = "deleted"
"""A file in the folder of a deleted stream whose log another process still holds: where each partition ended then.
That process may not know yet and keep records, which are acknowledged: a log that went on is not removed. A stream that
is made again under the same id meanwhile begins there."""
OFFSET_MAX = 2**63
TAIL_POLL_SECONDS = 0.25
_STREAM_ID = re.compile(r"[0-9a-f]{32}")


def stream_id_of(id_or_name: str) -> str:
    """The id: 32 hex digits as they are, any other text is a name and hashed."""
    if _STREAM_ID.fullmatch(id_or_name):
        return id_or_name
    return sha256(b"edge stream\0" + id_or_name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream as `edge streams list` shows it."""

    id: str
    name: str
    record_count: int
    """Ever accepted, delivered and trimmed ones included."""
    log_bytes: int
    partitions: tuple[int, ...]
    oldest_at: float | None
    """When the oldest record still in the log was accepted, Unix seconds; None when there is none."""
    newest_at: float | None
    files_folder: Path


@dataclass(frozen=True, slots=True)
class TailedRecord:
    """One record as `tail` gives it."""

    partition: int
    offset: int
    ingested_at: float
    json: bytes


class StreamFolder:
    """The folder of one stream."""

    def __init__(self, path: Path, pipeline_readers: PipelineReadersOf = lambda _: frozenset()) -> None:
        """`pipeline_readers` tells, of a stream's id, which pipelines' readers must not miss a record."""
        self.path = path
        self.id = path.name
        self._pipeline_readers = pipeline_readers
        self.files = path / "files"
        self.cursors = path / "cursors"
        self.dead = path / "dead"

    def partition(self, number: int) -> Path:
        return self.path / str(number)

    def partitions(self) -> tuple[int, ...]:
        """Numbers of the partitions that were ever written, in order."""
        return tuple(sorted(int(entry.name) for entry in self.path.iterdir() if entry.name.isdecimal()))

    def load_meta(self) -> dict[str, Any]:
        """What `meta.json` says; empty before the stream was first opened.

        Raises:
            DamagedStreamError: it is there and makes no sense.
            BackendError: it is there and cannot be read.
        """
        path = self.path / "meta.json"
        try:
            meta = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            msgspec.convert(meta.get("name"), str)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise BackendError(f"{path} cannot be read: {error.strerror or error}.") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DamagedStreamError(
                f"{path} cannot be read: {error}. Restore it, or remove it to have it made anew."
            ) from error
        return meta

    def save_meta(self, id_or_name: str, now: float, disk: Disk) -> None:
        """Note the stream's name on first use, or when it was known by its id only."""
        meta = self.load_meta()
        if meta and (meta["name"] != self.id or id_or_name == self.id):
            return
        meta = {"format": 1, "id": self.id, "schema": None, "created_at": now, **meta, "name": id_or_name}
        disk.make_folder(self.path)
        write_file(disk, self.path / "meta.json", msgspec.json.encode(meta))

    def load_cursor(self, reader: str, partition: int) -> int:
        """The next offset `reader` needs; 0 before its first commit.

        Raises:
            DamagedStreamError: it is no offset.
        """
        path = self.cursors / f"{reader}.{partition}"
        try:
            text = path.read_bytes().strip()
        except FileNotFoundError:
            return 0
        if not text.isdigit() or len(text) > len(str(OFFSET_MAX)) or int(text) >= OFFSET_MAX:
            msg = f"{path} is damaged. Write the next offset to deliver into it, or remove it to deliver the log again."
            raise DamagedStreamError(msg)
        return int(text)

    def load_cursors(self, partition: int) -> dict[str, int]:
        """The next offset of every reader. A damaged cursor of the files reader counts as none.

        A pipeline's reader that has not begun needs all that the log has. While a pipeline reads the stream nothing
        goes out as files, so that reader's cursor says nothing.

        Raises:
            DamagedStreamError: another reader's cursor is no offset.
        """
        cursors: dict[str, int] = {}
        for path in sorted(self.cursors.glob(f"*.{partition}")):
            reader = path.name.partition(".")[0]
            if not reader:  # a temporary file
                continue
            try:
                cursors[reader] = self.load_cursor(reader, partition)
            except DamagedStreamError:
                if reader != FILES_READER:
                    raise
        # Asked after the cursors: what they have passed was accepted before a pipeline that is not there yet.
        if unbegun := self._pipeline_readers(self.id) - cursors.keys():
            cursors |= dict.fromkeys(sorted(unbegun), self.oldest(partition))
        if is_piped(cursors):
            cursors.pop(FILES_READER, None)
        return cursors

    def is_piped(self) -> bool:
        """Whether a pipeline reads the stream, or is to."""
        return bool(self._pipeline_readers(self.id)) or next(self.cursors.glob(f"{PIPELINE_READER}*"), None) is not None

    def delivered_until(self, partition: int) -> int:
        """The offset after the newest delivered file that is still there; 0 when there is none."""
        lasts = (path.stem.rpartition("-")[2] for path in self.files.glob(f"{partition}-*.ndjson"))
        return max((int(last) + 1 for last in lasts if last.isdecimal()), default=0)

    def save_cursor(self, reader: str, partition: int, offset: int, disk: Disk) -> None:
        """Remember, durably, that `reader` has everything below `offset`."""
        disk.make_folder(self.cursors)
        write_file(disk, self.cursors / f"{reader}.{partition}", b"%d" % offset)

    def begin_cursor(self, reader: str, partition: int, disk: Disk, *, at_least: int = 0) -> int:
        """Where a new reader starts: the oldest record the log still has. It is kept for it from now on.

        Args:
            at_least: what is older is not for this reader.
        """
        disk.make_folder(self.cursors)
        path, is_begun = self.cursors / f"{reader}.{partition}", False
        while not is_begun:
            start = max(self.oldest(partition), at_least)
            written = write_beside(disk, path, b"%d" % start)
            with self._trimming():  # for a moment only: a process that is stopped in here stops every other one
                if is_begun := start == max(self.oldest(partition), at_least):
                    disk.replace(written, path)
        disk.sync_folder(self.cursors)
        return start

    def has_cursor(self, reader: str) -> bool:
        """Whether the reader has begun to read this log."""
        return next(self.cursors.glob(f"{reader}.*"), None) is not None

    def remove_cursors(self, reader: str, disk: Disk) -> None:
        """Forget a reader: nothing is kept for it any more."""
        for path in self.cursors.glob(f"{reader}.*"):
            disk.unlink(path)

    def trim(self, partition: int, disk: Disk, *, written_before: float = inf) -> int:
        """Remove sealed segments that every reader is done with; returns how many.

        Args:
            written_before: Unix seconds; segments written to at or after it stay.
        """
        if not self.cursors.is_dir():
            return 0
        folder = self.partition(partition)
        with self._trimming():
            cursors = self.load_cursors(partition)
            if not is_piped(cursors):
                cursors.setdefault(FILES_READER, 0)  # it has no cursor before its first file
            needed = min(cursors.values())
            bases = base_offsets(folder)
            done: list[int] = []
            for base, next_base in pairwise(bases):
                if next_base > needed or segment_path(folder, base).stat().st_mtime >= written_before:
                    break
                done.append(base)
            for base in done:
                disk.unlink(segment_path(folder, base))
        if done:
            disk.sync_folder(folder)
        return len(done)

    def oldest(self, partition: int) -> int:
        """The offset of the oldest record that there is to read."""
        return max(min(base_offsets(self.partition(partition)), default=0), self.begin_of(partition))

    def begin_of(self, partition: int) -> int:
        """Where the stream begins: 0, or behind the records of a deleted one of its id in the same log."""
        try:
            ends = msgspec.json.decode((self.path / DELETED_MARK).read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return 0
        return ends.get(str(partition), 0)

    @contextmanager
    def _trimming(self) -> Iterator[None]:
        """No segment goes while a new reader looks for its start."""
        descriptor = os.open(self.cursors, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class StreamFolders:
    """All streams under a state folder; reads only, takes no lock."""

    def __init__(self, state_dir: Path, pipeline_readers: PipelineReadersOf = lambda _: frozenset()) -> None:
        """Who removes records needs `pipeline_readers` (pipeline_readers.py)."""
        self.path = state_dir / "streams"
        self._pipeline_readers = pipeline_readers

    def folder(self, id_or_name: str) -> StreamFolder:
        return StreamFolder(self.path / stream_id_of(id_or_name), self._pipeline_readers)

    def all(self) -> list[StreamFolder]:
        if not self.path.is_dir():
            return []
        entries = sorted(entry for entry in self.path.iterdir() if _STREAM_ID.fullmatch(entry.name))
        return [StreamFolder(entry, self._pipeline_readers) for entry in entries]

    def list(self) -> list[StreamSummary]:
        """Every stream, by name. Reads the newest segment of each partition: blocks for up to a second each.

        Raises:
            BackendError: a log is damaged; the text names the file.
        """
        return sorted((summary_of(folder) for folder in self.all()), key=lambda summary: summary.name)

    def require(self, id_or_name: str) -> StreamFolder:
        """The stream's folder.

        Raises:
            BackendError: nobody has sent to it or opened it yet.
        """
        folder = self.folder(id_or_name)
        if not folder.path.is_dir():
            known = ", ".join(found.load_meta().get("name", found.id) for found in self.all()) or "none"
            raise BackendError(f"There is no stream {id_or_name!r} under {self.path}. Streams there: {known}.")
        return folder

    async def tail(
        self,
        id_or_name: str,
        from_offset: int | None = None,
        *,
        follow: bool = True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> AsyncIterator[TailedRecord]:
        """Records of every partition, from the oldest the log still has (or from `from_offset` in each partition).

        Within a partition in order of offset. With `follow` it waits for more, forever, and sees records the moment
        they are written, which may be an instant before they are acknowledged.

        Raises:
            BackendError: no such stream, or its log is damaged.
        """
        folder = self.require(id_or_name)
        readers: dict[int, PartitionReader] = {}
        while True:
            for number in folder.partitions():
                if number not in readers:
                    begin = max(from_offset or 0, folder.begin_of(number))
                    readers[number] = PartitionReader(folder.partition(number), begin)
                for record in _records(number, readers[number]):
                    yield record
            if not follow:
                return
            await sleep(TAIL_POLL_SECONDS)


def is_piped(readers: Iterable[str]) -> bool:
    """Whether one of these readers is a pipeline, so that nothing goes out as files."""
    return any(reader.startswith(PIPELINE_READER) for reader in readers)


def size_of(path: Path) -> int:
    """In bytes; 0 when it was trimmed just now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _records(partition: int, reader: PartitionReader) -> Iterator[TailedRecord]:
    wanted = reader.offset
    for frame in reader.frames():
        for offset, text in frame.records():
            if offset >= wanted:
                yield TailedRecord(partition, offset, frame.ingested_at_us / 1e6, text)


def summary_of(folder: StreamFolder) -> StreamSummary:
    """What one stream's folder holds. Blocks, and raises, as `StreamFolders.list`."""
    record_count = log_bytes = 0
    times: list[float] = []
    partitions = folder.partitions()
    for number in partitions:
        path = folder.partition(number)
        bases = base_offsets(path)
        log_bytes += sum(size_of(segment_path(path, base)) for base in bases)
        if not bases:
            continue
        begin = folder.begin_of(number)
        first = next(PartitionReader(path, max(bases[0], begin)).frames(), None)
        newest = PartitionReader(path, bases[-1])
        last = None
        for frame in newest.frames():
            last = last if frame.is_lost or frame.next_offset <= begin else frame
        record_count += max(0, newest.offset - begin)
        times += [frame.ingested_at_us / 1e6 for frame in (first, last) if frame is not None and not frame.is_lost]
    return StreamSummary(
        id=folder.id,
        name=folder.load_meta().get("name", folder.id),
        record_count=record_count,
        log_bytes=log_bytes,
        partitions=partitions,
        oldest_at=min(times, default=None),
        newest_at=max(times, default=None),
        files_folder=folder.files,
    )
