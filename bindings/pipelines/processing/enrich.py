"""Adds to a record: constants, facts of the request it came in, the row of a table, where an address is."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ....runtime.core.errors import ConfigError, UnsupportedError
from .record_path import find, parse_path, put

if TYPE_CHECKING:
    from pathlib import Path

    from .declared import EnrichStep, GeoDatabase, LookupTable
    from .facts import Facts

TABLE_BYTES_MAX = 64 * 1024 * 1024
"""A lookup table is kept in memory."""


class Enrich:
    """One enrich step, ready to work on records."""

    def __init__(self, step: EnrichStep, folder: Path) -> None:
        """Raises ConfigError when a file cannot be read, ValueError for a path that is none."""
        self._step = step
        self._constants = [(parse_path(path), value) for path, value in step.constants.items()]
        self._table = _Table(step.lookup, folder) if step.lookup else None
        self._geo = _Geo(step.geo, folder) if step.geo else None

    def apply(self, record: dict[str, Any], facts: Facts) -> None:
        for path, value in self._constants:
            put(record, path, value, overwrite=False)
        for name in self._step.facts:
            if (fact := _fact(name, facts)) is not None:
                record.setdefault(name, fact)
        if self._table is not None:
            self._table.apply(record)
        if self._geo is not None:
            self._geo.apply(record)


def _fact(name: str, facts: Facts) -> str | None:
    if name == "received_at":
        moment = datetime.fromtimestamp(facts.received_at, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return facts.ip if name == "ip" else facts.user_agent


class _Table:
    """Rows by the text of one column; the file is read again when it changes."""

    def __init__(self, declared: LookupTable, folder: Path) -> None:
        self._path = folder / declared.file
        self._column = declared.column
        self._field = parse_path(declared.field)
        self._into = parse_path(declared.into)
        self._rows: dict[str, dict[str, Any]] = {}
        self._state: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the file if it is another one than last time.

        Raises:
            ConfigError: it is not there, too large, or no table with that column.
        """
        try:
            stat = self._path.stat()
            state = (stat.st_mtime_ns, stat.st_size)
            if state == self._state:
                return
            if stat.st_size > TABLE_BYTES_MAX:
                msg = f"Lookup table {self._path} has {stat.st_size:,} bytes; at most {TABLE_BYTES_MAX:,} fit."
                raise ConfigError(msg)
            rows = _read_rows(self._path)
        except OSError as error:
            raise ConfigError(f"Lookup table {self._path} cannot be read: {error.strerror or error}.") from error
        if rows and self._column not in rows[0]:
            known = ", ".join(rows[0])
            msg = f'Lookup table {self._path} has no column "{self._column}". It has: {known}.'
            raise ConfigError(msg)
        self._rows = {str(row[self._column]): row for row in rows if row.get(self._column) is not None}
        self._state = state

    def apply(self, record: dict[str, Any]) -> None:
        value = find(record, self._field)
        row = self._rows.get(str(value)) if value is not None else None
        if row is not None:
            put(record, self._into, row, overwrite=False)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file, strict=True))
    except (msgspec.MsgspecError, csv.Error, UnicodeDecodeError) as error:
        msg = f"Lookup table {path} is no CSV with a header and no JSON array of objects: {error}."
        raise ConfigError(msg) from error


class _Geo:
    """A MaxMind DB. What it says of an address is put into the record as it is."""

    def __init__(self, declared: GeoDatabase, folder: Path) -> None:
        try:
            import maxminddb  # noqa: PLC0415 - only a Worker that asks for places needs it
        except ImportError as error:
            msg = "A geo database needs maxminddb: pip install 'edge-workers[pipelines]'."
            raise UnsupportedError(msg) from error
        path = folder / declared.file
        try:
            self._reader = maxminddb.open_database(path)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise ConfigError(f"Geo database {path} cannot be read: {error}.") from error
        self._field = parse_path(declared.field)
        self._into = parse_path(declared.into)

    def apply(self, record: dict[str, Any]) -> None:
        address = find(record, self._field)
        if not isinstance(address, str):
            return
        try:
            place = self._reader.get(address)
        except ValueError:  # no address
            return
        if place is not None:
            put(record, self._into, place, overwrite=False)
