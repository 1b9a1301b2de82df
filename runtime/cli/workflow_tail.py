"""`edge workflows instances tail`: what happened to an instance, then what happens, as it happens."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from ...bindings.workflows.journal.history import TYPES
from ...bindings.workflows.rest.json_values import json_text, json_value
from ..hosts.logs import printable
from .workflow_text import duration_text, time_of_day
from .workflows_state import instance_id_of, service_options, with_service, workflow_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...bindings.workflows.service import WorkflowService

VALUE_CHARS_MAX = 200
TYPE_CHARS = 20
_LEFT_OUT = {"instanceId", "eventId", "timestamp", "type", "config"}
"""Of a line: the instance is the one that was asked for, the config is what the code says."""
_WORDS = {"eventType": "event"}
_COLOURS = {"errored": "red", "terminated": "red", "timed_out": "red", "completed": "green", "paused": "yellow"}


@click.command(name="tail")
@workflow_argument
@click.argument("instance_id", metavar="[ID]", default="latest")
@click.option("--cursor", type=click.IntRange(0), default=0, metavar="N", help="Begin behind the event of this id.")
@click.option(
    "--filter",
    "types",
    type=click.Choice(sorted(TYPES)),
    multiple=True,
    metavar="TYPE",
    help="Only events of this type; may be repeated.",
)
@click.option("--json", "is_json", is_flag=True, help="One JSON object per event.")
@service_options
def tail(name: str, instance_id: str, cursor: int, types: tuple[str, ...], *, is_json: bool, **where: Any) -> None:
    """Show the events of the instance ID (else of the latest) of the workflow NAME, until it ends."""

    async def work(service: WorkflowService) -> None:
        found_id = await instance_id_of(service, name, instance_id)
        async with aclosing(await service.subscribe(name, found_id, cursor, types or None)) as events:
            async for event in events:
                plain = json_value(event)
                click.echo(json_text(plain) if is_json else _line(plain))
                sys.stdout.flush()
        if events.is_deleted:
            click.echo(f'The instance "{found_id}" was deleted.', err=True)

    with_service(work, where)


def _line(event: Mapping[str, Any]) -> str:
    """As `12:00:01.200    14  attempt_errored       charge-1, attempt 2, RuntimeError: 503, again in 2 s`."""
    colour = next((colour for word, colour in _COLOURS.items() if event["type"].endswith(word)), None)
    told = [_told(key, value) for key, value in event.items() if key not in _LEFT_OUT and value is not None]
    kind = f"{event['type']:<{TYPE_CHARS}}" if told else event["type"]
    parts = [time_of_day(event["timestamp"]), f"{event['eventId']:>4}", click.style(kind, fg=colour)]
    return "  ".join([*parts, printable(", ".join(told))] if told else parts)


def _told(key: str, value: Any) -> str:
    """A part of an event, in few words."""
    match key:
        case "stepName":
            return str(value)
        case "error":
            return f"{value['name']}: {value['message']}"
        case "retryDelayMs":
            return f"again in {duration_text(value)}"
        case "durationMs":
            return duration_text(value)
    text = value if isinstance(value, str) else json_text(value)
    return f"{_WORDS.get(key, key)} {text[:VALUE_CHARS_MAX]}{'…' if len(text) > VALUE_CHARS_MAX else ''}"
