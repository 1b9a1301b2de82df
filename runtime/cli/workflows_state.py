"""What the commands of workflows share: the service over a state folder, naming an instance, and refusals.

They need no server: they work on the journal, which they share with the server that runs, and wake it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ...bindings.registry import opener_of
from ...bindings.spec import Site
from ...bindings.workflows.durations import parse_duration_ms
from ...bindings.workflows.errors import WorkflowError, WorkflowFatalError
from ..core.errors import EdgeError
from ..hosts.local import LocalMachine
from ..hosts.logs import configure
from ..hosts.state_folder import prepare_state_folder
from ..serve import load_config
from .options import choice_of, state_folder_of, where_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from ...bindings.workflows.answers import WorkflowDetail
    from ...bindings.workflows.journal.records import Status
    from ...bindings.workflows.service import WorkflowService

    Command = Callable[..., Any]

SECTION = "workflows"
LATEST = "latest"


def service_options(command: Command) -> Command:
    """Which state; `--local` and `--port` are wrangler's, and change nothing: state is always local."""
    for option in (
        click.option("--local", is_flag=True, hidden=True, expose_value=False),
        click.option("--port", type=int, hidden=True, expose_value=False),
    ):
        command = option(command)
    return where_options(command)


def workflow_argument(command: Command) -> Command:
    """NAME, completed from the config."""
    return click.argument("name", shell_complete=_complete_name)(command)


def instance_argument(command: Command) -> Command:
    """NAME and ID."""
    return workflow_argument(click.argument("instance_id", metavar="ID")(command))


def json_option(command: Command) -> Command:
    return click.option("--json", "is_json", is_flag=True, help="As JSON.")(command)


def page_options(command: Command) -> Command:
    """`--page` and `--per-page`."""
    for option in (
        click.option("--per-page", type=click.IntRange(1, 100), default=25, metavar="N", help="How many on a page."),
        click.option("--page", type=click.IntRange(1), default=1, metavar="N", help="Which page."),
    ):
        command = option(command)
    return command


def moment_option(flag: str, name: str, what: str) -> Callable[[Command], Command]:
    """A point in time, in Unix milliseconds: a date, a time, or how long ago."""
    return click.option(
        flag,
        name,
        callback=_parse_moment,
        metavar="TIME",
        help=f'{what}: 2026-09-08, 2026-09-08T12:00Z, or "2 hours" ago.',
    )


def with_service(work: Callable[[WorkflowService], Awaitable[Any]], where: dict[str, Any]) -> Any:
    """Run `work` with the service of the state that is meant.

    Raises:
        EdgeError: what the service refuses, as a sentence.
    """

    async def run() -> Any:
        async with _open_service(**where) as service:
            try:
                return await work(service)
            except WorkflowError as error:
                raise EdgeError(await _told(error, service)) from error

    return asyncio.run(run())


async def instance_id_of(service: WorkflowService, name: str, instance_id: str) -> str:
    """The id; `latest` is the newest instance's."""
    return await service.latest_id(name) if instance_id == LATEST else instance_id


def count_of(workflow: WorkflowDetail, statuses: Iterable[Status]) -> int:
    return sum(workflow.counts.get(status, 0) for status in statuses)


def declared_names(path: Path | None, environment: str | None, **_where: Any) -> set[str]:
    """The workflows of the config: classes, and manifests of edge.toml."""
    config = load_config(choice_of(path, environment))
    manifests = config.settings.products.get(SECTION, {})
    return {entry.name for entry in config.bindings.get(SECTION, ())} | {
        name for name, one in manifests.items() if one.manifest is not None
    }


@asynccontextmanager
async def _open_service(
    path: Path | None, environment: str | None, persist_to: Path | None
) -> AsyncIterator[WorkflowService]:
    config = load_config(choice_of(path, environment))
    folder = prepare_state_folder(state_folder_of(config, persist_to))
    host = LocalMachine(folder, configure("pretty", "warning").logger)
    try:
        async with opener_of(SECTION, "local")(config.bindings.get(SECTION, ()), Site(host, config)) as opened:
            yield opened.admin
    finally:
        await host.aclose()


async def _told(error: WorkflowError, service: WorkflowService) -> str:
    """What was refused; of an unknown workflow, with those there are."""
    if error.key != "workflow.not_found":
        return error.reason
    known = ", ".join(sorted(one.name for one in await service.workflows()))
    there = f"There are: {known}." if known else 'The config has no "workflows", and none was made at run time.'
    return f"{error.reason} {there}"


def _complete_name(ctx: click.Context, _argument: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a shell that completes needs it

    try:
        names = declared_names(ctx.params.get("path"), ctx.params.get("environment"))
    except EdgeError:  # a shell has nowhere to show it
        return []
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _parse_moment(_ctx: click.Context, option: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    with suppress(ValueError):
        at = datetime.fromisoformat(value)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    try:
        return int(time.time() * 1000) - parse_duration_ms(value, "It")
    except WorkflowFatalError as error:
        msg = f'{value!r} is no time. Write it as 2026-09-08, as 2026-09-08T12:00Z, or how long ago, as "2 hours".'
        raise click.BadParameter(msg, param=option) from error
