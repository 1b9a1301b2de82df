"""HTTP/1.1 on sockets: one process's server in front of a Fetcher.

aiohttp gives the parser and the flow control, a `Connection` the rules; this file listens, keeps the time that all
connections share, and drains.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from aiohttp import http_parser

from ..core.errors import EdgeError
from .aiohttp_connection import Connection
from .host_guard import HostGuard

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from ...wrangler_config.worker_config import Limits, ServerSettings
    from ..core.host import Host
    from ..core.worker import Fetcher

TICK_SECONDS = 0.25
"""How often time is looked at: limits are exact to one tick."""
BACKLOG = 1024
CLOSE_SECONDS = 2.0
"""How long a cancelled handler may clean up."""


class HttpServer:
    """Answers HTTP on sockets. `start`, then `drain` and `close`, or `close` alone."""

    fetcher: Fetcher
    guard: HostGuard

    def __init__(
        self, host: Host, limits: Limits, settings: ServerSettings, *, decode_json: Callable[..., Any] = json.loads
    ) -> None:
        """`decode_json` is what `request.json()` uses; it must decode, and fail, as `json.loads` does.

        Raises:
            EdgeError: aiohttp has no C parser here, on whose framing rules the server's safety rests.
        """
        require_c_parser()
        self.host = host
        self.limits = limits
        self.decode_json = decode_json
        self.is_draining = False
        self.now = 0.0
        """The loop's time at the last tick."""
        self.date = ""
        """The Date header line of the last tick."""
        self._settings = settings
        self._addresses: list[tuple[str, int]] = []
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._count_by_address: Counter[str] = Counter()
        self._all_gone: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        return self._addresses[0][1]

    @property
    def urls(self) -> list[str]:
        """Where to reach it: `http://127.0.0.1:8787`, one per socket."""
        return [f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}" for ip, port in self._addresses]

    async def start(self, fetcher: Fetcher, sockets: Sequence[socket.socket]) -> None:
        """Listen on bound sockets (`listening.open_sockets`), which are this server's from now on."""
        loop = asyncio.get_running_loop()
        self.fetcher = fetcher
        self._addresses = [opened.getsockname()[:2] for opened in sockets]
        self.apply(self.limits, self._settings)
        self.tick(loop.time())
        self._timer = loop.call_later(TICK_SECONDS, self._on_timer)
        for opened in sockets:
            listener = await loop.create_server(lambda: Connection(self, loop), sock=opened, backlog=BACKLOG)
            self._listeners.append(listener)

    def apply(self, limits: Limits, settings: ServerSettings) -> None:
        """Take other limits and hosts; a connection that is there keeps the limits of headers and of time it has."""
        self.limits, self._settings = limits, settings
        self.guard = HostGuard(settings.allowed_hosts, [ip for ip, _ in self._addresses])

    async def drain(self, seconds: float) -> bool:
        """Stop listening and let requests in flight finish, at most `seconds`; False when some did not.

        Idle connections are closed at the next tick: a request that was already on its way is still answered.
        """
        await self._stop_listening()
        if self._connections:
            self._all_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_gone], timeout=seconds)
        return not self._connections

    async def close(self) -> None:
        """End at once: what is still running is cancelled, and awaited for a moment."""
        await self._stop_listening()
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        for connection in tuple(self._connections):
            connection.close()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tick(self, now: float) -> None:
        """Take over the time, and cut the clients that are late. The server's timer calls it; a test may."""
        self.now = now
        self.date = f"date: {formatdate(self.host.now(), usegmt=True)}"
        for connection in tuple(self._connections):
            connection.cut_if_late(now)

    def admit(self, connection: Connection) -> bool:
        """A connection was made; False when its address has too many."""
        self._connections.add(connection)
        self._count_by_address[connection.address] += 1
        return self._count_by_address[connection.address] <= self.limits.connections_per_address

    def forget(self, connection: Connection) -> None:
        """A connection is gone, and so is its last request."""
        self._connections.discard(connection)
        self._count_by_address[connection.address] -= 1
        if not self._count_by_address[connection.address]:
            del self._count_by_address[connection.address]
        if not self._connections and self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

    async def _stop_listening(self) -> None:
        self.is_draining = True
        await asyncio.sleep(0)  # the loop accepts what waits already; closing the socket would reset it
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def _on_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self.tick(loop.time())
        self._timer = loop.call_later(TICK_SECONDS, self._on_timer)


def require_c_parser() -> None:
    """
    Raises:
        EdgeError: aiohttp would parse with its Python parser.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        msg = (
            "aiohttp is installed without its C parser, or AIOHTTP_NO_EXTENSIONS is set. "
            "Install its wheel for this platform (pip install --force-reinstall aiohttp), and unset the variable."
        )
        raise EdgeError(msg)
