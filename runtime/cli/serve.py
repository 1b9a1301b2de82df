"""`edge serve`: the Worker without reload and error pages, in one or more processes on one port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import HandlerError
from ..hosts.state_folder import hold_state_folder
from ..plain_answer import plain_answer
from .options import compat_option, config_options, listen_options, state_option, vars_options
from .served_url import tell_served_url
from .serving import Serving, run_in_loop, serve_until_stopped
from .startup import prepare, say, say_bindings, say_state, url_of
from .stop_signals import GRACE_SECONDS, StopSignals
from .supervisor import FOR_ALL, Process, supervise

if TYPE_CHECKING:
    from ..core.request import Request
    from ..core.response import Response
    from ..serve import App
    from .startup import Start

WORKERS_MAX = 256
KILL_AFTER_SECONDS = GRACE_SECONDS + 1.0
"""A process ends by itself GRACE_SECONDS after draining; one that cannot even do that is killed."""


@click.command(name="serve", help=__doc__)
@config_options
@listen_options
@state_option
@vars_options
@compat_option
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), default=1, metavar="N", help="Processes on the port.")
def command(**options: Any) -> int:
    start = prepare(options)
    shows_requests = options["log_level"] == "debug"
    with hold_state_folder(start.folder):
        if options["workers"] > 1:
            _serve_in_processes(start, options["workers"], shows_requests=shows_requests)
            return 0
        serving = Serving(start, start.open_sockets(), _plain, shows_requests=shows_requests)
        try:
            with tell_served_url(start.folder, url_of(serving.sockets[0])):
                run_in_loop(_serve_alone(serving))
        except HandlerError as error:
            start.logs.logger.error("worker_not_loaded", exc_info=error)
            return 1
        return 0


def _serve_in_processes(start: Start, count: int, *, shows_requests: bool) -> None:
    from ..adapters.listening import open_sockets, reserve_port  # noqa: PLC0415 - an adapter, where it is needed

    reserved = reserve_port(start.ip, start.port)
    port = reserved[0].getsockname()[1]

    def run(process: Process) -> None:
        sockets = open_sockets(start.ip, port, reuse_port=True)
        serving = Serving(start, sockets, _plain, process_slot=process.slot, shows_requests=shows_requests)
        run_in_loop(_serve_slot(serving, process))

    url = url_of(reserved[0])
    with tell_served_url(start.folder, url):
        supervise(
            run,
            count=count,
            log=start.logs.logger,
            on_ready=lambda: say(f"Ready on {url}"),
            stop_within_s=start.drain_seconds + KILL_AFTER_SECONDS,
        )


async def _serve_alone(serving: Serving) -> None:
    url = url_of(serving.sockets[0])

    async def on_ready(app: App) -> None:
        say_bindings(app.rows, app.config.unsupported)
        say_state(serving.start.folder)
        say(f"Ready on {url}")

    with StopSignals(serving.start.drain_seconds) as stop:
        await serve_until_stopped(serving, stop=stop, on_ready=on_ready)


async def _serve_slot(serving: Serving, process: Process) -> None:
    async def on_ready(app: App) -> None:
        if process.slot == 0 and not process.is_replacement:
            say_bindings(app.rows, app.config.unsupported)
            say_state(serving.start.folder)
        process.tell_ready()

    loop = asyncio.get_running_loop()

    def on_parent_gone() -> None:
        loop.remove_reader(process.parent_fd)
        stop.ask()

    with StopSignals(serving.start.drain_seconds, ignored=FOR_ALL) as stop:
        loop.add_reader(process.parent_fd, on_parent_gone)
        await serve_until_stopped(serving, stop=stop, on_ready=on_ready)


def _plain(_app: App, request: Request, error: BaseException) -> Response:
    return plain_answer(request, error)
