"""The running Worker, whichever generation is current.

A generation is one load of the user's modules over one open environment. A reload swaps generations between two
requests: the old one finishes its requests and its `waitUntil` work, then it is let go. Backends, locks and
background work belong to the environment and outlive generations of code.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .core.body import Body
from .core.context import Context, Invocation, PendingWork, current_invocation
from .core.errors import BackendError, HandlerError, RefusedError
from .core.own_failure import is_from_outside, own_failure
from .core.response import replace_wire_body, wire_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .core.env import Env
    from .core.host import Host
    from .core.request import Request
    from .core.response import Response
    from .core.worker import Worker


BACKEND_LOG_INTERVAL_S = 1.0
"""A full disk refuses each of hundreds of requests a second, for one reason."""


class Generation:
    """One loaded Worker, its env, and what it still has to finish."""

    __slots__ = ("_idle", "env", "host", "in_flight_count", "is_retiring", "is_strict", "pending", "worker")

    worker: Worker
    """Set once its modules are loaded."""

    def __init__(self, env: Env, host: Host, *, is_strict: bool = False) -> None:
        self.env = env
        self.host = host
        self.is_strict = is_strict
        self.pending = PendingWork(host)
        self.in_flight_count = 0
        self.is_retiring = False
        """Whether it is being drained: work that can be interrupted, as a workflow between two steps, leaves it."""
        self._idle: asyncio.Event | None = None

    def invoked_with(self, ctx: Context) -> Invocation:
        """What the names of `workers` refer to while it runs."""
        return Invocation(self.env, ctx, self.host, is_strict=self.is_strict)

    def leave(self) -> None:
        """One invocation ended, its body sent."""
        self.in_flight_count -= 1
        if self.in_flight_count == 0 and self._idle is not None:
            self._idle.set()

    async def drain(self) -> None:
        """Return when its requests are answered and its `waitUntil` work is done."""
        self.is_retiring = True
        while self.in_flight_count:
            self._idle = asyncio.Event()
            await self._idle.wait()
        await self.pending.drain()


class LiveWorker:
    """A Fetcher, and the WorkerCaller of sources, over the current generation."""

    def __init__(self, host: Host, answer_error: Callable[[Request, BaseException], Response]) -> None:
        """`answer_error` makes the answer for whatever a handler raised; it has been logged already."""
        self._host = host
        self._answer_error = answer_error
        self._current: Generation | None = None
        self._backend_logged_at = float("-inf")
        self._unlogged_count = 0
        self.failure: Exception | None = None
        """Why there is no current generation, when the first load failed."""

    @property
    def current(self) -> Generation | None:
        return self._current

    def swap(self, generation: Generation) -> Generation | None:
        """Make `generation` current; returns the one before, which the caller drains."""
        before, self._current = self._current, generation
        self.failure = None
        return before

    async def fetch(self, request: Request) -> Response:
        """Answer a request; never raises but for cancellation."""
        generation = self._current
        if generation is None:
            return self._answer_error(request, self.failure or HandlerError("No Worker is loaded."))
        ctx = Context(generation.pending)
        # Not reset afterwards: a streamed body runs after this returns and still needs it.
        current_invocation.set(generation.invoked_with(ctx))
        generation.in_flight_count += 1
        is_body_held = False
        try:
            response = await generation.worker.fetch(request, generation.env, ctx)
            body = wire_body(response)
            if body is not None and body.whole is None:
                replace_wire_body(response, Body(chunks=_HeldChunks(body, generation), size_bytes=body.size_bytes))
                is_body_held = True
        except BaseException as error:  # the border of the user's code: whatever it raises ends this request only
            if is_from_outside(error):
                raise
            # What a client did wrong is no error of ours; what a backend could not do is no fault of the handler.
            if isinstance(error, BackendError):
                self._log_backend(error)
            elif not isinstance(error, RefusedError):
                self._host.log.error("handler_failed", exc_info=error)
            return self._answer_error(request, error)
        else:
            return response
        finally:
            if not is_body_held:
                generation.leave()

    def _log_backend(self, error: BackendError) -> None:
        """One line a second at most, with how many were left out since the last one."""
        now = self._host.now()
        if 0 <= now - self._backend_logged_at < BACKEND_LOG_INTERVAL_S:
            self._unlogged_count += 1
            return
        self._host.log.error("backend_failed", reason=str(error), not_logged=self._unlogged_count)
        self._backend_logged_at, self._unlogged_count = now, 0

    async def call(self, handler: str, event: object) -> Any:
        """Deliver an event; its `waitUntil` work is done when this returns. Raises what the handler raised."""
        try:
            return await self.invoke(lambda worker, env, ctx: worker.call(handler, event, env, ctx))
        except BaseException as error:
            if failure := own_failure(error, f"The handler {handler}"):
                raise failure from error
            raise

    async def invoke(self, work: Callable[[Worker, Env, Context], Awaitable[Any]]) -> Any:
        """Run something as an event of the current generation, which is kept until that and its `waitUntil` is done."""
        generation = self._current
        if generation is None:
            raise self.failure or HandlerError("No Worker is loaded.")
        pending = PendingWork(self._host)
        ctx = Context(pending)
        current_invocation.set(generation.invoked_with(ctx))
        generation.in_flight_count += 1
        try:
            answer = await work(generation.worker, generation.env, ctx)
            await pending.drain()
            return answer
        finally:
            generation.leave()


class _HeldChunks:
    """A body's chunks; the generation is kept until the last one is sent, or nobody holds the body any more."""

    __slots__ = ("_chunks", "_generation")

    def __init__(self, body: Body, generation: Generation) -> None:
        self._chunks = body.chunks()
        self._generation: Generation | None = generation

    def __aiter__(self) -> _HeldChunks:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except BaseException as error:
            self._leave()
            if failure := own_failure(error, "The body of an answer"):
                raise failure from error
            raise

    def __del__(self) -> None:
        # A body that is never read (HEAD, a client that left) ends here.
        self._leave()

    def _leave(self) -> None:
        if self._generation is not None:
            self._generation.leave()
            self._generation = None
