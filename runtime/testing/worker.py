"""A Worker under test: called as the platform calls it, without a server."""

from __future__ import annotations

import json as json_text
from typing import TYPE_CHECKING, Any

from ..adapters.aws_lambda_events import ScheduledController
from ..core.request import Request
from ..error_trace import is_framework_file
from ..plain_answer import plain_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime
    from types import TracebackType

    from ..core.response import Response
    from ..serve import App
    from .fake_host import FakeHost

ORIGIN = "http://localhost"
"""Of a URL that is only a path."""


class FailedRequests:
    """What handlers raised, by request: a test gets the error in place of the answer 500."""

    def __init__(self) -> None:
        self._errors: dict[int, BaseException] = {}

    def answer(self, request: Request, error: BaseException) -> Response:
        """What a client would get; the error is kept unless the client itself is to blame."""
        response = plain_answer(request, error)
        if response.status >= 500:
            self._errors[id(request)] = error
        return response

    def take(self, request: Request) -> BaseException | None:
        return self._errors.pop(id(request), None)


class WorkerUnderTest:
    """The Worker of one project."""

    def __init__(self, app: App, host: FakeHost, failed: FailedRequests) -> None:
        self._app = app
        self._host = host
        self._failed = failed

    @property
    def on_fetch(self) -> Callable[[Request], Awaitable[Response]] | None:
        """Answers what the Worker fetches from the internet, where a test sets it; None: the internet does."""
        return self._host.on_fetch

    @on_fetch.setter
    def on_fetch(self, answer: Callable[[Request], Awaitable[Response]] | None) -> None:
        self._host.on_fetch = answer

    async def fetch(
        self,
        url: str | Request,
        /,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        json: object = None,
    ) -> Response:
        """The answer to a request, through the same gateway as a server's: also `/cdn-cgi/...` and the REST API.

        Args:
            url: absolute, or a path on http://localhost, or a whole Request, then without the rest.
            method: GET, or POST where there is a body.
            body: as `Request` takes it: str, bytes, FormData, an async iterator ...
            json: a value to send as JSON, in place of `body`.

        Raises:
            Exception: what the handler raised, in place of the answer 500 that a client gets. Nothing is undone: what
                it did before stays done.
        """
        __tracebackhide__ = True
        request = url if isinstance(url, Request) else _request(url, method, headers, body, json)
        response = await self._app.fetch(request)
        error = self._failed.take(request)
        if error is not None:
            raise error.with_traceback(_users_part(error.__traceback__))
        return response

    async def scheduled(self, cron: str = "* * * * *", *, at: datetime | None = None) -> None:
        """Call the handler of cron triggers, at a time or at the hand-moved clock's; its `waitUntil` work is done.

        Raises:
            Exception: what the handler raised.
            TypeError: the Worker has no `scheduled` handler.
        """
        __tracebackhide__ = True
        time_s = self._app.host.now() if at is None else at.timestamp()
        await self._app.call("scheduled", ScheduledController(cron, int(time_s * 1000)))

    async def drain(self) -> None:
        """Return when the `waitUntil` work of every request so far is done."""
        await self._app.pending.drain()


def _request(url: str, method: str | None, headers: Mapping[str, str] | None, body: object, json: object) -> Request:
    sent: dict[str, Any] = {"headers": dict(headers or {})}
    if json is not None:
        if body is not None:
            raise TypeError("fetch() takes body or json, not both.")
        body = json_text.dumps(json)
        sent["headers"].setdefault("content-type", "application/json")
    if body is not None:
        sent["body"] = body
    sent["method"] = method or ("GET" if body is None else "POST")
    return Request(f"{ORIGIN}{url}" if url.startswith("/") else url, **sent)


def _users_part(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback from the user's first line on; all of it when there is none."""
    part = traceback
    while part is not None and is_framework_file(part.tb_frame.f_code.co_filename):
        part = part.tb_next
    return part or traceback
