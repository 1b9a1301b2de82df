"""`edge pipelines`: SQL between streams and sinks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ...bindings.pipelines.rest_shapes import pipeline_shape, table_shapes, time_text
from ...bindings.pipelines.sql.sql_error import SqlError
from ..core.errors import EdgeError
from .options import FILE, delete_options, list_options, read_text, where_options
from .output import confirm, say_fields, say_json, say_table
from .pipelines_compact import compact
from .pipelines_replay import replay
from .pipelines_state import open_admin, page_of, require
from .stream_figures import account_lines, insert_accounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Any]


@click.group(name="pipelines", help=__doc__)
def command() -> None:
    pass


command.add_command(compact)
command.add_command(replay)


def sql_options(command: Command) -> Command:
    """`--sql` and `--sql-file`."""
    for option in (
        click.option("--sql-file", type=FILE, metavar="FILE", help="File with the SQL."),
        click.option("--sql", metavar="TEXT", help="INSERT INTO a_sink SELECT ... FROM a_stream"),
    ):
        command = option(command)
    return command


@command.command(name="create")
@click.argument("pipeline")
@sql_options
@where_options
def create(pipeline: str, sql: str | None, sql_file: Path | None, **where: Any) -> None:
    """Make the pipeline PIPELINE; it runs from now on, and can not be changed."""
    text, name = _sql_of(sql, sql_file)
    admin = open_admin(**where)
    try:
        made = admin.create_pipeline(pipeline, text, time.time())
    except SqlError as error:
        raise _refused(error, text, name) from error
    click.echo(f"Created pipeline {made.name} with id {made.id}.", err=True)
    for warning in admin.warnings_of(made):
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)


@command.command(name="validate")
@sql_options
@where_options
def validate(sql: str | None, sql_file: Path | None, **where: Any) -> None:
    """Check SQL against the streams and sinks there are; shows what each INSERT would write."""
    text, name = _sql_of(sql, sql_file)
    try:
        planned = open_admin(**where).plan_sql(text)
    except SqlError as error:
        raise _refused(error, text, name) from error
    for one in planned:
        click.echo(f"{one.insert.stream} -> {one.insert.sink}")
        for column, kind in one.columns:
            click.echo(f"  {column}  {kind}")


@command.command(name="list")
@list_options
@where_options
def list_pipelines(page: int, per_page: int, *, is_json: bool, **where: Any) -> None:
    """List every pipeline."""
    admin = open_admin(**where)
    pipelines = admin.catalogue.pipelines()
    shown = page_of(pipelines, page, per_page)
    if is_json:
        say_json([pipeline_shape(one, admin.status_of(one.id).status) for one in shown])
    elif not pipelines:
        click.echo("There is no pipeline yet. Those of edge.toml are made when `edge dev` starts.", err=True)
    else:
        rows = [
            (one.name, one.id, admin.status_of(one.id).status, str(one.version), _one_line(one.sql)) for one in shown
        ]
        say_table(("name", "id", "status", "version", "sql"), rows)


@command.command(name="get")
@click.argument("pipeline")
@click.option("--json", "is_json", is_flag=True, help="As the REST API shows it, with accounts.")
@where_options
def get(pipeline: str, *, is_json: bool, **where: Any) -> None:
    """Show PIPELINE (id or name) with its streams and sinks, and what became of every record."""
    admin = open_admin(**where)
    found = require("pipeline", pipeline, admin.catalogue.pipeline, admin.catalogue.pipelines)
    tables, status = table_shapes(admin, found.id), admin.status_of(found.id)
    accounts = insert_accounts(admin, found.id)
    if is_json:
        shape = pipeline_shape(found, status.status)
        say_json({**shape, "failure_reason": status.failure_reason, "tables": tables, "accounts": accounts})
        return
    say_fields(
        [
            ("Name", found.name),
            ("Id", found.id),
            ("Status", f"failed: {status.failure_reason}" if status.failure_reason else status.status),
            ("Made by", "edge.toml" if found.origin == "declared" else "a command or the API"),
            ("Created", time_text(found.created_at)),
            ("Version", str(found.version)),
            ("Streams", ", ".join(one["name"] for one in tables if one["type"] == "stream")),
            ("Sinks", ", ".join(one["name"] for one in tables if one["type"] == "sink")),
            ("SQL", found.sql.strip()),
            ("Records", "\n".join(account_lines(accounts)) or "no INSERT has begun"),
        ]
    )


@command.command(name="delete")
@click.argument("pipeline")
@delete_options
@where_options
def delete(pipeline: str, *, is_sure: bool, **where: Any) -> None:
    """Delete PIPELINE (id or name). Records that it has not delivered stay in their streams."""
    admin = open_admin(**where)
    found = require("pipeline", pipeline, admin.catalogue.pipeline, admin.catalogue.pipelines)
    confirm(f"Delete pipeline {found.name}?", is_sure=is_sure)
    admin.catalogue.delete_pipeline(found.id)
    click.echo(f"Deleted pipeline {found.name}.", err=True)
    if found.origin == "declared":
        click.echo(
            "It is made again at the next start while edge.toml declares it, and goes on where it was. "
            "To deliver again: edge pipelines replay.",
            err=True,
        )


def _sql_of(sql: str | None, sql_file: Path | None) -> tuple[str, str]:
    """The SQL, and what messages call where it is from."""
    if (sql is None) == (sql_file is None):
        raise click.UsageError("Give the SQL with --sql, or a file of it with --sql-file: one of them.")
    return (sql, "SQL") if sql is not None else (read_text(sql_file), str(sql_file))  # type: ignore[arg-type]  # one is given


def _refused(error: SqlError, sql: str, name: str) -> EdgeError:
    """All that is wrong, each with the line it is about, marked below."""
    return EdgeError("\n".join(_marked(one, sql, name) for one in error.all))


def _marked(error: SqlError, sql: str, name: str) -> str:
    line = sql.split("\n")[error.line - 1].expandtabs(1)
    start = max(0, error.column - 60)
    mark = " " * (error.column - 1 - start) + "~"
    return f"{name}:{error.line}:{error.column}: {error.message}\n  {line[start : start + 120]}\n  {mark}"


def _one_line(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= 60 else f"{text[:59]}…"
