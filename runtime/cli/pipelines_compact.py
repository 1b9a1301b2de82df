"""`edge pipelines compact`: join the small files of an Iceberg sink's table."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from ...bindings.pipelines.extras import needing
from ...bindings.pipelines.sink_types import sink_type_name
from ..core.errors import BindingError
from ..hosts.local import LocalMachine
from ..hosts.logs import configure
from .options import where_options
from .pipelines_state import open_admin, require


@click.command(name="compact")
@click.argument("sink")
@where_options
def compact(sink: str, **where: Any) -> None:
    """Join the small files of SINK (an iceberg or r2_data_catalog sink) and remove those nothing names.

    A server may run beside it. Rows stay as they are, readers see no difference but speed.
    """
    admin = open_admin(**where)
    found = require("sink", sink, admin.catalogue.sink, admin.catalogue.sinks)
    if sink_type_name(found.type) not in {"iceberg", "r2_data_catalog"}:
        raise BindingError(f"Sink {found.name} is of type {found.type}; only Iceberg tables are compacted.")
    with needing("edge pipelines compact needs", "iceberg"):
        from ...bindings.pipelines.sinks.iceberg_compaction import (  # noqa: PLC0415 - loads pyiceberg, an extra
            compact_sink,
        )

    async def run() -> Any:
        machine = LocalMachine(admin.state_dir, configure("pretty", "warning").logger)
        try:
            return await asyncio.to_thread(compact_sink, found, machine, _say_progress)
        finally:
            await machine.aclose()

    done = asyncio.run(run())
    click.echo(
        f"{found.name}: {done.joined_count} files joined into {done.made_count}, "
        f"{done.removed_count} removed that nothing named"
    )


def _say_progress(done_count: int, total_count: int) -> None:
    if sys.stderr.isatty():
        text = f"\r{done_count:,} of {total_count:,} files joined"
        click.echo(text, err=True, nl=done_count == total_count)
