"""The port on SQLite: one file for all namespaces, shared by every process that holds the state folder."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .._shared.sqlite import Database, Lane
from ..spec import Opened
from .namespace import KVNamespaces
from .store import Entry, ListedKey, Page, is_live

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from ...runtime.core.host import LocalHost
    from ..spec import Site
    from . import KVNamespaceEntry

T = TypeVar("T")

MIGRATIONS = (
    """
    CREATE TABLE entries (
        namespace TEXT NOT NULL,
        key BLOB NOT NULL,
        expires_at REAL,
        metadata TEXT,
        value BLOB NOT NULL,
        PRIMARY KEY (namespace, key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL",
)
"""A value stands last, so that listing does not read the pages a large one fills."""

PURGE_COUNT_MAX = 256
"""Rows of one purge: its transaction is as short as a put's, so puts hardly wait for it."""
PURGE_INTERVAL_S = 30.0
STATEMENT_ROWS_MAX = 256


@asynccontextmanager
async def open_binding(entries: Sequence[KVNamespaceEntry], site: Site) -> AsyncIterator[Opened]:
    """Open the store; it stays open across config reloads."""
    host: LocalHost = site.host
    path = host.state_dir / "kv_namespaces" / "kv.sqlite"
    async with host.lease(("kv_namespaces", path), lambda: open_store(path)) as store:
        namespaces = KVNamespaces(store, host.now)
        yield Opened(
            env={entry.env_name: namespaces.namespace(entry.namespace_id) for entry in entries},
            resources={entry.env_name: entry.namespace_id for entry in entries},
            sources=[ExpiredKeysPurge(store, host)],
            admin=namespaces,
        )


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[SqliteStore]:
    """The store in a file, made when absent.

    Raises:
        BackendError: the file cannot be used.
    """
    database = Database(path, MIGRATIONS)
    await asyncio.to_thread(database.prepare)
    store = SqliteStore(database)
    try:
        yield store
    finally:
        await store.aclose()


class SqliteStore:
    """KVStore on one SQLite file. Reads see every write that returned, in this process or another."""

    def __init__(self, database: Database) -> None:
        self._gets = Lane(database, _read_batch, is_writer=False)
        self._lists = Lane(database, _list_batch, is_writer=False)  # apart, so a long page does not hold up gets
        self._writes = Lane(database, _write_batch, is_writer=True)

    async def get(self, namespace: str, keys: Sequence[bytes], now: float) -> Sequence[Entry | None]:
        """See `KVStore.get`."""
        found = await self._gets.submit([(namespace, key) for key in keys])
        return [entry if entry is not None and is_live(entry.expires_at, now) else None for entry in found]

    async def put(self, namespace: str, key: bytes, entry: Entry) -> None:
        """See `KVStore.put`."""
        await self._writes.submit(_Write(namespace, key, entry), size_bytes=len(entry.value))

    async def delete(self, namespace: str, key: bytes) -> None:
        """See `KVStore.delete`."""
        await self._writes.submit(_Write(namespace, key, None))

    async def list(self, namespace: str, *, prefix: bytes, after: bytes, limit: int, now: float) -> Page:
        """See `KVStore.list`."""
        rows = await self._lists.submit(_ListQuery(namespace, prefix, after, limit, now))
        return Page([ListedKey(*row) for row in rows[:limit]], has_more=len(rows) > limit)

    async def purge(self, now: float) -> int:
        """Remove up to PURGE_COUNT_MAX expired entries; returns how many."""
        return await self._writes.submit(_Purge(now))

    async def aclose(self) -> None:
        await asyncio.gather(self._gets.aclose(), self._lists.aclose(), self._writes.aclose())


class ExpiredKeysPurge:
    """Background work: gives back the space of expired keys, which nobody can read any more."""

    def __init__(self, store: SqliteStore, host: LocalHost) -> None:
        self._store = store
        self._host = host

    async def run(self) -> None:
        while True:
            if await self._store.purge(self._host.now()) < PURGE_COUNT_MAX:
                await self._host.sleep(PURGE_INTERVAL_S)


@dataclass(frozen=True, slots=True)
class _Write:
    namespace: str
    key: bytes
    entry: Entry | None
    """None deletes."""


@dataclass(frozen=True, slots=True)
class _Purge:
    now: float


@dataclass(frozen=True, slots=True)
class _ListQuery:
    namespace: str
    prefix: bytes
    after: bytes
    limit: int
    now: float


def _write_batch(connection: sqlite3.Connection, jobs: Sequence[_Write | _Purge]) -> list[int]:
    last = {(job.namespace, job.key): job.entry for job in jobs if isinstance(job, _Write)}
    puts = [(*at, e.expires_at, e.metadata, e.value) for at, e in last.items() if e is not None]
    for part in _parts(puts):
        connection.execute(f"REPLACE INTO entries VALUES {_rows(part)}", _flat(part))  # noqa: S608 - placeholders
    deletes = [at for at, entry in last.items() if entry is None]
    connection.executemany("DELETE FROM entries WHERE namespace = ? AND key = ?", deletes)
    return [_purge(connection, job.now) if isinstance(job, _Purge) else 0 for job in jobs]


def _purge(connection: sqlite3.Connection, now: float) -> int:
    return connection.execute(
        """
        DELETE FROM entries WHERE (namespace, key) IN
            (SELECT namespace, key FROM entries WHERE expires_at <= ? LIMIT ?)
        """,
        (now, PURGE_COUNT_MAX),
    ).rowcount


def _read_batch(
    connection: sqlite3.Connection, jobs: Sequence[Sequence[tuple[str, bytes]]]
) -> list[list[Entry | None]]:
    wanted = list({at for job in jobs for at in job})
    found: dict[tuple[str, bytes], Entry] = {}
    for part in _parts(wanted):
        rows = connection.execute(
            f"WITH wanted (namespace, key) AS (VALUES {_rows(part)})"  # noqa: S608 - placeholders
            " SELECT namespace, key, value, metadata, expires_at FROM wanted CROSS JOIN entries USING (namespace, key)",
            _flat(part),
        ).fetchall()
        found.update(((namespace, key), Entry(*rest)) for namespace, key, *rest in rows)
    return [[found.get(at) for at in job] for job in jobs]


def _list_batch(connection: sqlite3.Connection, jobs: Sequence[_ListQuery]) -> list[list[tuple[bytes, str, float]]]:
    return [_list(connection, job) for job in jobs]


def _list(connection: sqlite3.Connection, query: _ListQuery) -> list[tuple[bytes, str, float]]:
    """One row more than asked for, which tells whether there is a next page."""
    # No key is between `after` and `after` + NUL; 0xFF never occurs in UTF-8, so it ends the keys with a prefix.
    first, end = max(query.prefix, query.after + b"\0"), query.prefix + b"\xff"
    return connection.execute(
        """
        SELECT key, metadata, expires_at FROM entries
        WHERE namespace = ? AND key >= ? AND key < ? AND (expires_at IS NULL OR expires_at > ?)
        ORDER BY key LIMIT ?
        """,
        (query.namespace, first, end, query.now, query.limit + 1),
    ).fetchall()


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Rows for one statement each: many, as a statement costs a hand-over of the interpreter's lock.

    Their counts are powers of two, so there are few different statements and SQLite keeps each prepared.
    """
    start = 0
    while start < len(rows):
        count = min(1 << (len(rows) - start).bit_length() - 1, STATEMENT_ROWS_MAX)
        yield rows[start : start + count]
        start += count


def _rows(rows: Sequence[tuple[object, ...]]) -> str:
    """Placeholders: `(?, ?), (?, ?)`."""
    return ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))


def _flat(rows: Sequence[tuple[object, ...]]) -> list[object]:
    return [value for row in rows for value in row]
