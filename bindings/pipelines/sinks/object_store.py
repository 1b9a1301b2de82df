"""Publishing to an object store: S3, R2, whatever speaks S3, and a folder that stands for a bucket.

The first put of a key is create-only, so a file that is there is never written over. "It is there already" is what a
retry after a crash meets: the object is compared by size and SHA-256, kept as its metadata, and equal means done. Large
files go up in parts, which cannot be create-only: there the key is looked at first. Both are safe because a key belongs
to one roll (sink.py) and a roll's bytes are fixed before its intent is written.

A store that knows no create-only put gets a plain one, of the same bytes under the same key.
Source: Amazon S3 user guide, "Conditional writes"; R2 docs, "S3 API compatibility".
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError
from obstore.store import LocalStore, S3Store

from ..stream_log.disk import Disk
from .addresses import require_public
from .file_layout import FileLayout
from .file_stager import FileStager, published_files
from .object_errors import sink_error
from .sink import SinkMisconfiguredError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from obstore.store import ClientConfig, RetryConfig

    from ..objects import SinkFormat
    from .file_names import FileNaming
    from .sink import Published, Roll, Rows, StagedFile, Stager
    from .sink_config import Partitioning

SINGLE_PUT_BYTES_MAX = 16 * 1024 * 1024
"""A file up to this size is one request, held in memory; a longer one goes up in parts."""
PART_BYTES = 8 * 1024 * 1024
"""At most 10,000 parts per object. Source: Amazon S3 user guide, "Multipart upload limits"."""
PARTS_AT_ONCE = 4
FILES_AT_ONCE = 4
READ_BYTES = 1024 * 1024

CLIENT: ClientConfig = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=60)}
RETRY: RetryConfig = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=3),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1)},
}
"""Few and quick: one lost packet should not fail a long upload, the runner does the patient retrying and tells."""

FAILURES = (BaseError, OSError, NotImplementedError, ValueError)
"""What obstore raises."""


class Bucket:
    """One bucket of one store. `url` names it in messages."""

    def __init__(self, store: S3Store | LocalStore, url: str, *, folder: Path | None = None) -> None:
        """Use `store`; `folder` is where a LocalStore keeps it, to be synced after each put."""
        self.store = store
        self.url = url
        self._folder = folder
        self._can_create = True

    async def put(self, file: StagedFile, path: Path) -> None:
        """Store the bytes of `path` under `file.key`, or find them there.

        Raises:
            SinkUnavailableError: not done; safe to try again.
            SinkMisconfiguredError: refused, or the key holds something else, which is left as it is.
        """
        try:
            if self._folder is not None:
                await asyncio.to_thread(_remove_halves, self._folder / file.key)
            if file.size_bytes > SINGLE_PUT_BYTES_MAX or not self._can_create:
                if not await self._holds(file):
                    await self._put(file, path, mode=None)
            else:
                await self._create(file, path)
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder, self._folder / file.key)
        except FAILURES as error:
            raise sink_error(error, self.url) from error

    def list(self, path: str, ending: str, on_count: Callable[[int], None]) -> dict[str, int]:
        """Key -> bytes of every object below `path` whose key ends so; blocks. `on_count` hears how many so far.

        Raises:
            SinkUnavailableError, SinkMisconfiguredError: not all could be listed.
        """
        found: dict[str, int] = {}
        try:
            for some in obstore.list(self.store, path or None):
                found |= {one["path"]: one["size"] for one in some if one["path"].endswith(ending)}
                on_count(len(found))
        except FAILURES as error:
            raise sink_error(error, self.url) from error
        return found

    def open(self, key: str) -> obstore.ReadableFile:
        """The object as a file, read in ranges; blocks."""
        return obstore.open_reader(self.store, key)

    async def _create(self, file: StagedFile, path: Path) -> None:
        try:
            await self._put(file, path, mode="create")
        except AlreadyExistsError as error:
            if not await self._holds(file):  # S3 answers 409 while another put of the key is running
                raise SinkUnavailableError(f"{self.url}/{file.key} is being written by another process.") from error
        except BaseError as error:
            if not isinstance(error, NotSupportedError) and "<Code>NotImplemented</Code>" not in str(error):
                raise
            self._can_create = False
            await self._put(file, path, mode=None)

    async def _put(self, file: StagedFile, path: Path, *, mode: Literal["create"] | None) -> None:
        await obstore.put_async(
            self.store,
            file.key,
            path,
            mode=mode,
            use_multipart=file.size_bytes > SINGLE_PUT_BYTES_MAX,
            chunk_size=PART_BYTES,
            max_concurrency=PARTS_AT_ONCE,
            attributes=None if self._folder is not None else {"sha256": file.sha256},  # a folder keeps no metadata
        )

    async def _holds(self, file: StagedFile) -> bool:
        """Whether the key has these bytes; False: there is no such key.

        Raises:
            SinkMisconfiguredError: it has other ones.
        """
        try:
            found = await obstore.get_async(self.store, file.key, options={"head": True})
        except FileNotFoundError:
            return False
        size_bytes = found.meta["size"]
        if size_bytes == file.size_bytes and (found.attributes.get("sha256") or await self._hash(file)) == file.sha256:
            return True
        raise SinkMisconfiguredError(
            f"{self.url}/{file.key} is there already with other content ({size_bytes} bytes, expected "
            f"{file.size_bytes}). Edge writes over nothing: move that object away, or give the sink another path."
        )

    async def _hash(self, file: StagedFile) -> str:
        digest = sha256()
        answer = await obstore.get_async(self.store, file.key)
        async for chunk in answer.stream(min_chunk_size=READ_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def s3_bucket(
    name: str,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    credentials: tuple[str, str, str | None] | None = None,
) -> Bucket:
    """A bucket behind the S3 API.

    Args:
        endpoint: None: AWS's own, or AWS_ENDPOINT_URL.
        credentials: key id, secret, session token. None: AWS_* variables, web identity, container, instance role.
    """
    options: dict[str, Any] = {}
    if endpoint is not None:
        options["endpoint"] = endpoint
    if region is not None:
        options["region"] = region
    if credentials is not None:  # a provider: key options would be mixed with an AWS_SESSION_TOKEN of the environment
        key_id, secret, token = credentials
        given = {"access_key_id": key_id, "secret_access_key": secret, "token": token, "expires_at": None}
        options["credential_provider"] = lambda: given
    address = endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
    try:
        store = S3Store(
            name,
            client_options={**CLIENT, "allow_http": address.startswith("http://")},
            retry_config=RETRY,
            **options,
        )
    except FAILURES as error:
        raise sink_error(error, f"s3://{name}") from error
    return Bucket(store, f"s3://{name}")


def folder_bucket(folder: Path) -> Bucket:
    """A folder that stands for a bucket; made when missing."""
    Disk().make_folder(folder)
    return Bucket(LocalStore(folder), str(folder), folder=folder)


def _remove_halves(path: Path) -> None:
    """What a kill left of an earlier put: a LocalStore writes beside the file, under its name with a number."""
    for number in count(1):
        half = path.with_name(f"{path.name}#{number}")
        if not half.exists():
            return
        half.unlink()


def _sync(root: Path, path: Path) -> None:
    """Make a LocalStore's file durable: it syncs neither the file nor the folders it made."""
    disk = Disk()
    descriptor = disk.open(path)
    try:
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    for folder in path.parents:
        disk.sync_folder(folder)
        if folder == root:
            return


class FilesConfig(Protocol):
    """What the configs of s3 and r2 have in common."""

    @property
    def path(self) -> str: ...
    @property
    def partitioning(self) -> Partitioning: ...
    @property
    def file_naming(self) -> FileNaming: ...
    @property
    def endpoint(self) -> str | None: ...
    @property
    def allow_private_network(self) -> bool: ...


class ObjectStoreSink:
    """A sink of files in a bucket."""

    promise: Literal["exactly once"] = "exactly once"

    def __init__(self, bucket: Bucket, config: FilesConfig, form: SinkFormat, host: Any) -> None:
        """Publish to `bucket` files of the format `form`.

        Raises:
            SinkMisconfiguredError: path or time pattern do not make sense.
        """
        self._bucket = bucket
        self._config = config
        self._form = form
        self._layout = FileLayout(config.path, config.partitioning.time_pattern)
        self._host = host

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> Stager:
        files = FileStager(folder, insert_id, epoch, form=self._form, layout=self._layout)
        return _NamingStager(files, self._config.file_naming, self._host.now, insert_id, epoch)

    async def publish(self, roll: Roll, folder: Path) -> Published:
        if self._config.endpoint is not None and not self._config.allow_private_network:
            await require_public(self._config.endpoint)
        turns = asyncio.Semaphore(FILES_AT_ONCE)

        async def put(file: StagedFile) -> None:
            async with turns:
                await self._bucket.put(file, folder / file.name)

        try:
            async with asyncio.TaskGroup() as group:
                for file in roll.files:
                    group.create_task(put(file))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # one cause, told once: the others were cancelled or are like it
        return published_files(roll)

    async def aclose(self) -> None:
        """Nothing is held open: the client's connections end with it."""


class _NamingStager:
    """A stager of files, whose names are then given by `file_naming`."""

    def __init__(
        self, files: FileStager, naming: FileNaming, now: Callable[[], float], insert_id: str, epoch: int
    ) -> None:
        self.takes_lines = files.takes_lines
        self._files = files
        self._naming = naming
        self._now = now
        self._insert_id = insert_id
        self._epoch = epoch

    @property
    def size_bytes(self) -> int:
        return self._files.size_bytes

    def write(self, rows: Rows) -> None:
        self._files.write(rows)

    def close(self) -> Sequence[StagedFile]:
        now = self._now()
        return tuple(
            replace(file, key=self._naming.key_of(file.key, self._insert_id, self._epoch, number, now))
            for number, file in enumerate(self._files.close())
        )

    def abandon(self) -> None:
        self._files.abandon()
