"""SQLite as products share it: migrations, group commit, failures told apart."""

from __future__ import annotations

import asyncio
import sqlite3
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from edge.bindings._shared.sqlite import (
    BATCH_BYTES_MAX,
    BATCH_COUNT_MAX,
    FAILURES,
    WAITING_BYTES_MAX,
    Database,
    Lane,
    backend_error,
)
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIRST = ("CREATE TABLE numbers (number INTEGER PRIMARY KEY)",)
PATIENCE_S = 60.0
SECOND = (*FIRST, "ALTER TABLE numbers ADD COLUMN name TEXT")


def insert(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[int]:
    """Insert each; returns how many came together, for each."""
    connection.executemany("INSERT INTO numbers (number) VALUES (?)", [(number,) for number in numbers])
    return [len(numbers)] * len(numbers)


def stored(database: Database) -> list[int]:
    connection = database.connect()
    numbers = [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]
    connection.close()
    return numbers


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "folder" / "numbers.sqlite", FIRST)
    database.prepare()
    return database


def test_an_older_file_is_moved_up_and_keeps_its_rows(database: Database) -> None:
    connection = database.connect()
    connection.execute("INSERT INTO numbers VALUES (1)")
    connection.close()
    newer = Database(database.path, SECOND)
    newer.prepare()
    newer.prepare()
    connection = newer.connect()
    assert connection.execute("SELECT number, name FROM numbers").fetchall() == [(1, None)]
    connection.close()


def test_a_newer_file_is_refused_and_left_alone(database: Database) -> None:
    Database(database.path, SECOND).prepare()
    before = database.path.read_bytes()
    with pytest.raises(BackendError, match=r"has format 2, this Edge knows up to 1. Upgrade edge-workers"):
        database.prepare()
    assert database.path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "numbers.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(BackendError, match=r"it is no SQLite database. Stop Edge and move the file away"):
        Database(path, FIRST).prepare()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"File exists. Check the disk and who owns the state folder"):
        Database(tmp_path / "file" / "numbers.sqlite", FIRST).prepare()


def test_every_commit_is_synced(database: Database) -> None:
    connection = database.connect()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    connection.close()


async def test_jobs_that_wait_are_committed_together(database: Database) -> None:
    lane = Lane(database, insert, is_writer=True)
    together = await asyncio.gather(*(lane.submit(number) for number in range(10)))
    assert together == [10] * 10
    assert await lane.submit(10) == 1
    await lane.aclose()
    assert stored(database) == list(range(11))


async def test_a_batch_is_bounded_by_count_and_size(database: Database) -> None:
    lane = Lane(database, insert, is_writer=True)
    together = await asyncio.gather(*(lane.submit(number) for number in range(BATCH_COUNT_MAX + 1)))
    assert together == [BATCH_COUNT_MAX] * BATCH_COUNT_MAX + [1]
    sizes = [1, BATCH_BYTES_MAX, BATCH_BYTES_MAX + 1, 1]
    together = await asyncio.gather(*(lane.submit(-1 - n, size_bytes=size) for n, size in enumerate(sizes)))
    assert together == [1, 1, 1, 1]
    await lane.aclose()


async def test_a_writer_whose_turn_cannot_be_taken_is_told(database: Database) -> None:
    turn = database.path.with_name("numbers.sqlite-turn")
    turn.mkdir()
    lane = Lane(database, insert, is_writer=True)
    with pytest.raises(BackendError, match=r"Is a directory. Check the disk"):
        await lane.submit(1)
    turn.rmdir()
    await lane.submit(1)
    await lane.aclose()


async def test_closing_finishes_what_was_submitted(database: Database) -> None:
    lane = Lane(database, insert, is_writer=True)
    jobs = [lane.submit(number) for number in range(BATCH_COUNT_MAX * 2)]
    await lane.aclose()
    assert all(job.done() for job in jobs)
    assert len(stored(database)) == BATCH_COUNT_MAX * 2


async def test_a_job_is_written_aside_while_the_loop_is_blocked(database: Database) -> None:
    writer = Lane(database, insert, is_writer=True)
    waiting = writer.submit(1)
    thread = Thread(target=writer.write_aside, args=(2,))
    thread.start()
    thread.join(PATIENCE_S)
    assert stored(database) == [2]
    await waiting
    assert stored(database) == [1, 2]
    with pytest.raises(BackendError, match="SQLITE_CONSTRAINT"):
        await asyncio.to_thread(writer.write_aside, 2)
    await writer.submit(3)
    await writer.aclose()


async def test_a_job_that_fails_fails_alone(database: Database) -> None:
    lane = Lane(database, insert, is_writer=True)
    await lane.submit(1)
    outcomes = await asyncio.gather(*(lane.submit(number) for number in (2, 1, 3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, BackendError, int]
    assert isinstance(outcomes[1].__cause__, sqlite3.IntegrityError)
    await lane.aclose()
    assert stored(database) == [1, 2, 3]


async def test_a_mistake_in_the_work_reaches_its_caller(database: Database) -> None:
    def broken(_connection: sqlite3.Connection, _jobs: Sequence[int]) -> list[int]:
        raise ZeroDivisionError

    lane = Lane(database, broken, is_writer=True)
    with pytest.raises(ZeroDivisionError):
        await lane.submit(1)
    await lane.aclose()


class SmallDisk(Database):
    """SQLite itself says the disk is full, once the file has `page_count_max` pages."""

    page_count_max = 1

    def connect(self) -> sqlite3.Connection:
        connection = super().connect()
        connection.execute(f"PRAGMA max_page_count = {type(self).page_count_max}")
        return connection


async def test_a_full_disk_is_507_and_heals_when_there_is_room(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Lane(SmallDisk(database.path, FIRST), insert, is_writer=True)
    with pytest.raises(BackendError, match=r"the disk is full. Free some space; nothing needs a restart") as caught:
        await asyncio.gather(*(lane.submit(number) for number in range(1000)))
    assert caught.value.http_status == 507
    monkeypatch.setattr(SmallDisk, "page_count_max", 1_000_000)
    await lane.submit(5000)
    await lane.aclose()
    assert 5000 in stored(database)


async def test_a_reader_and_a_writer_do_not_wait_for_each_other(database: Database) -> None:
    def read(connection: sqlite3.Connection, jobs: Sequence[None]) -> list[int]:
        (count,) = connection.execute("SELECT count(*) FROM numbers").fetchone()
        return [count] * len(jobs)

    reader = Lane(database, read, is_writer=False)
    holder = database.connect()
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("INSERT INTO numbers VALUES (1)")
    assert await reader.submit(None) == 0
    holder.execute("COMMIT")
    assert await reader.submit(None) == 1
    holder.close()
    await reader.aclose()


@pytest.mark.parametrize("code", FAILURES)
def test_each_failure_says_what_to_do(code: int, tmp_path: Path) -> None:
    error = sqlite3.OperationalError("reported by SQLite")
    error.sqlite_errorcode = code | (3 << 8)  # an extended code, as IOERR_WRITE is of IOERR
    error.sqlite_errorname = "SQLITE_NAME"
    status, reason = FAILURES[code]
    failure = backend_error(error, tmp_path / "kv.sqlite")
    assert str(failure) == f"{tmp_path / 'kv.sqlite'}: {reason} (SQLITE_NAME: reported by SQLite)."
    assert failure.http_status == status


def test_an_unknown_failure_is_still_told(tmp_path: Path) -> None:
    failure = backend_error(sqlite3.ProgrammingError("odd"), tmp_path)
    assert str(failure).endswith("SQLite refused the call (ProgrammingError: odd).")


async def test_more_than_may_wait_is_refused_at_once_and_the_rest_is_done(database: Database) -> None:
    lane = Lane(database, insert, is_writer=True)
    taken = [lane.submit(number, size_bytes=WAITING_BYTES_MAX // 2) for number in range(2)]
    with pytest.raises(BackendError, match=r"2 calls with [\d,]+ bytes waiting for the disk. This call was not taken"):
        lane.submit(2, size_bytes=1)
    await asyncio.gather(*taken)
    await lane.submit(2, size_bytes=1)
    await lane.aclose()
