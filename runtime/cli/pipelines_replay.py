"""`edge pipelines replay`: deliver again what a pipeline has delivered and the log still has."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import click

from ...bindings.pipelines.delivery.replay import replayed_count
from ...bindings.pipelines.objects import Replay
from ..core.errors import EdgeError
from .options import where_options
from .output import confirm
from .pipelines_state import open_admin, require


@click.command(name="replay")
@click.argument("pipeline")
@click.option(
    "--from", "start", required=True, metavar="OFFSET|TIME", help="An offset of each partition, or an ISO 8601 time."
)
@click.option("-y", "--force", "is_sure", is_flag=True, help="Do not ask.")
@where_options
def replay(pipeline: str, start: str, *, is_sure: bool, **where: Any) -> None:
    """Deliver again what PIPELINE (id or name) has delivered from OFFSET or TIME on, as far as the log has it.

    The rows that are in its sinks stay there. A server may run beside it and begins within a second; without one, the
    next start does. Nothing that waits is skipped. How long the log keeps delivered records: `retention` of a stream.
    """
    admin = open_admin(**where)
    found = require("pipeline", pipeline, admin.catalogue.pipeline, admin.catalogue.pipelines)
    asked = _parsed(start, time.time())
    count = replayed_count(admin.state_dir, admin.folders, found.id, asked)
    if not count:
        raise EdgeError(
            f"Pipeline {found.name} has delivered no record from {start} on that its streams' logs still have. "
            f"Choose an earlier place, or have the logs keep more: retention = {{ seconds = 86400 }} in "
            f"[streams.NAME] of edge.toml."
        )
    records = f"{count:,} record{'s' * (count != 1)}"
    sinks = " and ".join(
        one.name for one in map(admin.catalogue.sink, admin.catalogue.tables_of(found.id).sink_ids) if one
    )
    confirm(
        f"Deliver {records} of pipeline {found.name} again? Their rows are in {sinks} already and will be there twice.",
        is_sure=is_sure,
        otherwise="Nothing is replayed: there is no terminal to ask on. Pass -y to replay.",
    )
    admin.replay_pipeline(found.id, asked)
    click.echo(f"Pipeline {found.name} delivers {records} again.", err=True)


def _parsed(start: str, now: float) -> Replay:
    """An offset is digits only; a time without a zone is UTC."""
    if start.isascii() and start.isdecimal():
        return Replay(now, from_offset=int(start))
    try:
        at = datetime.fromisoformat(start)
        return Replay(now, from_time=(at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        msg = f"{start!r} is neither an offset (0, 1200) nor an ISO 8601 time (2026-09-08T12:00:00Z)."
        raise click.BadParameter(msg, param_hint="--from") from error
