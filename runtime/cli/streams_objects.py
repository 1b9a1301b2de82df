"""`edge streams create | get | delete`: streams as objects of the catalogue."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from ...bindings.pipelines.declared_checks import origin_problems
from ...bindings.pipelines.objects import Cors, HttpIngest
from ...bindings.pipelines.rest_shapes import stream_shape, time_text
from ...bindings.pipelines.schemas.schema_json import SchemaError, schema_from_json
from ...bindings.pipelines.stream_log.stream_state import load_stream_state
from ..core.errors import EdgeError
from .options import FILE, WranglerCommand, delete_options, read_text, where_options
from .output import confirm, say_fields, say_json
from .pipelines_state import open_admin, origin_of, require
from .stream_figures import stream_fields, stream_figures

if TYPE_CHECKING:
    from pathlib import Path

    from ...bindings.pipelines.admin import PipelinesAdmin
    from ...bindings.pipelines.objects import StreamObject
    from ...bindings.pipelines.schemas.schema import Field, Schema


@click.command(name="create", cls=WranglerCommand)
@click.argument("stream")
@click.option("--schema-file", type=FILE, metavar="FILE", help="JSON file with the schema; without it, unstructured.")
@click.option("--http-enabled/--no-http-enabled", "is_http", default=True, help="Take records over HTTP (default).")
@click.option("--http-auth/--no-http-auth", "is_authenticated", default=True, help="Ask for a token (default).")
@click.option("--cors-origin", "origins", multiple=True, metavar="ORIGIN", help="Allowed origin, or *; repeatable.")
@where_options
def create(
    stream: str,
    schema_file: Path | None,
    origins: tuple[str, ...],
    *,
    is_http: bool,
    is_authenticated: bool,
    **where: Any,
) -> None:
    """Make the stream STREAM: letters, digits and underscores."""
    origins = () if origins == ("none",) else origins  # wrangler's word for no CORS
    for problem in origin_problems(origins, ()):
        raise click.BadParameter(problem.text, param_hint="--cors-origin")
    made = open_admin(**where).create_stream(
        stream,
        time.time(),
        schema=None if schema_file is None else _schema(schema_file),
        http=HttpIngest(is_http, is_authenticated, Cors(origins)),
    )
    click.echo(f"Created stream {made.name} with id {made.id}.", err=True)
    if is_http:
        token = ' -H "Authorization: Bearer $TOKEN"' if is_authenticated else ""
        click.echo(f"Send to it while `edge dev` runs:\n  curl -d '[{{}}]'{token} {_endpoint(made, where)}", err=True)


@click.command(name="get")
@click.argument("stream")
@click.option("--json", "is_json", is_flag=True, help="As the REST API shows it, with figures.")
@where_options
def get(stream: str, *, is_json: bool, **where: Any) -> None:
    """Show the settings of STREAM (id or name), what comes in, and what waits in it."""
    admin = open_admin(**where)
    found = require("stream", stream, admin.catalogue.stream, admin.catalogue.streams)
    now = time.time()
    state = load_stream_state(admin, found.id, now)
    if is_json:
        say_json({**stream_shape(found, origin_of(**where)), "figures": stream_figures(state, now)})
        return
    origins = ", ".join(found.http.cors.origins)
    say_fields(
        [
            ("Name", found.name),
            ("Id", found.id),
            ("Made by", {"declared": "edge.toml", "api": "a command or the API", "binding": "a binding"}[found.origin]),
            ("Created", time_text(found.created_at)),
            ("Endpoint", _endpoint(found, where) if found.http.enabled else "off"),
            ("Token", ("needed" if found.http.authentication else "not needed") if found.http.enabled else "-"),
            ("CORS", origins or "none"),
            ("Schema", "\n".join(_field_lines(found.schema)) if found.schema else "none (one column `value`)"),
            ("Validation", found.validation),
            ("Pipelines", ", ".join(one.name for one in admin.catalogue.pipelines_using(found.id)) or "none"),
            ("Unprocessed", f"{admin.unprocessed_count(found.id):,} records"),
            *stream_fields(state, now),
        ]
    )


@click.command(name="delete")
@click.argument("stream")
@delete_options
@where_options
def delete(stream: str, *, is_sure: bool, **where: Any) -> None:
    """Delete STREAM (id or name), the records in its log, and the pipelines that read it."""
    admin = open_admin(**where)
    found = require("stream", stream, admin.catalogue.stream, admin.catalogue.streams)
    confirm(f"Delete stream {found.name}{_along_with(admin, found)}?", is_sure=is_sure)
    is_gone = admin.delete_stream(found.id, force=True)
    click.echo(f"Deleted stream {found.name}.", err=True)
    if not is_gone:
        click.echo("A running edge still holds its log; the log goes when edge is started next.", err=True)
    if found.origin == "declared":
        click.echo("It is made again at the next start while edge.toml declares it.", err=True)


def _along_with(admin: PipelinesAdmin, stream: StreamObject) -> str:
    count = admin.unprocessed_count(stream.id)
    users = [one.name for one in admin.catalogue.pipelines_using(stream.id)]
    parts = [f"{count:,} unprocessed record{'s' * (count != 1)}"] if count else []
    if users:
        parts.append(f"the pipeline{'s' * (len(users) != 1)} {', '.join(users)}")
    return f" with {' and '.join(parts)}" if parts else ""


def _schema(file: Path) -> Schema:
    try:
        return schema_from_json(json.loads(read_text(file)))
    except SchemaError as error:
        problems = "\n".join(f"  {path}: {message}" for path, message in error.problems)
        raise EdgeError(f"{file} is no schema:\n{problems}") from error
    except ValueError as error:
        raise EdgeError(f"{file} is no JSON: {error}.") from error
    except RecursionError as error:
        raise EdgeError(f"{file} is nested too deeply for a schema.") from error


def _endpoint(stream: StreamObject, where: dict[str, Any]) -> str:
    endpoint: str = stream_shape(stream, origin_of(**where))["endpoint"]
    return endpoint


def _field_lines(schema: Schema) -> list[str]:
    return [f"{field.name} {_type_text(field)}{' required' * field.required}" for field in schema.fields]


def _type_text(field: Field) -> str:
    if field.items is not None:
        return f"list<{_type_text(field.items)}>"
    if field.type == "struct":
        return f"struct<{', '.join(f'{one.name} {_type_text(one)}' for one in field.fields)}>"
    if field.type == "decimal128":
        return f"decimal128({field.precision}, {field.scale})"
    return f"timestamp({field.unit})" if field.type == "timestamp" else field.type
