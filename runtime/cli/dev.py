"""`edge dev`: the Worker on this machine, reloaded on save, with readable errors."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from ..hosts.state_folder import hold_state_folder
from .options import compat_option, config_options, listen_options, state_option, vars_options
from .reload_on_save import reload_on_save
from .served_url import tell_served_url
from .serving import Serving, run_in_loop, serve_until_stopped
from .startup import prepare, say, say_api, say_bindings, say_endpoints, say_state, url_of
from .stop_signals import StopSignals
from .workflows_at_start import say_workflows

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.request import Request
    from ..core.response import Response
    from ..serve import App


@click.command(name="dev", help=__doc__)
@config_options
@listen_options
@state_option
@vars_options
@compat_option
@click.option("--show-locals", is_flag=True, help="Show local variables on error pages. They may hold secrets.")
def command(**options: Any) -> None:
    began_at = time.time()
    start = prepare(options)
    sys.breakpointhook = _break
    with hold_state_folder(start.folder):
        answer_error = _error_page(show_locals=options["show_locals"])
        serving = Serving(start, start.open_sockets(), answer_error, is_dev=True, shows_requests=True)
        with tell_served_url(start.folder, url_of(serving.sockets[0])):
            run_in_loop(_serve(serving, began_at))


def _break(*arguments: Any, **keywords: Any) -> Any:
    """`breakpoint()` as ever, but Ctrl-C still stops the server afterwards: pdb would keep the signal for itself."""
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*arguments, **keywords)
    from pdb import Pdb  # noqa: PLC0415 - what breakpoint() is for

    return Pdb(nosigint=True).set_trace(sys._getframe(1))


async def _serve(serving: Serving, began_at: float) -> None:
    url = url_of(serving.sockets[0])

    async def on_ready(app: App) -> None:
        say_bindings(app.rows, app.config.unsupported)
        say_state(serving.start.folder)
        if app.live.failure is not None:
            app.host.log.error("worker_not_loaded", serving="nothing, until it is mended", exc_info=app.live.failure)
        say_endpoints(app.config, url)
        await say_workflows(app.admins)
        app.on_api_used = lambda: say_api(url, app.config.account_id)
        say(f"Ready on {url}")

    with StopSignals(serving.start.drain_seconds) as stop:
        await serve_until_stopped(
            serving, stop=stop, on_ready=on_ready, beside=lambda app: reload_on_save(app, serving.start, began_at)
        )


def _error_page(*, show_locals: bool) -> Callable[[App, Request, BaseException], Response]:
    def answer(app: App, request: Request, error: BaseException) -> Response:
        from ..error_page import error_response  # noqa: PLC0415 - off the way to the first answer

        config = app.config
        secrets = [str(config.vars[name]) for name in config.secret_names if name in config.vars]
        return error_response(request, error, show_locals=show_locals, secrets=secrets)

    return answer
