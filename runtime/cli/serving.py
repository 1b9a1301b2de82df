"""One process that serves a Worker until it is asked to stop: `edge dev`, and each process of `edge serve`."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..hosts.local import LocalMachine
from ..request_log import RequestLog
from ..serve import open_local_app

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from typing import Any

    from ...wrangler_config.worker_config import WorkerConfig
    from ..adapters.aiohttp_server import HttpServer
    from ..core.request import Request
    from ..core.response import Response
    from ..serve import App
    from .startup import Start
    from .stop_signals import StopSignals

    AnswerError = Callable[[App, Request, BaseException], Response]


@dataclass(frozen=True, slots=True)
class Serving:
    """What one process serves, and how."""

    start: Start
    sockets: Sequence[socket.socket]
    answer_error: AnswerError
    process_slot: int = 0
    is_dev: bool = False
    shows_requests: bool = False


def run_in_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end, on uvloop where it is installed."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - not on every platform, and not needed before
    except ImportError:
        new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]  # the same call
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main)


async def serve_until_stopped(
    serving: Serving,
    *,
    stop: StopSignals,
    on_ready: Callable[[App], Awaitable[None]],
    beside: Callable[[App], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Open the Worker, answer requests, and drain when `stop` says so.

    Args:
        on_ready: called when requests are answered.
        beside: runs meanwhile, as the reload of `edge dev`.

    Raises:
        HandlerError, BackendError, UnsupportedError: the Worker cannot be opened.
    """
    from ..adapters.aiohttp_server import HttpServer  # noqa: PLC0415 - the web library
    from ..hosts.fast_json import loads  # noqa: PLC0415 - as above

    start = serving.start
    host = LocalMachine(start.state_dir, start.logs.logger, process_slot=serving.process_slot)
    apps: list[App] = []

    def answer_error(request: Request, error: BaseException) -> Response:
        return serving.answer_error(apps[0], request, error)

    try:
        async with open_local_app(
            start.choice, host, start.config, is_dev=serving.is_dev, answer_error=answer_error
        ) as app:
            apps.append(app)
            settings = start.config.settings
            server = HttpServer(host, settings.limits, settings.server, decode_json=loads)
            await server.start(RequestLog(app, host.log, is_shown=serving.shows_requests), serving.sockets)

            def apply(config: WorkerConfig) -> None:
                settings = config.settings
                server.apply(settings.limits, settings.server)
                stop.drain_seconds = settings.limits.drain_seconds

            app.on_config_changed = apply
            if not serving.is_dev:  # where a reload leaves modules behind that must be found
                _keep_what_is_there()
            running = host.spawn(beside(app), name="beside") if beside else None
            await on_ready(app)
            await stop.wait()
            if running is not None:
                running.cancel()
            await _drain(app, server)
    finally:
        await host.aclose()
        start.logs.flush()


def _keep_what_is_there() -> None:
    """What a start makes stays to the end: looking through it for garbage stopped the loop for 22 ms (measured).

    What requests and passes make is looked through every 20,000 objects, not 700: creating and running an instance of
    a workflow took a tenth less (callgrind), and what garbage waits for that takes a few megabytes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _drain(app: App, server: HttpServer) -> None:
    """Requests, then `waitUntil` work, in one span of `drain_seconds`; what is left is cut."""
    loop = asyncio.get_running_loop()
    seconds = app.config.settings.limits.drain_seconds
    until = loop.time() + seconds
    is_done = await server.drain(seconds)
    await server.close()
    is_done = await app.drain(max(until - loop.time(), 0)) and is_done
    if not is_done:
        app.host.log.warning("work_cut_at_shutdown", after_s=seconds)
        if app.live.current is not None:
            app.live.current.pending.cancel()
