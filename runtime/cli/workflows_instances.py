"""`edge workflows instances`: what was triggered, how it stands, and changing that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ...bindings.workflows.admission import BATCH_COUNT_MAX
from ...bindings.workflows.answers import Action
from ...bindings.workflows.journal.records import InstanceFilter, Status
from ...bindings.workflows.rest.json_values import json_value, time_text
from ...bindings.workflows.rest.shapes import detail_shape, instance_shape
from .json_argument import parse_json
from .options import WranglerCommand, delete_options
from .output import confirm, say_json, say_table
from .progress import with_bar
from .workflow_drawing import draw_instance
from .workflow_tail import tail
from .workflow_text import plural
from .workflows_state import (
    count_of,
    instance_argument,
    instance_id_of,
    json_option,
    moment_option,
    page_options,
    service_options,
    with_service,
    workflow_argument,
)

if TYPE_CHECKING:
    from ...bindings.workflows.answers import EventReceipt, InstanceDetail, InstanceList
    from ...bindings.workflows.journal.records import Instance
    from ...bindings.workflows.service import WorkflowService

UNFINISHED = tuple(str(status) for status in Status if not status.is_final)
TRUNCATE_OUTPUT_LIMIT = 5000
"""Source: wrangler 4.86.0."""

STEP_TYPES = ("do", "sleep", "waitForEvent")
NOT_TERMINATED = "Nothing was terminated: there is no terminal to ask on. Pass -y to terminate them."

_PAST = {Action.PAUSE: "paused", Action.RESUME: "resumed", Action.TERMINATE: "terminated", Action.RESTART: "restarted"}
_PAUSED = {Status.PAUSED, Status.WAITING_FOR_PAUSE}


@click.group(name="instances", help=__doc__)
def instances() -> None:
    pass


instances.add_command(tail)


@instances.command(name="list")
@workflow_argument
@click.option("--reverse", "is_ascending", is_flag=True, help="Oldest first.")
@click.option("--status", type=click.Choice([str(status) for status in Status]), help="Only instances of this status.")
@moment_option("--since", "since_ms", "Only what was created since")
@moment_option("--until", "until_ms", "Only what was created until")
@page_options
@json_option
@service_options
def list_instances(
    name: str,
    status: str | None,
    since_ms: int | None,
    until_ms: int | None,
    *,
    page: int,
    per_page: int,
    is_ascending: bool,
    is_json: bool,
    **where: Any,
) -> None:
    """List the instances of the workflow NAME, newest first."""
    wanted = InstanceFilter(Status(status) if status else None, since_ms, until_ms, is_ascending)
    found: InstanceList = with_service(
        lambda service: service.instances(name, wanted, page=page, per_page=per_page), where
    )
    if is_json:
        say_json([instance_shape(one) for one in found.items])
        return
    if not found.items:
        none = f'There are no instances in workflow "{name}". You can trigger it with "edge workflows trigger {name}".'
        if wanted != InstanceFilter(is_ascending=is_ascending) or page > 1:
            none = f"No instances found on page {page} of this filter: {found.total_count} on all pages."
        click.echo(none, err=True)
        return
    rows = [
        (one.id, one.version[:12], time_text(one.created_ms) or "", time_text(one.modified_ms) or "", str(one.status))
        for one in found.items
    ]
    say_table(("instance id", "version", "created", "modified", "status"), rows)
    if len(found.items) < found.total_count:
        click.echo(f"{len(found.items)} of {plural(found.total_count, 'instance')}, page {page}.", err=True)


@instances.command(name="describe", cls=WranglerCommand)
@workflow_argument
@click.argument("instance_id", metavar="[ID]", default="latest")
@click.option("--step-output/--no-step-output", "has_output", default=True, help="Show what steps returned.")
@click.option(
    "--truncate-output-limit",
    "output_chars_max",
    type=click.IntRange(1),
    default=TRUNCATE_OUTPUT_LIMIT,
    metavar="N",
    help="Show so many characters of an output.",
)
@json_option
@service_options
def describe(
    name: str, instance_id: str, output_chars_max: int, *, has_output: bool, is_json: bool, **where: Any
) -> None:
    """Show the instance ID (else the latest) of the workflow NAME: its steps with times, attempts and errors."""

    async def work(service: WorkflowService) -> InstanceDetail:
        return await service.instance(name, await instance_id_of(service, name, instance_id))

    found: InstanceDetail = with_service(work, where)
    if is_json:
        say_json(_raw_shape(found))
    else:
        draw_instance(found, round(time.time() * 1000), has_output=has_output, output_chars_max=output_chars_max)


@instances.command(name="pause")
@instance_argument
@json_option
@service_options
def pause(name: str, instance_id: str, *, is_json: bool, **where: Any) -> None:
    """Pause the instance ID: a step that runs is let finish, time that is waited for stands still."""
    _change(Action.PAUSE, name, instance_id, where, is_json=is_json)


@instances.command(name="resume")
@instance_argument
@json_option
@service_options
def resume(name: str, instance_id: str, *, is_json: bool, **where: Any) -> None:
    """Let the instance ID go on."""
    _change(Action.RESUME, name, instance_id, where, is_json=is_json)


@instances.command(name="terminate")
@instance_argument
@click.option("--rollback", is_flag=True, help="First undo the steps that have a rollback.")
@json_option
@service_options
def terminate(name: str, instance_id: str, *, rollback: bool, is_json: bool, **where: Any) -> None:
    """End the instance ID; a step that runs is cancelled."""
    _change(Action.TERMINATE, name, instance_id, where, is_json=is_json, rollback=rollback)


@instances.command(name="restart")
@instance_argument
@click.option("--from", "step", metavar="STEP", help="Keep what ran before this step, named without its counter.")
@click.option("--count", type=click.IntRange(1), default=1, metavar="N", help="Which of the steps with that name.")
@click.option("--type", "kind", type=click.Choice(STEP_TYPES), help="Its kind, where two have that name.")
@json_option
@service_options
def restart(
    name: str, instance_id: str, step: str | None, count: int, kind: str | None, *, is_json: bool, **where: Any
) -> None:
    """Run the instance ID again with the same params, from the start or from a step."""
    start = None if step is None else {"name": step, "count": count, "type": kind}
    _change(Action.RESTART, name, instance_id, where, is_json=is_json, from_=start)


@instances.command(name="terminate-all")
@workflow_argument
@click.option("--status", type=click.Choice(UNFINISHED), help="Only instances of this status.")
@delete_options
@json_option
@service_options
def terminate_all(name: str, status: str | None, *, is_sure: bool, is_json: bool, **where: Any) -> None:
    """End every unfinished instance of the workflow NAME."""
    wanted = [Status(one) for one in ([status] if status else UNFINISHED)]

    async def work(service: WorkflowService) -> int:
        async def count() -> int:
            return count_of(await service.workflow(name), wanted)

        before = await count()
        what = plural(before, f"{status or 'unfinished'} instance")
        confirm(f"Terminate {what} of {name}?", is_sure=is_sure, otherwise=NOT_TERMINATED)
        ended_before = count_of(await service.workflow(name), [Status.TERMINATED])
        await service.terminate_all(name, wanted)
        await with_bar(service.terminated_all(), "Terminating", before, count)
        return count_of(await service.workflow(name), [Status.TERMINATED]) - ended_before

    terminated_count = with_service(work, where)
    if is_json:
        say_json({"terminated": terminated_count})
    else:
        click.echo(f"Terminated {plural(terminated_count, 'instance')} of {name}.", err=True)


@instances.command(name="send-event")
@instance_argument
@click.option("--type", "event_type", required=True, metavar="TYPE", help="Type of the event.")
@click.option("--payload", default="{}", metavar="JSON", help="What the event carries; {} when not given.")
@json_option
@service_options
def send_event(name: str, instance_id: str, event_type: str, payload: str, *, is_json: bool, **where: Any) -> None:
    """Send an event to the instance ID; it is kept until a wait for its type takes it."""
    value = parse_json(payload, "--payload")

    async def work(service: WorkflowService) -> tuple[str, EventReceipt]:
        found_id = await instance_id_of(service, name, instance_id)
        return found_id, await service.send_event(name, found_id, event_type, value)

    found_id, receipt = with_service(work, where)
    if is_json:
        say_json({"instanceId": found_id, "timestamp": time_text(receipt.sent_ms)})
    else:
        click.echo(f'The event with type "{event_type}" was sent to the instance "{found_id}" from {name}.', err=True)
    if receipt.is_dropped:
        click.echo("The instance is finished: nothing waits for the event, and it was dropped.", err=True)


@instances.command(name="delete")
@workflow_argument
@click.argument("instance_ids", metavar="ID...", nargs=-1, required=True)
@delete_options
@json_option
@service_options
def delete(name: str, instance_ids: tuple[str, ...], *, is_sure: bool, is_json: bool, **where: Any) -> int:
    """Forget instances, running or not; their ids may be used again. Exits 1 when one of them is not there."""

    async def work(service: WorkflowService) -> tuple[list[str], list[str]]:
        ids = [await instance_id_of(service, name, one) for one in instance_ids]
        confirm(f"Delete {plural(len(ids), 'instance')} of {name}?", is_sure=is_sure)
        deleted: list[str] = []
        missing: list[str] = []
        for first in range(0, len(ids), BATCH_COUNT_MAX):
            done = await service.delete_instances(name, ids[first : first + BATCH_COUNT_MAX])
            deleted += done.deleted
            missing += [error.id for error in done.errors]
        return deleted, missing

    deleted, missing = with_service(work, where)
    if is_json:
        say_json({"deleted": deleted, "missing": missing})
        return int(bool(missing))
    click.echo(f"Deleted {plural(len(deleted), 'instance')} of {name}.", err=True)
    for one in missing:
        click.echo(f'There is no instance "{one}".', err=True)
    return int(bool(missing))


def _change(
    action: Action, name: str, instance_id: str, where: dict[str, Any], *, is_json: bool, **options: Any
) -> None:
    async def work(service: WorkflowService) -> tuple[Instance, Instance]:
        before = (
            await service.instance(name, await instance_id_of(service, name, instance_id), with_steps=False)
        ).instance
        return before, await service.change_status(name, before.id, action, **options)

    before, after = with_service(work, where)
    if is_json:
        say_json({"id": after.id, "status": after.status, "timestamp": time_text(after.modified_ms)})
    elif _is_in_vain(action, before.status, after.status):
        click.echo(f'The instance "{after.id}" from {name} is {after.status}: nothing was {_PAST[action]}.', err=True)
    else:
        click.echo(f'The instance "{after.id}" from {name} was {_PAST[action]}: it is {after.status} now.', err=True)


def _is_in_vain(action: Action, before: Status, after: Status) -> bool:
    """Pausing and resuming do nothing, silently, where there is nothing to do."""
    if action is Action.PAUSE:
        return before in _PAUSED or after not in _PAUSED
    return action is Action.RESUME and before not in _PAUSED


def _raw_shape(found: InstanceDetail) -> dict[str, Any]:
    """As the REST API shows it, but values are what they are. Decision 24."""
    shape = detail_shape(found, is_descending=False)
    raw = zip(shape["steps"], found.steps, strict=True)
    steps = [{**shown, "output": json_value(step["output"])} if "output" in step else shown for shown, step in raw]
    return {"id": found.instance.id, **shape, "output": json_value(found.output), "steps": steps}
