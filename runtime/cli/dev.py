"""`edge dev`: the Worker on this machine, reloaded on save, with readable errors."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..hosts.logs import LEVELS, configure
from ..hosts.state_folder import hold_state_folder, prepare_state_folder
from ..serve import load_config
from .options import choice_of, config_options, state_folder_of, state_option, vars_options
from .reload_on_save import reload_on_save
from .serving import Serving, run_in_loop, say, serve_until_stopped
from .startup import hide_secrets, say_bindings, say_state, say_warnings, url_of, warn_if_reachable
from .stop_signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...wrangler_config.worker_config import WorkerConfig
    from ..core.request import Request
    from ..core.response import Response
    from ..serve import App


def listen_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--ip`, `--port`, `--host-allow`, `--log-level`, `--log-format`: what `edge dev` and `edge serve` share."""
    for option in (
        click.option(
            "--log-format", type=click.Choice(["pretty", "json"]), default="pretty", help="How log lines look."
        ),
        click.option("--log-level", type=click.Choice(LEVELS), default="info", help="Least severe lines shown."),
        click.option("--host-allow", "hosts", multiple=True, metavar="HOST", help="Answer for this Host header too."),
        click.option("--ip", metavar="ADDR", help="Address to listen on; localhost is 127.0.0.1 and ::1."),
        click.option(
            "--port", type=click.IntRange(0, 65535), metavar="N", help="Port to listen on; 0 takes a free one."
        ),
    ):
        command = option(command)
    return command


@click.command(name="dev", help=__doc__)
@config_options
@listen_options
@state_option
@vars_options
@click.option("--show-locals", is_flag=True, help="Show local variables on error pages. They may hold secrets.")
def command(**options: Any) -> None:
    began_at = time.time()
    choice = choice_of(options["path"], options["environment"], options["overrides"], options["env_files"])
    config = with_hosts(load_config(choice), options["hosts"])
    say_warnings(config)
    folder = state_folder_of(config, options["persist_to"])
    state_dir = prepare_state_folder(folder)
    logs = configure(options["log_format"], options["log_level"])
    hide_secrets(config, logs)
    sys.breakpointhook = _break
    with hold_state_folder(folder):
        serving = Serving(
            choice,
            config,
            state_dir,
            _open_sockets(config, options["ip"], options["port"]),
            logs,
            answer_error=_error_page(show_locals=options["show_locals"]),
            is_dev=True,
            shows_requests=True,
        )
        run_in_loop(_serve(serving, folder, began_at))


def with_hosts(config: WorkerConfig, hosts: tuple[str, ...]) -> WorkerConfig:
    """The config with `--host-allow` added to the hosts it allows."""
    server = config.settings.server
    server = replace(server, allowed_hosts=(*server.allowed_hosts, *hosts))
    return replace(config, settings=replace(config.settings, server=server))


def _break(*arguments: Any, **keywords: Any) -> Any:
    """`breakpoint()` as ever, but Ctrl-C still stops the server afterwards: pdb would keep the signal for itself."""
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*arguments, **keywords)
    from pdb import Pdb  # noqa: PLC0415 - what breakpoint() is for

    return Pdb(nosigint=True).set_trace(sys._getframe(1))


def _open_sockets(config: WorkerConfig, ip: str | None, port: int | None) -> list[Any]:
    from ..adapters.listening import open_sockets  # noqa: PLC0415 - an adapter, where it is needed

    ip = ip or config.dev.ip
    warn_if_reachable(ip)
    return open_sockets(ip, config.dev.port if port is None else port)


async def _serve(serving: Serving, folder: Path, began_at: float) -> None:
    url = url_of(serving.sockets[0])

    def on_ready(app: App) -> None:
        say_bindings(app.rows, app.config.unsupported)
        say_state(folder)
        if app.live.failure is not None:
            app.host.log.error("worker_not_loaded", serving="nothing, until it is mended", exc_info=app.live.failure)
        say(f"Ready on {url}")

    with StopSignals(serving.config.settings.limits.drain_seconds) as stop:
        await serve_until_stopped(
            serving, stop=stop, on_ready=on_ready, beside=lambda app: reload_on_save(app, serving.logs, began_at)
        )


def _error_page(*, show_locals: bool) -> Callable[[App, Request, Exception], Response]:
    def answer(app: App, request: Request, error: Exception) -> Response:
        from ..error_page import error_response  # noqa: PLC0415 - off the way to the first answer

        config = app.config
        secrets = [str(config.vars[name]) for name in config.secret_names if name in config.vars]
        return error_response(request, error, show_locals=show_locals, secrets=secrets)

    return answer
