"""SQLite for facts that are few and small: one connection, called at once, from any thread.

`sqlite.py` groups the writes of busy callers in a thread of their own. A product's catalogue, its tokens or a runner's
offsets change a few times a second at most, and a read must cost microseconds: they use this. A write is on disk, with
synchronous FULL, when its `with` block has ended; an exception inside the block undoes all of it.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias

from .sqlite import backend_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .sqlite import Database

    Row = tuple[Any, ...]

Connection: TypeAlias = sqlite3.Connection
"""What a `write` block runs its statements on."""


class Facts:
    """One database file, made on the first write. Safe to share between threads; not with a forked child."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._lock = RLock()

    def read(self, query: str, parameters: tuple[Any, ...] = ()) -> list[Row]:
        """The rows of a query; none while nobody has written yet.

        Raises:
            BackendError: the file cannot be used.
        """
        with self._lock:
            try:
                if self._connection is None and not self._database.path.exists():
                    return []
                return self._open().execute(query, parameters).fetchall()
            except (sqlite3.Error, OSError) as error:
                self.close()
                raise backend_error(error, self._database.path) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that no other process's can come between; committed when the block ends well.

        Raises:
            BackendError: the file cannot be used; nothing was changed.
        """
        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self.close()
                raise backend_error(error, self._database.path) from error

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _open(self) -> Connection:
        if self._connection is None:
            path = self._database.path
            if (
                not path.exists()
            ):  # it may hold secrets: for its owner alone, and SQLite gives its journal the same mode
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.touch(mode=0o600)
            self._database.prepare()
            self._connection = self._database.connect()
        return self._connection
