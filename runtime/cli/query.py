"""`edge query`: SQL over what sinks delivered."""

from __future__ import annotations

import csv
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ...bindings.pipelines.catalogue import Catalogue
from ...bindings.pipelines.extras import needing
from ..hosts.logs import printable
from ..serve import load_config
from .options import choice_of, config_options, state_folder_of, state_option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ...bindings.pipelines.query import SinkQuery

TABLE_ROWS_MAX = 1000
"""A table is for eyes; --json and --csv give every row."""
CELL_CHARACTERS_MAX = 80
PROGRESS_AFTER_SECONDS = 1.0
PROGRESS_EVERY_SECONDS = 0.2


@click.command(name="query")
@click.argument("sql")
@click.option("--json", "is_json", is_flag=True, help="As a JSON array of objects.")
@click.option("--csv", "is_csv", is_flag=True, help="As CSV, with a line of names.")
@config_options
@state_option
def command(sql: str, *, is_json: bool, is_csv: bool, **where: Any) -> None:
    """Run one SELECT over sinks by their names, beside a running server or without one.

    It reads what local, r2, s3, iceberg and r2_data_catalog sinks delivered. The SQL is DuckDB's, and nothing is
    changed:

        edge query "SELECT carrier, count(*) FROM my_sink GROUP BY carrier"
    """
    if is_json and is_csv:
        raise click.UsageError("Choose --json or --csv, not both.")
    write = _write_json if is_json else _write_csv if is_csv else _write_table
    with _Progress() as progress, _open(sql, progress, **where) as query:
        progress.query = query
        write(query, progress)


@contextmanager
def _open(
    sql: str, progress: _Progress, path: Path | None, environment: str | None, persist_to: Path | None
) -> Iterator[SinkQuery]:
    config = load_config(choice_of(path, environment))
    state_dir = state_folder_of(config, persist_to) / "state"
    with needing("edge query needs", "pipelines,query"):
        from ...bindings.pipelines.query import open_query  # noqa: PLC0415 - DuckDB is an extra, and takes time to load
    with closing(Catalogue(state_dir)) as catalogue:
        sinks = catalogue.sinks()
    with open_query(sql, sinks, state_dir, config.path.parent, progress.count_files) as query:
        yield query


def _write_json(query: SinkQuery, progress: _Progress) -> None:
    separator = "[\n"
    for row in query.json_rows():
        progress.stop()
        sys.stdout.write(separator + row)
        separator = ",\n"
    sys.stdout.write("\n]\n" if separator == ",\n" else "[]\n")


def _write_csv(query: SinkQuery, progress: _Progress) -> None:
    columns, rows = query.columns(), query.rows()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    first = next(rows, None)
    progress.stop()
    writer.writerow([column.name for column in columns])
    if first is not None:
        writer.writerow(first)  # None is written as nothing
    writer.writerows(rows)


def _write_table(query: SinkQuery, progress: _Progress) -> None:
    columns, rows = query.columns(), query.rows()
    shown: list[list[str]] = []
    has_more = False
    for row in rows:
        if has_more := len(shown) == TABLE_ROWS_MAX:
            break
        shown.append([_cell(value) for value in row])
    progress.stop()
    names = [_cell(column.name) for column in columns]
    widths = [max(map(len, cells)) for cells in zip(names, *shown, strict=True)]
    for line in (names, ["-" * width for width in widths], *shown):
        cells = (
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )
        click.echo("  ".join(cells).rstrip())
    more = f"the first {len(shown)}; --json and --csv give all" if has_more else f"{len(shown)}"
    click.echo(f"rows: {more}", err=True)


def _cell(value: str | None) -> str:
    text = "null" if value is None else printable(value)
    return text if len(text) <= CELL_CHARACTERS_MAX else f"{text[: CELL_CHARACTERS_MAX - 1]}…"


class _Progress:
    """Says on a terminal how far a long query is, on one line that goes away."""

    query: SinkQuery | None = None

    def __init__(self) -> None:
        self._done = threading.Event()
        self._files = ""
        self._thread = threading.Thread(target=self._run, name="query-progress", daemon=True)

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def count_files(self, sink: str, count: int) -> None:
        self._files = f"{sink}: {count:,} files"

    def stop(self) -> None:
        """Take the line away; the result follows."""
        if not self._done.is_set():
            self._done.set()
            if self._thread.ident is not None:
                self._thread.join()

    def _run(self) -> None:
        if self._done.wait(PROGRESS_AFTER_SECONDS):
            return
        while not self._done.wait(PROGRESS_EVERY_SECONDS):
            percent = self.query.progress() if self.query else None
            text = self._files if percent is None else f"{percent:.0f} % read"
            click.echo(f"\r\033[K{text}", err=True, nl=False)
        click.echo("\r\033[K", err=True, nl=False)
