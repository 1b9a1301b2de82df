"""The catalogue: which streams, sinks and pipelines there are. One SQLite file that all processes share.

What edge.toml declares is written here at start, what the commands and the REST API make is written at once, and the
runner and the doors read it. Every change counts `version` up, so a process sees another's change by asking for one
number. A pipeline is kept with the ids of the tables its SQL names: what is referenced cannot be deleted unnoticed.
Of a deleted pipeline the place in the log is remembered, for one that is made again under its name.

Two processes that make the same name at once take turns at the file's lock: one makes it, the other is refused.
Source: Cloudflare docs, Pipelines "Limits", "Manage streams"; API reference, "Pipelines".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import msgspec

from ...runtime.core.errors import BindingError
from .._shared.sqlite import Database
from .._shared.sqlite_facts import Facts
from .catalogue_snapshot import Snapshot, Tables, read_snapshot
from .departed import DEPARTED, in_its_place, remember_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from .._shared.sqlite_facts import Connection
    from .catalogue_snapshot import Kind
    from .objects import PipelineObject, SinkObject, StreamObject

OBJECT_COUNT_MAX = 20
"""Of each kind that somebody made by name; streams that only a binding names do not count."""
NAME_CHARACTERS_MAX = 128
FILE_NAME = "catalogue.sqlite3"

_NAME = re.compile(rf"[A-Za-z0-9_]{{1,{NAME_CHARACTERS_MAX}}}", re.ASCII)
_OBJECTS = """
CREATE TABLE objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, origin TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (kind, id), UNIQUE (kind, name)
) WITHOUT ROWID
"""
_TABLES = """
CREATE TABLE tables (
    pipeline_id TEXT NOT NULL, kind TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (pipeline_id, kind, position)
) WITHOUT ROWID
"""
_CHANGES = "CREATE TABLE changes (count INTEGER NOT NULL)"
_MIGRATIONS = (_OBJECTS, _TABLES, _CHANGES, "INSERT INTO changes VALUES (0)", DEPARTED)


def is_name(text: str) -> bool:
    """Whether somebody may give an object this name: SQL has to take it as it is."""
    return _NAME.fullmatch(text) is not None


class InvalidNameError(BindingError):
    """Raised for a name that SQL could not use as it is."""


class ObjectExistsError(BindingError):
    """Raised when the name is taken. The REST API answers it with code 1003."""


class NoSuchObjectError(BindingError):
    """Raised for an id or name that nothing has. The REST API answers it with 1016, 1015 or 1000, by `kind`."""

    def __init__(self, kind: Kind, id_or_name: str, known: Iterable[str]) -> None:
        names = ", ".join(known)
        also = f"{kind.capitalize()}s there are: {names}." if names else f"There is no {kind} yet."
        super().__init__(f'There is no {kind} "{id_or_name}". {also}', http_status=404)
        self.kind = kind


class UnknownTableError(BindingError):
    """Raised when a pipeline's SQL names a stream or sink that does not exist. The REST API answers code 1014."""


class StillReferencedError(BindingError):
    """Raised when something is to be deleted that pipelines use, without `force`. The REST API answers code 1030."""

    def __init__(self, kind: Kind, name: str, pipelines: Sequence[str]) -> None:
        super().__init__(
            f'The {kind} "{name}" is used by {_pipelines(pipelines)}. Delete them first, '
            f"or force it, which deletes them too.",
            http_status=400,
        )
        self.kind = kind
        self.pipelines = tuple(pipelines)


class TooManyObjectsError(BindingError):
    """Raised at the limit of objects of one kind."""


@dataclass(frozen=True, slots=True)
class TableNames:
    """What a pipeline's SQL reads from and writes to, by name as the SQL has it."""

    streams: tuple[str, ...] = ()
    sinks: tuple[str, ...] = ()


class Catalogue:
    """Reads and changes the catalogue of one state folder. Synchronous and quick; safe to share between threads."""

    def __init__(self, state_dir: Path) -> None:
        """Nothing is opened before the first call, and no file is made before the first change."""
        self._facts = Facts(Database(state_dir / "pipelines" / FILE_NAME, _MIGRATIONS))
        self._snapshot = Snapshot()

    def version(self) -> int:
        """Counts every change by any process, from 0; takes some microseconds."""
        rows = self._facts.read("SELECT count FROM changes")
        return cast("int", rows[0][0]) if rows else 0

    def streams(self) -> list[StreamObject]:
        """All of them, by name."""
        return self._current().streams.all()

    def sinks(self) -> list[SinkObject]:
        return self._current().sinks.all()

    def pipelines(self) -> list[PipelineObject]:
        return self._current().pipelines.all()

    def stream(self, id_or_name: str) -> StreamObject | None:
        """An id comes before a name."""
        return self._current().streams.find(id_or_name)

    def sink(self, id_or_name: str) -> SinkObject | None:
        return self._current().sinks.find(id_or_name)

    def pipeline(self, id_or_name: str) -> PipelineObject | None:
        return self._current().pipelines.find(id_or_name)

    def has_departed(self, pipeline_id: str) -> bool:
        """Whether there was a pipeline of this id: made again, it goes on where that one was."""
        return bool(self._facts.read("SELECT 1 FROM departed WHERE id = ?", (pipeline_id,)))

    def tables_of(self, pipeline_id: str) -> Tables:
        """What a pipeline reads and writes; nothing when there is no such pipeline."""
        return self._current().tables.get(pipeline_id, Tables())

    def pipelines_using(self, table_id: str) -> list[PipelineObject]:
        """The pipelines that read the stream, or write to the sink, of this id; by name."""
        now = self._current()
        return [pipeline for pipeline in now.pipelines.all() if table_id in now.tables[pipeline.id]]

    def add_stream(self, stream: StreamObject) -> None:
        """Keep a new stream.

        Raises:
            InvalidNameError, ObjectExistsError, TooManyObjectsError: it was not made.
        """
        with self._facts.write() as connection:
            _add(connection, "stream", stream)

    def change_stream(self, stream: StreamObject) -> None:
        """Replace the stream of this id.

        Raises:
            NoSuchObjectError: nothing has this id.
        """
        with self._facts.write() as connection:
            _change(connection, "stream", stream)

    def delete_stream(self, stream_id: str, *, force: bool = False) -> None:
        """Forget a stream; with `force` also the pipelines that read it. Its log stays (`PipelinesAdmin` removes it).

        Raises:
            NoSuchObjectError: nothing has this id.
            StillReferencedError: pipelines read it, and `force` is not given.
        """
        with self._facts.write() as connection:
            _delete_table(connection, "stream", stream_id, force=force)

    def add_sink(self, sink: SinkObject) -> None:
        """Raises as `add_stream` does."""
        with self._facts.write() as connection:
            _add(connection, "sink", sink)

    def change_sink(self, sink: SinkObject) -> None:
        """Raises as `change_stream` does."""
        with self._facts.write() as connection:
            _change(connection, "sink", sink)

    def delete_sink(self, sink_id: str, *, force: bool = False) -> None:
        """Raises as `delete_stream` does. What the sink wrote stays where it is."""
        with self._facts.write() as connection:
            _delete_table(connection, "sink", sink_id, force=force)

    def find_tables(self, tables: TableNames) -> Tables:
        """The ids of the tables that SQL names.

        Raises:
            UnknownTableError: one of them does not exist.
        """
        rows = self._facts.read("SELECT kind, name, id FROM objects")
        return _found_tables(rows, tables)

    def add_pipeline(self, pipeline: PipelineObject, tables: TableNames) -> Tables:
        """Keep a new pipeline with the tables its SQL names, which it returns.

        One that is made again goes on where it was, unless that place is another's by now.

        Raises:
            UnknownTableError: one of them does not exist.
            InvalidNameError, ObjectExistsError, TooManyObjectsError: it was not made.
        """
        with self._facts.write() as connection:
            found = _found_tables(connection.execute("SELECT kind, name, id FROM objects"), tables)
            _add(connection, "pipeline", in_its_place(connection, pipeline))
            _keep_tables(connection, pipeline.id, found)
        return found

    def change_pipeline(self, pipeline: PipelineObject, tables: TableNames) -> Tables:
        """Replace the pipeline of this id.

        Raises:
            NoSuchObjectError: nothing has this id.
            UnknownTableError: a table does not exist.
        """
        with self._facts.write() as connection:
            found = _found_tables(connection.execute("SELECT kind, name, id FROM objects"), tables)
            _change(connection, "pipeline", pipeline)
            _keep_tables(connection, pipeline.id, found)
        return found

    def rename_pipeline(self, old_id: str, pipeline: PipelineObject, tables: TableNames) -> Tables:
        """Put `pipeline` in the place of the one with the old id, at once.

        Raises:
            NoSuchObjectError, UnknownTableError, ObjectExistsError: nothing was changed.
        """
        with self._facts.write() as connection:
            found = _found_tables(connection.execute("SELECT kind, name, id FROM objects"), tables)
            _delete(connection, "pipeline", old_id)
            _add(connection, "pipeline", pipeline)
            _keep_tables(connection, pipeline.id, found)
        return found

    def delete_pipeline(self, pipeline_id: str) -> None:
        """Forget a pipeline; what it has not delivered stays in the streams' logs.

        Raises:
            NoSuchObjectError: nothing has this id.
        """
        with self._facts.write() as connection:
            _delete(connection, "pipeline", pipeline_id)

    def close(self) -> None:
        self._facts.close()

    def _current(self) -> Snapshot:
        """Everything, decoded anew only after a change."""
        version = self.version()
        if self._snapshot.version != version:
            # The version was read before the rows: rows that are newer are read once more, never missed.
            self._snapshot = read_snapshot(self._facts, version)
        return self._snapshot


def _count_change(connection: Connection) -> None:
    connection.execute("UPDATE changes SET count = count + 1")


def _add(connection: Connection, kind: Kind, one: StreamObject | SinkObject | PipelineObject) -> None:
    is_bindings = one.origin == "binding"
    if not is_bindings and not is_name(one.name):
        msg = (
            f"The {kind} name {one.name!r} is not allowed: it is used in SQL, so it may have letters, digits and "
            f"underscores only, 1 to {NAME_CHARACTERS_MAX} of them."
        )
        raise InvalidNameError(msg, http_status=400)
    same = "SELECT 1 FROM objects WHERE kind = ? AND (name = ? OR id = ?)"
    if connection.execute(same, (kind, one.name, one.id)).fetchone():
        msg = f'There is a {kind} "{one.name}" already. Choose another name, or delete that one first.'
        raise ObjectExistsError(msg, http_status=409)
    if kind != "pipeline" and one.origin == "api":  # what edge.toml declares was checked with the whole file
        _require_one_meaning(connection, kind, one.name)
    made = "SELECT COUNT(*) FROM objects WHERE kind = ? AND origin != 'binding'"
    if not is_bindings and connection.execute(made, (kind,)).fetchone()[0] >= OBJECT_COUNT_MAX:
        msg = f'The {kind} "{one.name}" was not made: there are {OBJECT_COUNT_MAX} {kind}s, the most there may be.'
        raise TooManyObjectsError(f"{msg} Delete one that is not used any more.", http_status=400)
    row = (kind, one.id, one.name, one.origin, msgspec.json.encode(one))
    connection.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", row)
    _count_change(connection)


def _require_one_meaning(connection: Connection, kind: Kind, name: str) -> None:
    """Raise ObjectExistsError when SQL could not tell a new table from one there is."""
    query = "SELECT kind, name FROM objects WHERE kind != 'pipeline' AND name = ? COLLATE NOCASE"
    for other_kind, other in connection.execute(query, (name,)):
        if other == name:
            msg = f'"{name}" is the name of a {other_kind} already; in SQL it would mean both. Choose another name.'
        else:
            msg = (
                f'The {kind} "{name}" and the {other_kind} "{other}" would differ in case alone, which SQL does not '
                f"see in names without quotes. Choose another name."
            )
        raise ObjectExistsError(msg, http_status=409)


def _change(connection: Connection, kind: Kind, one: StreamObject | SinkObject | PipelineObject) -> None:
    row = (one.name, one.origin, msgspec.json.encode(one), kind, one.id)
    changed = connection.execute("UPDATE objects SET name = ?, origin = ?, value = ? WHERE kind = ? AND id = ?", row)
    if not changed.rowcount:
        raise NoSuchObjectError(kind, one.name, _names(connection, kind))
    _count_change(connection)


def _delete(connection: Connection, kind: Kind, object_id: str) -> None:
    if kind == "pipeline":
        remember_place(connection, object_id)
    gone = connection.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (kind, object_id))
    if not gone.rowcount:
        raise NoSuchObjectError(kind, object_id, _names(connection, kind))
    connection.execute("DELETE FROM tables WHERE pipeline_id = ?", (object_id,))
    _count_change(connection)


def _delete_table(connection: Connection, kind: Kind, object_id: str, *, force: bool) -> None:
    query = (
        "SELECT objects.id, objects.name FROM tables JOIN objects "
        "ON objects.kind = 'pipeline' AND objects.id = tables.pipeline_id "
        "WHERE tables.kind = ? AND tables.id = ? ORDER BY objects.name"
    )
    users = connection.execute(query, (kind, object_id)).fetchall()
    if users and not force:
        name = connection.execute("SELECT name FROM objects WHERE kind = ? AND id = ?", (kind, object_id)).fetchone()
        raise StillReferencedError(kind, name[0] if name else object_id, [name for _, name in users])
    for pipeline_id, _ in users:
        _delete(connection, "pipeline", pipeline_id)
    _delete(connection, kind, object_id)


def _found_tables(rows: Iterable[tuple[str, str, str]], tables: TableNames) -> Tables:
    known: dict[str, dict[str, str]] = {}
    for kind, name, object_id in rows:
        known.setdefault(kind, {})[name] = object_id
    return Tables(
        _found("stream", "reads from", known.get("stream", {}), tables.streams),
        _found("sink", "writes to", known.get("sink", {}), tables.sinks),
    )


def _found(kind: str, verb: str, known: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            also = f"{kind.capitalize()}s there are: {', '.join(sorted(known))}." if known else f"There is no {kind}."
            raise UnknownTableError(f'The SQL {verb} "{name}", which is no {kind}. {also}', http_status=400)
    return tuple(dict.fromkeys(known[name] for name in names))


def _keep_tables(connection: Connection, pipeline_id: str, tables: Tables) -> None:
    connection.execute("DELETE FROM tables WHERE pipeline_id = ?", (pipeline_id,))
    rows = [(pipeline_id, "stream", position, id_) for position, id_ in enumerate(tables.stream_ids)]
    rows += [(pipeline_id, "sink", position, id_) for position, id_ in enumerate(tables.sink_ids)]
    connection.executemany("INSERT INTO tables VALUES (?, ?, ?, ?)", rows)


def _names(connection: Connection, kind: Kind) -> list[str]:
    rows = connection.execute("SELECT name FROM objects WHERE kind = ? ORDER BY name", (kind,))
    return [name for (name,) in rows]


def _pipelines(names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"the pipeline {quoted}" if len(names) == 1 else f"the pipelines {quoted}"
