"""`edge serve`: the Worker without reload and error pages, in one or more processes on one port."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..core.context import request_id
from ..core.errors import HandlerError, RefusedError
from ..error_page import plain_error
from ..hosts.logs import configure
from ..hosts.state_folder import hold_state_folder, prepare_state_folder
from ..serve import load_config, plain_answer
from .dev import listen_options, with_hosts
from .options import choice_of, config_options, state_folder_of, state_option, vars_options
from .serving import Serving, run_in_loop, say, serve_until_stopped
from .startup import hide_secrets, say_bindings, say_state, say_warnings, url_of, warn_if_reachable
from .stop_signals import GRACE_SECONDS, StopSignals
from .supervisor import Process, supervise

if TYPE_CHECKING:
    from pathlib import Path

    from ..core.request import Request
    from ..core.response import Response
    from ..serve import App

WORKERS_MAX = 256
KILL_AFTER_SECONDS = GRACE_SECONDS + 1.0
"""A process ends by itself GRACE_SECONDS after draining; one that cannot even do that is killed."""


@click.command(name="serve", help=__doc__)
@config_options
@listen_options
@state_option
@vars_options
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), default=1, metavar="N", help="Processes on the port.")
def command(**options: Any) -> int:
    from ..adapters.listening import open_sockets, reserve_port  # noqa: PLC0415 - an adapter, where it is needed

    choice = choice_of(options["path"], options["environment"], options["overrides"], options["env_files"])
    config = with_hosts(load_config(choice), options["hosts"])
    say_warnings(config)
    folder = state_folder_of(config, options["persist_to"])
    state_dir = prepare_state_folder(folder)
    ip = options["ip"] or config.dev.ip
    port = config.dev.port if options["port"] is None else options["port"]
    warn_if_reachable(ip)
    logs = configure(options["log_format"], options["log_level"])
    hide_secrets(config, logs)
    serving = partial(
        Serving,
        choice,
        config,
        state_dir,
        logs=logs,
        answer_error=_plain,
        shows_requests=options["log_level"] == "debug",
    )
    with hold_state_folder(folder):
        if options["workers"] == 1:
            try:
                run_in_loop(_serve_alone(serving(open_sockets(ip, port)), folder))
            except HandlerError as error:
                logs.logger.error("worker_not_loaded", exc_info=error)
                return 1
            return 0
        reserved = reserve_port(ip, port)
        port = reserved[0].getsockname()[1]

        def run(process: Process) -> None:
            sockets = open_sockets(ip, port, reuse_port=True)
            run_in_loop(_serve_slot(serving(sockets, process_slot=process.slot), process, folder))

        supervise(
            run,
            count=options["workers"],
            log=logs.logger,
            on_ready=lambda: say(f"Ready on {url_of(reserved[0])}"),
            stop_within_s=config.settings.limits.drain_seconds + KILL_AFTER_SECONDS,
        )
        return 0


async def _serve_alone(serving: Serving, folder: Path) -> None:
    url = url_of(serving.sockets[0])

    def on_ready(app: App) -> None:
        say_bindings(app.rows, app.config.unsupported)
        say_state(folder)
        say(f"Ready on {url}")

    with StopSignals(serving.config.settings.limits.drain_seconds) as stop:
        await serve_until_stopped(serving, stop=stop, on_ready=on_ready)


async def _serve_slot(serving: Serving, process: Process, folder: Path) -> None:
    def on_ready(app: App) -> None:
        if process.slot == 0 and not process.is_replacement:
            say_bindings(app.rows, app.config.unsupported)
            say_state(folder)
        process.tell_ready()

    loop = asyncio.get_running_loop()

    def on_parent_gone() -> None:
        loop.remove_reader(process.parent_fd)
        stop.ask()

    with StopSignals(serving.config.settings.limits.drain_seconds, ignored=(signal.SIGINT,)) as stop:
        loop.add_reader(process.parent_fd, on_parent_gone)
        await serve_until_stopped(serving, stop=stop, on_ready=on_ready)


def _plain(_app: App, request: Request, error: Exception) -> Response:
    """A client learns what it did wrong itself, never the reason of ours."""
    if isinstance(error, RefusedError):
        return plain_answer(request, error)
    return plain_error(request_id.get())
