"""SQL over what sinks delivered, by DuckDB, which reads the files where they are: nothing is copied, nothing changed.

Each sink the SQL names becomes a view of its name over its files (`sinks/delivered.py`). Files elsewhere are read in
ranges through the sink's own store, so DuckDB fetches the columns and row groups it needs.
Source: DuckDB docs, "Reading Multiple Files", "Python API".
"""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
from fsspec.spec import AbstractFileSystem  # type: ignore[import-untyped] # it ships no types

from ...runtime.core.errors import BindingError
from .sinks.delivered import Delivered, find_delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .objects import SinkObject

ROWS_AT_ONCE = 10_000
_ROW = "__edge_row"
_MISSING = re.compile(r"Table with name (.+?) does not exist")
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)
_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"}


class QueryError(BindingError):
    """Raised for SQL that is wrong, or that would change something. The text is DuckDB's, which shows where."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    is_number: bool


class SinkQuery:
    """One SELECT with its sinks at hand. Used from one thread; `progress` from any."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, select: str) -> None:
        self._connection = connection
        self._source = f"(\n{select}\n) AS {_ROW}"  # on lines of its own: it may end with a comment

    def missing_table(self) -> str | None:
        """The first table it reads that is not there."""
        try:
            self._connection.execute(f"SELECT * FROM {self._source} LIMIT 0")  # noqa: S608 - SQL is what this runs
        except duckdb.CatalogException as error:
            return found[1] if (found := _MISSING.search(str(error))) else None
        except duckdb.Error:  # said when it is run
            return None
        return None

    def columns(self) -> list[Column]:
        """Its columns; equal names are told apart by a number.

        Raises:
            QueryError: the SQL is wrong.
        """
        with _as_query_errors(lines_before=1):
            found = self._connection.execute(f"SELECT * FROM {self._source} LIMIT 0").description or []  # noqa: S608 - see above
        return [Column(name, _is_number(str(kind))) for name, kind, *_ in found]

    def rows(self) -> Iterator[Sequence[str | None]]:
        """Every row, each value as DuckDB writes it; None is null. Raises as `columns`."""
        return self._fetch(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM {self._source}")  # noqa: S608 - see above

    def json_rows(self) -> Iterator[str]:
        """Every row as a JSON object; numbers keep all their digits. Raises as `columns`."""
        sql = f"SELECT CAST(to_json({_ROW}) AS VARCHAR) FROM {self._source}"  # noqa: S608 - see above
        return (str(text) for (text,) in self._fetch(sql))

    def progress(self) -> float | None:
        """How much of the running query is done, 0 to 100; None when that is not known."""
        percent = self._connection.query_progress()
        return percent if percent >= 0 else None

    def _fetch(self, sql: str) -> Iterator[Sequence[str | None]]:
        with _as_query_errors(lines_before=1):
            self._connection.execute(sql)
            while some := self._connection.fetchmany(ROWS_AT_ONCE):
                yield from some


@contextmanager
def open_query(
    sql: str,
    sinks: Sequence[SinkObject],
    state_dir: Path,
    config_folder: Path,
    on_count: Callable[[str, int], None] = lambda *_: None,
) -> Iterator[SinkQuery]:
    """A query over those of `sinks` that `sql` names; blocks.

    Args:
        on_count: hears a sink's name and how many of its files were found so far.

    Raises:
        QueryError: the SQL is wrong, names no sink there is, or names one without anything to read.
        SinkMisconfiguredError, SinkUnavailableError, UnsupportedError: a sink's files cannot be read.
    """
    by_name = {sink.name.lower(): sink for sink in sinks}  # SQL's names have no case
    with tempfile.TemporaryDirectory(prefix="edge-query-") as spill:  # where DuckDB puts what does not fit in memory
        options: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # else a name may mean a variable of this module
            "temp_directory": spill,
        }
        with duckdb.connect(":memory:", config=options) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            query = SinkQuery(connection, _require_select(connection, sql))
            while (name := query.missing_table()) is not None:
                sink = by_name.pop(name.lower(), None)
                if sink is None:
                    there = ", ".join(sink.name for sink in sinks) or "none"
                    raise QueryError(f"There is no sink {name} (there: {there}).", http_status=404)
                files = find_delivered(sink, sinks, state_dir, config_folder, partial(on_count, sink.name))
                with _as_query_errors():
                    _make_view(connection, sink, files)
            yield query


def _require_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    with _as_query_errors():
        statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError("edge query only reads: give it one SELECT (or DESCRIBE, SUMMARIZE, SHOW).", http_status=400)
    return statements[0].query.strip().rstrip(";")


def _make_view(connection: duckdb.DuckDBPyConnection, sink: SinkObject, files: Delivered) -> None:
    paths = files.paths
    if files.open_file is not None:
        scheme = f"edge-{sink.id}"
        connection.register_filesystem(_SinkFiles(scheme, files))
        paths = [f"{scheme}://{path}" for path in paths]
    if not paths and files.empty is None:
        raise QueryError(f"Sink {sink.name} has delivered nothing yet, so its columns are not known.", http_status=404)
    if not paths:
        view = connection.from_arrow(files.empty)
    elif files.type == "parquet":
        view = connection.read_parquet(paths, union_by_name=True, hive_partitioning=False)
    else:
        view = _json_view(connection, paths, is_gzip=files.is_gzip)
    view.create_view(sink.name)


def _json_view(connection: duckdb.DuckDBPyConnection, paths: list[str], *, is_gzip: bool) -> duckdb.DuckDBPyRelation:
    """Files of JSON lines, with every value as it is written: text stays text, a whole number keeps its digits."""

    def read(columns: dict[str, str] | None = None) -> duckdb.DuckDBPyRelation:
        return connection.read_json(
            paths,  # type: ignore[arg-type] # DuckDB's stub knows one path; it takes a list
            columns=columns,
            format="newline_delimited",
            union_by_name=True,
            hive_partitioning=False,
            compression="gzip" if is_gzip else "none",
            sample_size=-1,  # a column's type from every row: a number that is text further down is no error
        )

    guessed = read()
    kinds = dict(zip(guessed.columns, guessed.types, strict=True))
    doubles: list[str] = []

    def as_text(place: str) -> str:
        doubles.append(place)
        return "VARCHAR"

    columns = {name: _json_type(kind, _quoted(name), as_text) for name, kind in kinds.items()}
    whole = _whole_numbers(read(columns), doubles) if doubles else {}
    exact = {name: _json_type(kind, _quoted(name), lambda at: whole.get(at, "DOUBLE")) for name, kind in kinds.items()}
    return read(exact) if exact else guessed


def _json_type(kind: Any, place: str | None, type_of_double: Callable[[str], str]) -> str:
    """A guessed type, without the dates and UUIDs that DuckDB sees in texts.

    Args:
        place: the SQL of the value; None inside of lists and maps.
        type_of_double: is asked with the place of every DOUBLE that has one.
    """
    match kind.id:
        case "struct":
            within = (
                (name, _json_type(one, f"{place}.{_quoted(name)}" if place else None, type_of_double))
                for name, one in kind.children
            )
            return f"STRUCT({', '.join(f'{_quoted(name)} {inner}' for name, inner in within)})"
        case "list":
            return f"{_json_type(kind.children[0][1], None, type_of_double)}[]"
        case "map":
            return f"MAP(VARCHAR, {_json_type(kind.children[1][1], None, type_of_double)})"
        case "double" if place:
            return type_of_double(place)
    text = str(kind)
    return text if text in {"BOOLEAN", "JSON"} or _is_number(text) else "VARCHAR"


def _whole_numbers(values: duckdb.DuckDBPyRelation, places: Sequence[str]) -> dict[str, str]:
    """The places where a DOUBLE would lose digits of a whole number, with the type that keeps them."""
    checks = (
        f"bool_or({at} SIMILAR TO '-?[0-9]+' AND coalesce("
        f"TRY_CAST({at} AS HUGEINT) <> TRY_CAST(TRY_CAST({at} AS DOUBLE) AS HUGEINT), true)), "
        f"bool_and({at} SIMILAR TO '-?[0-9]+' AND TRY_CAST({at} AS HUGEINT) IS NOT NULL)"
        for at in places
    )
    (found,) = values.aggregate(", ".join(checks)).fetchall()
    return {
        at: "HUGEINT" if is_hugeint else "JSON"
        for at, loses, is_hugeint in zip(places, found[::2], found[1::2], strict=True)
        if loses
    }


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class _SinkFiles(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """A sink's files as DuckDB asks for them."""

    cachable = False

    def __init__(self, scheme: str, files: Delivered) -> None:
        super().__init__()
        self.protocol = scheme
        self._files = files

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        assert mode == "rb", "a query reads"
        assert self._files.open_file is not None, "files of this machine are read by DuckDB itself"
        return self._files.open_file(self._key(path))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": self._files.sizes[self._key(path)], "type": "file"}

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]  # only files that were listed are asked for

    def modified(self, path: str) -> datetime:  # noqa: ARG002 - fsspec's signature
        return datetime.fromtimestamp(0, UTC)  # a delivered file never changes

    def _key(self, path: str) -> str:
        return path.partition("://")[2]


def _is_number(kind: str) -> bool:
    return kind.partition("(")[0].removeprefix("U") in _NUMBERS


@contextmanager
def _as_query_errors(lines_before: int = 0) -> Iterator[None]:
    """`lines_before`: how many lines of ours stand before the user's, whom DuckDB tells a line number."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryError("The query was stopped.") from error
    except duckdb.Error as error:
        text = _LINE.sub(lambda found: f"LINE {int(found[1]) - lines_before}:", str(error))
        if "Malformed JSON" in text:
            text += "\nWhere values differ in kind a column is JSON. Compare its text: column->>'$' = 'text'."
        raise QueryError(f"The query failed. {text}", http_status=400) from error
