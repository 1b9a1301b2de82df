"""Lambda around a process: the Runtime API and the Extensions API, without Docker and without AWS.

    async with LambdaEnvironment("app.handler", folder) as lambda_env:
        answer = await lambda_env.invoke({"version": "2.0", ...})
        assert answer.value["statusCode"] == 200

The child is a real `python -m awslambdaric`. As on Lambda, it is frozen (SIGSTOP) once the runtime and every extension
have asked for their next event, and goes on (SIGCONT) at the next invocation; an answer over 6 MB is refused with 413.
An extension may register until the runtime first asks for an event.

Source: AWS Lambda docs, "Building a custom runtime", "Lambda Extensions API", "Lambda execution environment lifecycle".
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ANSWER_BYTES_MAX = 6 * 1024 * 1024 + 100
INIT_SECONDS_MAX = 10.0
"""As on Lambda."""


@dataclass(frozen=True, slots=True)
class LambdaAnswer:
    """What an invocation came to. `error` is Lambda's error object when the function failed, else None."""

    value: Any
    error: dict[str, Any] | None = None


class InitError(Exception):
    """Raised when the function's module cannot be loaded. `error` is what the runtime reported."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('errorType')}: {error.get('errorMessage')}")
        self.error = error


@dataclass(slots=True)
class _Invocation:
    request_id: str
    event: bytes
    deadline_ms: int
    answer: asyncio.Future[LambdaAnswer]


@dataclass(slots=True)
class _Listener:
    """The runtime or one extension: what it is to be told next, and whether it waits for that."""

    inbox: asyncio.Queue[_Invocation] = field(default_factory=asyncio.Queue)
    is_waiting: bool = False


class LambdaEnvironment:
    """One execution environment: enter it to start the child, leave it to end it."""

    def __init__(
        self,
        handler: str,
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        has_extensions: bool = True,
        python: str = sys.executable,
    ) -> None:
        """An environment for `handler` ("module.function") in `folder`.

        Args:
            environ: added to what Lambda sets and to PATH.
            has_extensions: False refuses every registration, as Lambda Managed Instances do for INVOKE.
            python: the interpreter; it must find awslambdaric, in `folder` at the latest.
        """
        self._handler = handler
        self._folder = folder
        self._environ = dict(environ or {})
        self._has_extensions = has_extensions
        self._python = python
        self._runtime = _Listener()
        self._extensions: dict[str, _Listener] = {}
        self._current: _Invocation | None = None
        self._ids = count(1)
        self._idle = asyncio.Event()
        self._init_error: asyncio.Future[dict[str, Any]] | None = None
        self._log_parts: list[bytes] = []
        self.process: asyncio.subprocess.Process
        self.spawned_at: float
        """When the child was started, by `time.perf_counter`."""
        self.is_frozen = False
        self.freeze_count = 0
        self.requests: list[str] = []
        """Method and path of every call to the two APIs, in order."""

    @property
    def log(self) -> str:
        """What the child wrote to its standard output and error so far."""
        return b"".join(self._log_parts).decode(errors="replace")

    async def __aenter__(self) -> LambdaEnvironment:
        self._init_error = asyncio.get_running_loop().create_future()
        self._runner = web.AppRunner(self._routes(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.spawned_at = time.perf_counter()
        self.process = await asyncio.create_subprocess_exec(
            self._python, "-m", "awslambdaric", self._handler,
            cwd=self._folder,
            env=self._child_environ(f"{host}:{port}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read_log())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self._thaw()
            self.process.kill()
        await self.process.wait()
        await self._reading
        await self._runner.cleanup()

    async def invoke(self, event: Any, *, timeout_s: float = 30.0) -> LambdaAnswer:
        """Deliver an event once the environment is idle; return when the answer was posted.

        Args:
            timeout_s: the function's configured timeout, from which its deadline follows.

        Raises:
            InitError: the module could not be loaded.
            RuntimeError: the process ended, or did not answer before its timeout.
        """
        await self.idle()
        self._idle.clear()
        invocation = self._current = _Invocation(
            request_id=f"00000000-0000-0000-0000-{next(self._ids):012x}",
            event=json.dumps(event).encode(),
            deadline_ms=int((time.time() + timeout_s) * 1000),
            answer=asyncio.get_running_loop().create_future(),
        )
        for listener in (self._runtime, *self._extensions.values()):
            listener.is_waiting = False
            listener.inbox.put_nowait(invocation)
        self._thaw()
        await self._first_of(invocation.answer, timeout_s)
        return invocation.answer.result()

    async def idle(self) -> None:
        """Return when the runtime and every extension wait for their next event; the child is frozen then."""
        waiting = asyncio.ensure_future(self._idle.wait())
        await self._first_of(waiting, INIT_SECONDS_MAX if not self.freeze_count else 900.0)

    async def _first_of(self, wanted: asyncio.Future[Any], seconds: float) -> None:
        assert self._init_error is not None, "the environment was entered"
        ended = asyncio.ensure_future(self.process.wait())
        done, _ = await asyncio.wait(
            (wanted, self._init_error, ended), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        ended.cancel()
        if wanted in done:
            return
        wanted.cancel()
        if self._init_error in done:
            raise InitError(self._init_error.result())
        if ended in done:
            raise RuntimeError(f"The runtime ended with code {self.process.returncode}. It wrote:\n{self.log}")
        raise RuntimeError(f"No answer within {seconds} s. The function wrote:\n{self.log}")

    def _child_environ(self, api: str) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(self._folder),
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_REGION": "us-east-1",
            "LAMBDA_TASK_ROOT": str(self._folder),
            **self._environ,
        }

    def _routes(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[self._note])
        runtime, extension = "/2018-06-01/runtime", "/2020-01-01/extension"
        app.router.add_get(f"{runtime}/invocation/next", self._runtime_next)
        app.router.add_post(f"{runtime}/invocation/{{id}}/response", self._runtime_response)
        app.router.add_post(f"{runtime}/invocation/{{id}}/error", self._runtime_error)
        app.router.add_post(f"{runtime}/init/error", self._runtime_init_error)
        app.router.add_post(f"{extension}/register", self._extension_register)
        app.router.add_get(f"{extension}/event/next", self._extension_next)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _runtime_next(self, _request: web.Request) -> web.Response:
        invocation = await self._next(self._runtime)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:function",
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000",
        }
        return web.Response(body=invocation.event, content_type="application/json", headers=headers)

    async def _runtime_response(self, request: web.Request) -> web.Response:
        body = await request.read()
        if len(body) > ANSWER_BYTES_MAX:
            message = f"Exceeded maximum allowed payload size ({ANSWER_BYTES_MAX} bytes)."
            self._settle(LambdaAnswer(None, {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}))
            return web.json_response({"errorType": "RequestEntityTooLarge", "errorMessage": message}, status=413)
        self._settle(LambdaAnswer(json.loads(body)))
        return web.json_response({"status": "OK"}, status=202)

    async def _runtime_error(self, request: web.Request) -> web.Response:
        self._settle(LambdaAnswer(None, json.loads(await request.read())))
        return web.json_response({"status": "OK"}, status=202)

    async def _runtime_init_error(self, request: web.Request) -> web.Response:
        assert self._init_error is not None, "the environment was entered"
        self._init_error.set_result(json.loads(await request.read()))
        return web.json_response({"status": "OK"}, status=202)

    async def _extension_register(self, request: web.Request) -> web.Response:
        is_late = "GET /2018-06-01/runtime/invocation/next" in self.requests
        if not self._has_extensions or is_late:
            refusal = {"errorType": "Extension.RegistrationRefused", "errorMessage": "Not possible (any more)."}
            return web.json_response(refusal, status=403)
        identifier = f"{request.headers['Lambda-Extension-Name']}-{len(self._extensions)}"
        self._extensions[identifier] = _Listener()
        return web.json_response({"functionName": "function"}, headers={"Lambda-Extension-Identifier": identifier})

    async def _extension_next(self, request: web.Request) -> web.Response:
        listener = self._extensions[request.headers["Lambda-Extension-Identifier"]]
        invocation = await self._next(listener)
        told = {"eventType": "INVOKE", "requestId": invocation.request_id, "deadlineMs": invocation.deadline_ms}
        return web.json_response(told)

    async def _next(self, listener: _Listener) -> _Invocation:
        listener.is_waiting = True
        if all(one.is_waiting for one in (self._runtime, *self._extensions.values())):
            self._freeze()
        return await listener.inbox.get()

    def _settle(self, answer: LambdaAnswer) -> None:
        if self._current is not None and not self._current.answer.done():
            self._current.answer.set_result(answer)

    def _freeze(self) -> None:
        with suppress(ProcessLookupError):  # its last request was on the way while it ended
            self.process.send_signal(signal.SIGSTOP)
            self.is_frozen = True
            self.freeze_count += 1
        self._idle.set()

    def _thaw(self) -> None:
        if self.is_frozen:
            self.process.send_signal(signal.SIGCONT)
            self.is_frozen = False

    async def _read_log(self) -> None:
        assert self.process.stdout is not None, "the child's output is a pipe"
        while part := await self.process.stdout.read(65536):
            self._log_parts.append(part)
