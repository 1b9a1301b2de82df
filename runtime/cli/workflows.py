"""`edge workflows`: the workflows of this project and their instances, with wrangler's names and options.

The commands work on the state folder, whether or not a server runs on it; one that runs is woken.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from ...bindings.workflows.journal.records import Status
from ...bindings.workflows.rest.json_values import time_text
from ...bindings.workflows.rest.shapes import created_shape, workflow_shape
from .json_argument import parse_json
from .options import delete_options
from .output import confirm, say_fields, say_json, say_table
from .progress import with_bar
from .workflow_text import duration_text, plural
from .workflows_instances import instances
from .workflows_state import (
    count_of,
    declared_names,
    json_option,
    moment_option,
    page_options,
    service_options,
    with_service,
    workflow_argument,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...bindings.workflows.answers import WorkflowDetail
    from ...bindings.workflows.service import WorkflowService

MANIFEST = "(a manifest)"
"""In place of a class."""
MANIFEST_COMMANDS = ("apply", "graph")
FINISHED = tuple(str(status) for status in Status if status.is_final)


class WorkflowsGroup(click.Group):
    """Loads what reads manifests only when one is read."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *MANIFEST_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MANIFEST_COMMANDS:
            return super().get_command(ctx, cmd_name)
        return cast("click.Command", getattr(import_module(".workflows_manifests", __package__), cmd_name))


@click.group(name="workflows", cls=WorkflowsGroup, help=__doc__)
def command() -> None:
    pass


command.add_command(instances)


@command.command(name="list")
@page_options
@json_option
@service_options
def list_workflows(page: int, per_page: int, *, is_json: bool, **where: Any) -> None:
    """List the workflows."""
    found: Sequence[WorkflowDetail] = with_service(lambda service: service.workflows(), where)
    shown = found[(page - 1) * per_page : page * per_page]
    if is_json:
        say_json([workflow_shape(one) for one in shown])
    elif not found:
        click.echo('There is no workflow: the config has no "workflows", and none was made at run time.', err=True)
    elif not shown:
        click.echo(f"No workflows found on page {page}. Please try a smaller page number.", err=True)
    else:
        rows = [
            (one.name, one.script_name, one.class_name or MANIFEST, str(sum(one.counts.values())), _counts(one))
            for one in shown
        ]
        say_table(("name", "script name", "class name", "instances", ""), rows)


@command.command(name="describe")
@workflow_argument
@json_option
@service_options
def describe(name: str, *, is_json: bool, **where: Any) -> None:
    """Show the workflow NAME: its settings, its schedules, and how many instances it has of each status."""
    found: WorkflowDetail = with_service(lambda service: service.workflow(name), where)
    if is_json:
        say_json(workflow_shape(found))
        return
    schedules = [f"{one.cron}" + (f", next {time_text(one.next_ms)}" if one.next_ms else "") for one in found.schedules]
    say_fields(
        [
            ("Name", found.name),
            ("Id", found.id),
            ("Script name", found.script_name),
            ("Class name", found.class_name or MANIFEST),
            ("Version", found.version),
            ("Created", time_text(found.created_ms) or ""),
            ("Modified", time_text(found.modified_ms) or ""),
            ("Newest instance", time_text(found.triggered_ms) or "none yet"),
            ("Instances", _counts(found) or "none"),
            ("Schedules", "\n".join(schedules) or "none"),
            ("Steps at most", str(found.steps_max)),
            ("Running at most", "no limit" if found.concurrency_max is None else str(found.concurrency_max)),
            ("Kept after success", duration_text(found.success_retention_ms)),
            ("Kept after an error", duration_text(found.error_retention_ms)),
        ]
    )
    for note in found.notes:
        click.echo(f"{click.style('warning:', fg='yellow')} {note}", err=True)


@command.command(name="trigger")
@workflow_argument
@click.argument("params", default="")
@click.option("--id", "instance_id", metavar="ID", help="Id of the instance; a random UUIDv4 when not given.")
@json_option
@service_options
def trigger(name: str, params: str, instance_id: str | None, *, is_json: bool, **where: Any) -> None:
    """Create an instance of the workflow NAME, with PARAMS, JSON, as its payload."""
    options: dict[str, Any] = {} if instance_id is None else {"id": instance_id}
    if params:
        options["params"] = parse_json(params, "PARAMS")
    made = with_service(lambda service: service.create(name, options), where)
    if is_json:
        say_json(created_shape(made))
    else:
        click.echo(f'Workflow instance "{made.id}" has been triggered successfully.')


@command.command(name="delete")
@workflow_argument
@delete_options
@json_option
@service_options
def delete(name: str, *, is_sure: bool, is_json: bool, **where: Any) -> None:
    """Delete the workflow NAME with all its instances."""

    async def work(service: WorkflowService) -> None:
        found = await service.workflow(name)
        what = plural(sum(found.counts.values()), "instance")
        confirm(f"Delete workflow {name} with its {what}?", is_sure=is_sure)
        await service.delete_workflow(name)

    with_service(work, where)
    if is_json:
        say_json({"status": "ok"})
        return
    click.echo(f'Workflow "{name}" removed successfully.', err=True)
    if name in declared_names(**where):
        click.echo("It is there again, without instances, when it is next used: the config declares it.", err=True)


@command.command(name="purge")
@workflow_argument
@click.option("--status", "statuses", type=click.Choice(FINISHED), multiple=True, help="Only these; may be repeated.")
@moment_option("--before", "before_ms", "Only what ended before")
@delete_options
@json_option
@service_options
def purge(
    name: str, statuses: tuple[str, ...], before_ms: int | None, *, is_sure: bool, is_json: bool, **where: Any
) -> None:
    """Forget finished instances of the workflow NAME now, not when their retention ends."""
    wanted = [Status(status) for status in statuses or FINISHED]

    async def work(service: WorkflowService) -> int:
        async def count() -> int:
            return count_of(await service.workflow(name), wanted)

        finished_count = await count()
        which = "finished instances" if before_ms is None else f"instances that ended before {time_text(before_ms)}"
        confirm(f"Forget the {which} of {name} ({finished_count} are finished)?", is_sure=is_sure)
        return await with_bar(service.purge(name, before_ms, wanted), "Purging", finished_count, count)

    purged_count = with_service(work, where)
    if is_json:
        say_json({"purged": purged_count})
    else:
        click.echo(f"Purged {plural(purged_count, 'instance')} of {name}.", err=True)


def _counts(workflow: WorkflowDetail) -> str:
    """As "3 running, 1 waiting"."""
    return ", ".join(f"{count} {status}" for status, count in workflow.counts.items() if count)
