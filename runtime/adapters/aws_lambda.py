"""A Worker behind AWS Lambda.

    from edge.runtime.adapters.aws_lambda import handler_for

    handler = handler_for("wrangler.jsonc")

HTTP from a Function URL, API Gateway (payloads 1.0 and 2.0) or a load balancer becomes `fetch`; other events go to
the binding that claims them, to `scheduled`, or to the Worker's `lambda_event`. Everything a Worker does runs on one
loop for the life of the environment. `waitUntil` work ends before the environment is frozen: usually after the answer
left (`aws_lambda_extension.py`), and before it left where Lambda has no extensions or edge.toml says
`[aws] wait_until = "before-return"`. One second before the invocation's deadline what still runs is cut.
"""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..core.context import request_id
from ..core.errors import EdgeError, RefusedError
from ..core.host import Host
from ..core.request import wire_method
from .aws_lambda_answer import Answer, AnswerShaper, plain_answer, whole_answer
from .aws_lambda_events import deliver
from .aws_lambda_extension import WaitUntilExtension
from .aws_lambda_loop import LoopThread
from .aws_lambda_request import find_front_door, request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from ...bindings.spec import EventClaim
    from ...wrangler_config.worker_config import WorkerConfig
    from ..core.request import Request
    from ..core.response import Response
    from .aws_lambda_request import Event, FrontDoor

CUT_BEFORE_DEADLINE_SECONDS = 1.0
"""Time to answer, log and post before Lambda ends the process."""


class LambdaHost(Host, Protocol):
    """The machine under a Lambda function, as far as this doorway drives it."""

    deadline_at: float | None

    async def thaw(self) -> None:
        """An invocation starts; the environment may have been frozen since the last one."""

    def rest(self) -> None:
        """An invocation and its pending work have ended."""


class LambdaPending(Protocol):
    """Work handed to `waitUntil`."""

    def __len__(self) -> int: ...
    async def drain(self) -> None: ...
    def cancel(self) -> None: ...


class LambdaApp(Protocol):
    """What serves a function: `runtime/serve.py` opens it."""

    @property
    def host(self) -> LambdaHost: ...
    @property
    def config(self) -> WorkerConfig: ...
    @property
    def events(self) -> Sequence[EventClaim]: ...
    @property
    def handlers(self) -> tuple[str, ...]: ...
    @property
    def live(self) -> Any:
        """The WorkerCaller that claims call."""

    @property
    def pending(self) -> LambdaPending: ...
    async def fetch(self, request: Request) -> Response: ...
    async def call(self, handler: str, event: object) -> Any: ...


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


def handler_for(config_path: str | Path) -> LambdaHandler:
    """The handler of a Lambda function. Opens the bindings and imports the Worker at once, in Lambda's init phase.

    Args:
        config_path: the wrangler file; a relative path starts at the function's folder (LAMBDA_TASK_ROOT).

    Raises:
        EdgeError: the config, a binding or the Worker cannot be used. Lambda reports it as an init error.
    """
    gc.disable()  # what a start makes is kept for good: looking for garbage in it costs 3 ms
    try:
        return _open_handler(config_path)
    finally:
        gc.enable()


def _open_handler(config_path: str | Path) -> LambdaHandler:
    from ..serve import open_aws_app  # noqa: PLC0415 - serve joins everything, adapters included

    # Its App stands on a LambdaMachine, which App's own type does not say.
    open_app = cast("Callable[[Path], AbstractAsyncContextManager[LambdaApp]]", open_aws_app)
    path = Path(os.environ.get("LAMBDA_TASK_ROOT", ""), config_path)
    return LambdaHandler(open_app, path, runtime_api=os.environ.get("AWS_LAMBDA_RUNTIME_API"))


class LambdaHandler:
    """A Lambda handler: call it with an event and Lambda's context. `close` is for tests."""

    def __init__(
        self,
        open_app: Callable[[Path], AbstractAsyncContextManager[LambdaApp]],
        config_path: Path,
        *,
        runtime_api: str | None = None,
    ) -> None:
        self._shaper = AnswerShaper()
        self._loop = LoopThread()
        self._opened = open_app(config_path)
        try:
            self._app = self._loop.run(self._opened.__aenter__())
        except BaseException:
            self._stop()
            raise
        self._extension = self._find_extension(runtime_api)

    def __call__(self, event: Any, context: LambdaContext) -> Any:
        """Answer one invocation.

        Raises:
            Exception: what the handler of an event other than HTTP raised; Lambda counts it and may try again.
        """
        host = self._app.host
        host.deadline_at = host.now() + context.get_remaining_time_in_millis() / 1000 - CUT_BEFORE_DEADLINE_SECONDS
        try:
            front_door = find_front_door(event)
            if front_door is None:
                return self._loop.run(self._deliver(event, context.aws_request_id))
            answer = self._loop.run(self._answer(front_door, event, context.aws_request_id))
            return self._shaper.shape(front_door, answer)
        finally:
            if self._extension is not None:
                self._extension.handler_returned(context.aws_request_id)
            else:
                self._finish()

    def close(self) -> None:
        """Close the bindings and end the loop."""
        self._loop.run(self._opened.__aexit__(None, None, None))
        self._stop()

    async def _answer(self, front_door: FrontDoor, event: Event, invocation_id: str) -> Answer:
        app = self._app
        request_id.set(invocation_id)
        try:
            await app.host.thaw()
            async with asyncio.timeout(_seconds_left(app.host)):
                request = request_of(front_door, event)
                return await whole_answer(await app.fetch(request), method=wire_method(request))
        except RefusedError as error:
            return plain_answer(error.http_status, str(error))
        except TimeoutError as error:
            app.host.log.error("invocation_cut", exc_info=error)
            return plain_answer(504, "The Worker did not answer before its deadline.")
        except Exception as error:
            app.host.log.error("answer_failed", exc_info=error)
            return plain_answer(500, "Internal Server Error")

    async def _deliver(self, event: Any, invocation_id: str) -> Any:
        app = self._app
        request_id.set(invocation_id)
        try:
            await app.host.thaw()
            try:
                async with asyncio.timeout(_seconds_left(app.host)) as limit:
                    return await deliver(event, app)
            except TimeoutError as error:
                if limit.expired():
                    raise TimeoutError("The handler was cut one second before the invocation's deadline.") from error
                raise
        except Exception as error:
            app.host.log.error("event_refused" if isinstance(error, EdgeError) else "handler_failed", exc_info=error)
            raise

    def _finish(self) -> None:
        """Wait for pending work, until the deadline is near."""
        if len(self._app.pending):
            self._loop.run(self._drain())
        self._app.host.rest()

    async def _drain(self) -> None:
        app = self._app
        try:
            async with asyncio.timeout(_seconds_left(app.host)):
                await app.pending.drain()
        except TimeoutError:
            app.host.log.error("wait_until_cut", pending_count=len(app.pending))
            app.pending.cancel()

    def _find_extension(self, runtime_api: str | None) -> WaitUntilExtension | None:
        app = self._app
        if runtime_api is None or app.config.settings.aws.wait_until == "before-return":
            return None
        try:
            return WaitUntilExtension(runtime_api, self._finish)
        except OSError as error:
            app.host.log.warning("wait_until_before_return", reason=str(error))
            return None

    def _stop(self) -> None:
        self._loop.close()
        self._shaper.close()


def _seconds_left(host: LambdaHost) -> float:
    assert host.deadline_at is not None, "an invocation is running"
    return max(host.deadline_at - host.now(), 0.0)
