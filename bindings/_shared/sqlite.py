"""SQLite as products use it: opened one way, moved up one way, written in groups from one thread.

A `Lane` is one thread with one connection. Jobs that arrive while it works wait, and are handed over together when it
is done. For a writer that is group commit: one transaction and one sync of the disk for everybody who waited, and each
of them is told only after COMMIT. For a reader it is what makes a read cheap: the price of waking a thread is paid
once for all the reads that came in meanwhile, and the event loop never waits for the disk.

Several processes may write to one file. Writers take turns by a lock on a file beside it, where the kernel lets the one
who waits longest go first. SQLite's own waiting is sleeping and trying again: measured with four busy processes, a put
took up to 430 ms that way, and 11 ms this way. A process that is killed lets go of its turn.

What a crash leaves: the journal is a write-ahead log with synchronous FULL, so a transaction whose callers were told is
on disk, and one that was cut short is gone as a whole when the file is opened again.
What a failure leaves: the transaction is rolled back, its callers get a BackendError, and the connection is opened anew
for the next batch, so a full disk that has room again needs no restart.

Source: SQLite docs, "Write-Ahead Logging", "PRAGMA synchronous", "Result and Error Codes".
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

from ...runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

J = TypeVar("J")
R = TypeVar("R")

BUSY_TIMEOUT_S = 10.0
"""How long to wait for another process's transaction before giving up."""
BATCH_COUNT_MAX = 512
BATCH_BYTES_MAX = 64 * 1024 * 1024
"""A batch closes above this, so one transaction and the log that carries it stay bounded."""
WAITING_COUNT_MAX = 100_000
WAITING_BYTES_MAX = 256 * 1024 * 1024
"""More than this does not wait for a slow disk: memory stays bounded, and the caller is told at once."""
WAL_BYTES_KEPT = 64 * 1024 * 1024
PAGE_CACHE_KIB = 8 * 1024

FAILURES = {
    sqlite3.SQLITE_FULL: (507, "the disk is full. Free some space; nothing needs a restart"),
    sqlite3.SQLITE_IOERR: (503, "the disk failed. Check the disk and its free space; nothing needs a restart"),
    sqlite3.SQLITE_BUSY: (503, f"another process has held it for over {BUSY_TIMEOUT_S:.0f} s. Try again"),
    sqlite3.SQLITE_LOCKED: (503, "another connection of this process holds it. Try again"),
    sqlite3.SQLITE_READONLY: (503, "it may not be written. Check who owns the state folder"),
    sqlite3.SQLITE_PERM: (503, "it may not be opened. Check who owns the state folder"),
    sqlite3.SQLITE_CANTOPEN: (503, "it cannot be opened. Check that the state folder exists and who owns it"),
    sqlite3.SQLITE_CORRUPT: (503, "it is damaged. Stop Edge and move the file away, or restore a copy"),
    sqlite3.SQLITE_NOTADB: (503, "it is no SQLite database. Stop Edge and move the file away, or restore a copy"),
}
"""SQLite's primary result code -> HTTP status, and what happened with what to do."""


@dataclass(frozen=True, slots=True)
class Database:
    """One file. Its format version is how many of its `migrations` have run; a released one is never changed."""

    path: Path
    migrations: tuple[str, ...]
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """NORMAL: what was told survives the end of the process, and not a power cut."""

    def prepare(self) -> None:
        """Make the file, or move an older one up; blocks. Several processes may do it at once.

        Raises:
            BackendError: it cannot be used, or a newer Edge wrote it.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(self.connect()) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("BEGIN IMMEDIATE")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version > len(self.migrations):
                    raise self._newer(version)
                for statement in self.migrations[version:]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {len(self.migrations)}")
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise backend_error(error, self.path) from error

    def connect(self) -> sqlite3.Connection:
        """A connection with the pragmas every product uses; transactions are begun by hand."""
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
            connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        except sqlite3.Error:  # the file is no database
            connection.close()
            raise
        return connection

    def _newer(self, version: int) -> BackendError:
        return BackendError(
            f"{self.path} has format {version}, this Edge knows up to {len(self.migrations)}. "
            f"Upgrade edge-workers, or pass --persist-to with another folder."
        )


def backend_error(error: sqlite3.Error | OSError, path: Path) -> BackendError:
    """What SQLite or the file system reported, as a sentence about the file and what to do."""
    if isinstance(error, OSError):
        return BackendError(f"{path}: {error.strerror or error}. Check the disk and who owns the state folder.")
    code = getattr(error, "sqlite_errorcode", None)  # absent when the sqlite3 module itself refused
    status, reason = FAILURES.get(code & 0xFF if code is not None else -1, (503, "SQLite refused the call"))
    failure = BackendError(f"{path}: {reason} ({getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}).")
    failure.http_status = status
    return failure


class Lane(Generic[J, R]):
    """One thread, one connection, batches of jobs."""

    def __init__(
        self, database: Database, work: Callable[[sqlite3.Connection, Sequence[J]], Sequence[R]], *, is_writer: bool
    ) -> None:
        """Start the thread; it belongs to the running loop. End it with `aclose`.

        Args:
            work: called in the thread with jobs in order of submission; one result per job. A writer is inside a
                transaction that is committed after it. It may be called again for the same jobs after a failure.
        """
        self._database = database
        self._work = work
        self._is_writer = is_writer
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Job[J, R]] = []
        self._waiting_bytes = 0
        self._is_busy = False
        self._is_closing = False
        self._batches: SimpleQueue[list[_Job[J, R]] | None] = SimpleQueue()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._connection: sqlite3.Connection | None = None
        self._turn_file: IO[bytes] | None = None
        name = f"{database.path.stem}-{'writer' if is_writer else 'reader'}"
        Thread(target=self._run, name=name, daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether a job is on its way."""
        return self._is_busy

    def submit(self, payload: J, *, size_bytes: int = 0) -> asyncio.Future[R]:
        """Hand a job over; the future has its result when it is done, for a writer when it is durable.

        Cancelling the future does not take the job back. The future's error is a BackendError: nothing was changed.

        Raises:
            BackendError: too much waits already; this job was not taken.
        """
        if len(self._waiting) >= WAITING_COUNT_MAX or self._waiting_bytes + size_bytes > WAITING_BYTES_MAX:
            msg = (
                f"{self._database.path} has {len(self._waiting):,} calls with {self._waiting_bytes:,} bytes waiting "
                f"for the disk. This call was not taken; make it again a little later."
            )
            raise BackendError(msg)
        job = _Job(payload, size_bytes, self._loop.create_future())
        self._waiting.append(job)
        self._waiting_bytes += size_bytes
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon(self._hand_over)  # after this pass of the loop: its other callers come along
        return job.future

    def write_aside(self, payload: J) -> R:
        """Do a writer's job now, from any thread, which it blocks; durable on return. For when the loop cannot.

        Raises:
            BackendError: nothing was changed.
        """
        try:
            with self._open_turn() as turn, closing(self._database.connect()) as connection, _locked(turn):
                return self._commit(connection, [payload])[0]
        except (sqlite3.Error, OSError) as error:
            raise backend_error(error, self._database.path) from error

    async def aclose(self) -> None:
        """Finish what was submitted, close the connection and end the thread."""
        self._is_closing = True
        if not self._is_busy:
            self._batches.put(None)
        await self._ended

    def _hand_over(self) -> None:
        """Give the thread a batch of what waits: as many jobs as fit the bounds, at least one."""
        size_bytes = 0
        count = 0
        for job in self._waiting[:BATCH_COUNT_MAX]:
            size_bytes += job.size_bytes
            if count and size_bytes > BATCH_BYTES_MAX:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= sum(job.size_bytes for job in batch)
        self._batches.put(batch)

    def _deliver(self, batch: list[_Job[J, R]], outcomes: list[R | BaseException]) -> None:
        # The next batch goes first, so that the thread works while the loop serves these callers.
        if self._waiting:
            self._hand_over()
        else:
            self._is_busy = False
            if self._is_closing:
                self._batches.put(None)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.future.done():  # its caller was cancelled
                continue
            if isinstance(outcome, BaseException):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)

    def _open_turn(self) -> IO[bytes]:
        path = self._database.path
        return path.with_name(f"{path.name}-turn").open("ab")

    def _commit(self, connection: sqlite3.Connection, payloads: Sequence[J]) -> Sequence[R]:
        connection.execute("BEGIN IMMEDIATE")
        results = self._work(connection, payloads)
        connection.execute("COMMIT")
        return results

    # From here on: in the thread.

    def _run(self) -> None:
        # Open from the start: a reader that holds the file goes on when a full disk lets nobody open it anew.
        with suppress(sqlite3.Error):  # the first batch tries again, and tells
            self._connection = self._database.connect()
            self._connection.execute("PRAGMA schema_version").fetchone()
        while (batch := self._batches.get()) is not None:
            self._loop.call_soon_threadsafe(self._deliver, batch, self._outcomes([job.payload for job in batch]))
        self._disconnect()
        if self._turn_file is not None:
            self._turn_file.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _outcomes(self, payloads: list[J]) -> list[R | BaseException]:
        try:
            return list(self._attempt(payloads))
        except BaseException as error:  # noqa: BLE001 - a thread's border: whatever it was, the callers are told
            self._disconnect()
            if len(payloads) > 1:  # one job's fault (a value that no longer fits the disk) is not its neighbours'
                return [outcome for payload in payloads for outcome in self._outcomes([payload])]
            if not isinstance(error, (sqlite3.Error, OSError)):
                return [error]
            failure = backend_error(error, self._database.path)
            failure.__cause__ = error
            return [failure]

    def _attempt(self, payloads: list[J]) -> Sequence[R]:
        if self._connection is None:
            self._connection = self._database.connect()
        if not self._is_writer:
            return self._work(self._connection, payloads)
        if self._turn_file is None:
            self._turn_file = self._open_turn()
        with _locked(self._turn_file):
            return self._commit(self._connection, payloads)

    def _disconnect(self) -> None:
        """Close the connection, which rolls back; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


@contextmanager
def _locked(turn: IO[bytes]) -> Iterator[None]:
    fcntl.flock(turn, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(turn, fcntl.LOCK_UN)


class _Job(NamedTuple, Generic[J, R]):
    payload: J
    size_bytes: int
    future: asyncio.Future[R]
