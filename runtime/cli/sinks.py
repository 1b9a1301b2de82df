"""`edge sinks`: where pipelines write to."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ...bindings.pipelines.objects import ROW_GROUP_BYTES, RollingPolicy, SinkFormat
from ...bindings.pipelines.rest_shapes import sink_shape, time_text
from ...bindings.pipelines.sink_types import find_sink_type, sink_type_name, sink_type_names
from ...bindings.pipelines.sinks.sink_config import problem_of_format
from ..core.errors import EdgeError
from .options import delete_options, list_options, where_options
from .output import confirm, say_fields, say_json, say_table
from .pipelines_state import open_admin, page_of, require

if TYPE_CHECKING:
    from collections.abc import Mapping

MEGABYTE = 1024 * 1024
COMPRESSIONS = ("uncompressed", "none", "snappy", "gzip", "zstd", "lz4")
_CONFIG_OPTIONS = {
    "bucket": "bucket",
    "sink_path": "path",
    "partitioning": "partitioning.time_pattern",
    "access_key_id": "credentials.access_key_id",
    "secret_access_key": "credentials.secret_access_key",
    "namespace": "namespace",
    "table": "table_name",
    "catalog_token": "token",
}
"""wrangler's option -> where the API has it."""


@click.group(name="sinks", help=__doc__)
def command() -> None:
    pass


@command.command(name="create")
@click.argument("sink")
@click.option("--type", "type_name", required=True, metavar="TYPE", help="local, r2, r2-data-catalog, webhook ...")
@click.option("--bucket", metavar="NAME", help="Bucket of an R2 or S3 sink.")
@click.option("--format", "file_format", type=click.Choice(["json", "parquet"]), help="Of files; parquet by default.")
@click.option("--compression", type=click.Choice(COMPRESSIONS), help="zstd by default (parquet).")
@click.option("--target-row-group-size", metavar="MB", type=click.IntRange(1, 1 << 20), help="Of Parquet; 1024.")
@click.option("--path", "sink_path", metavar="PATH", help="Folder of a local sink, or what keys begin with.")
@click.option("--partitioning", metavar="PATTERN", help="Folders by time, as year=%Y/month=%m/day=%d.")
@click.option("--roll-size", type=click.IntRange(1, 1 << 20), metavar="MB", help="Close a file of this size.")
@click.option("--roll-interval", type=click.FloatRange(1), metavar="SECONDS", help="Close a file after so long.")
@click.option("--access-key-id", metavar="ID")
@click.option("--secret-access-key", metavar="KEY")
@click.option("--namespace", metavar="NAME", help="Of a data catalog.")
@click.option("--table", metavar="NAME", help="Of a data catalog.")
@click.option("--catalog-token", metavar="TOKEN")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting of the type, as in edge.toml.")
@where_options
def create(sink: str, **given: Any) -> None:
    """Make the sink SINK: letters, digits and underscores. It can not be changed afterwards."""
    name = sink_type_name(given["type_name"])
    config = _config(given)
    _check(name, config)
    form = _format(given)
    if problem := problem_of_format(name, form.type, form.compression):
        raise click.BadParameter(problem, param_hint="--compression")
    admin = open_admin(given["path"], given["environment"], given["persist_to"])
    made = admin.create_sink(
        sink,
        name,
        time.time(),
        config=config,
        sink_format=form,
        rolling_policy=RollingPolicy(given["roll_interval"], given["roll_size"] and given["roll_size"] * MEGABYTE),
    )
    click.echo(f"Created sink {made.name} with id {made.id}.", err=True)


@command.command(name="list")
@list_options
@click.option("--pipeline-id", metavar="ID", help="Only those that this pipeline (id or name) writes to.")
@where_options
def list_sinks(page: int, per_page: int, pipeline_id: str | None, *, is_json: bool, **where: Any) -> None:
    """List every sink."""
    admin = open_admin(**where)
    sinks = admin.catalogue.sinks()
    if pipeline_id is not None:
        pipeline = require("pipeline", pipeline_id, admin.catalogue.pipeline, admin.catalogue.pipelines)
        sinks = [one for one in sinks if one.id in admin.catalogue.tables_of(pipeline.id)]
    shown = page_of(sinks, page, per_page)
    if is_json:
        say_json([sink_shape(one) for one in shown])
    elif not sinks:
        click.echo("There is no sink yet. Those of edge.toml are made when `edge dev` starts.", err=True)
    else:
        rows = [(one.name, one.id, one.type, time_text(one.created_at)) for one in shown]
        say_table(("name", "id", "type", "created"), rows)


@command.command(name="get")
@click.argument("sink")
@click.option("--json", "is_json", is_flag=True, help="As the REST API shows it.")
@where_options
def get(sink: str, *, is_json: bool, **where: Any) -> None:
    """Show the settings of SINK (id or name) but its secrets."""
    admin = open_admin(**where)
    found = require("sink", sink, admin.catalogue.sink, admin.catalogue.sinks)
    shape = sink_shape(found)
    if is_json:
        say_json(shape)
        return
    say_fields(
        [
            ("Name", found.name),
            ("Id", found.id),
            ("Type", found.type),
            ("Made by", "edge.toml" if found.origin == "declared" else "a command or the API"),
            ("Created", time_text(found.created_at)),
            ("Format", ", ".join(f"{key} {value}" for key, value in shape["format"].items())),
            *((key, _shown(value)) for key, value in shape["config"].items()),
            ("Pipelines", ", ".join(one.name for one in admin.catalogue.pipelines_using(found.id)) or "none"),
        ]
    )


@command.command(name="delete")
@click.argument("sink")
@delete_options
@where_options
def delete(sink: str, *, is_sure: bool, **where: Any) -> None:
    """Delete SINK (id or name) and the pipelines that write to it. What it wrote stays."""
    admin = open_admin(**where)
    found = require("sink", sink, admin.catalogue.sink, admin.catalogue.sinks)
    users = [one.name for one in admin.catalogue.pipelines_using(found.id)]
    along = f" with the pipeline{'s' * (len(users) != 1)} {', '.join(users)}" if users else ""
    again = ""
    if found.origin == "declared":
        again = (
            " It is made again at the next start while edge.toml declares it; then all that the streams' logs still "
            "have goes there once more, and rows that are there already will be there twice."
        )
    if count := admin.left_behind_count(found.id):
        again += (
            f" It may have some of {count:,} records that a pipeline which was moved elsewhere waits to see here. They "
            "go where that writes now, and what this sink has is in both."
        )
    confirm(f"Delete sink {found.name}{along}?{again}", is_sure=is_sure)
    admin.catalogue.delete_sink(found.id, force=True)
    click.echo(f"Deleted sink {found.name}. What it wrote stays where it is.", err=True)
    if again:
        click.echo(again.strip(), err=True)


def _config(given: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for option, at in _CONFIG_OPTIONS.items():
        if given[option] is not None:
            _put(config, at, given[option])
    for text in given["settings"]:
        at, sign, value = text.partition("=")
        if not at or not sign:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--set")
        _put(config, at, _value(value))
    return config


def _put(config: dict[str, Any], at: str, value: Any) -> None:
    *outer, last = at.split(".")
    for step in outer:
        config = config.setdefault(step, {})
        if not isinstance(config, dict):
            raise click.BadParameter(f"{at}: {step} has a value already.", param_hint="--set")
    config[last] = value


def _value(text: str) -> Any:
    """Numbers, booleans, arrays and objects as JSON; everything else is text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _check(name: str, config: Mapping[str, Any]) -> None:
    kind = find_sink_type(name)
    if kind is None:
        raise click.BadParameter(
            f"there is no {name}. The types are: {', '.join(sink_type_names())}.", param_hint="--type"
        )
    if unknown := [key for key in config if key not in kind.Config.__dataclass_fields__]:
        known = ", ".join(kind.Config.__dataclass_fields__)
        raise EdgeError(f"Sinks of type {name} have no setting {unknown[0]!r}. Their settings are: {known}.")
    try:
        msgspec.convert(dict(config), kind.Config)
    except msgspec.ValidationError as error:
        text = str(error).removesuffix(".")
        raise EdgeError(f"These settings make no {name} sink: {text}.") from error


def _format(given: Mapping[str, Any]) -> SinkFormat:
    file_format: Any = given["file_format"] or "parquet"
    compression: Any = "uncompressed" if given["compression"] == "none" else given["compression"]
    row_group_mb = given["target_row_group_size"]
    return SinkFormat(file_format, compression, row_group_mb * MEGABYTE if row_group_mb else ROW_GROUP_BYTES)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
