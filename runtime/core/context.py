"""The lifetime of one invocation: `ctx`, work that outlives the answer, and what `workers.env` refers to."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .errors import UnsupportedNameError
from .own_failure import own_failure

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Mapping

    from .env import Env
    from .host import Host


_NOT_YET = frozenset({"cache", "exports", "tracing"})


class PendingWork:
    """Tasks handed to `waitUntil`: kept alive, logged when they fail, awaited before their generation ends."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, work: Awaitable[Any]) -> None:
        task = self._host.spawn(_settle(work), name="wait_until")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def drain(self) -> None:
        """Return when nothing is pending, including work that pending work added."""
        import asyncio  # noqa: PLC0415 - a face that only names Context does not load it

        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # from 3.12 on gather() of finished tasks does not let their callbacks run

    def cancel(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._host.log.error("wait_until_failed", exc_info=error)


async def _settle(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:  # that a task it was given is cancelled is no failure
        if failure := own_failure(error, "Work given to waitUntil()"):
            raise failure from error
        raise


class Context:
    """`ctx`: what a handler may do with its invocation. Spelled as Cloudflare's Python SDK spells it.

    Source: spec "Handler-side contract", 1.6.
    """

    __slots__ = ("_pending", "props")

    def __init__(self, pending: PendingWork, props: object = None) -> None:
        self._pending = pending
        self.props = props

    def waitUntil(self, awaitable: Awaitable[Any]) -> None:  # noqa: N802 - Cloudflare's spelling
        """Keep `awaitable` (coroutine, future or task) running after the answer; it ends before shutdown or reload.

        A failure is logged and does not change the answer.

        Raises:
            TypeError: not awaitable.
        """
        if not hasattr(awaitable, "__await__"):
            msg = f"waitUntil() takes a coroutine, a future or a task, got {type(awaitable).__name__}."
            raise TypeError(msg)
        self._pending.add(awaitable)

    def passThroughOnException(self) -> None:  # noqa: N802 - Cloudflare's spelling
        """Accepted and without effect: there is no origin to fall through to, as in local wrangler."""

    def __getattr__(self, name: str) -> Any:
        if name == "wait_until":
            msg = "ctx has no wait_until: write ctx.waitUntil(...), or wait_until(...) from workers."
            raise AttributeError(msg)
        if name in _NOT_YET:
            msg = f"ctx.{name} is there on Cloudflare, and Edge does not have it yet (README, support table)."
            raise UnsupportedNameError(msg)
        msg = f"ctx has no {name!r}"
        raise AttributeError(msg)


class Invocation:
    """What the names of `workers` refer to while a handler runs."""

    __slots__ = ("ctx", "env", "host", "is_strict")

    def __init__(self, env: Env, ctx: Context, host: Host, *, is_strict: bool = False) -> None:
        """`is_strict`: what works on Edge only is refused."""
        self.env = env
        self.ctx = ctx
        self.host = host
        self.is_strict = is_strict


current_invocation: ContextVar[Invocation | None] = ContextVar("edge_invocation", default=None)
request_id: ContextVar[str] = ContextVar("edge_request_id", default="")
logged_about: ContextVar[Mapping[str, Any] | None] = ContextVar("edge_logged_about", default=None)
"""What every log line says besides its own values: the workflow, instance and step that a piece of code works for."""
