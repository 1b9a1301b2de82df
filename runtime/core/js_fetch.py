"""`js.Request` and `js.Response`: JavaScript's names over the same request or response.

What is here is what handlers reach through `js_object`, `js.Response.new(...)` and `Response.redirect(...)`.
Source: spec "Handler-side contract", 2.1, 2.2 and 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .fetch_errors import JsRangeError
from .headers import JsHeaders
from .js_values import JsConstructor, jsnull
from .request import Request, wire_method
from .response import REDIRECT_STATUSES, FetchResponse, Response
from .url import normalised_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .formdata import FormData
    from .js_values import JsBuffer


class JsRequest:
    """`js.Request` over a Request."""

    __slots__ = ("wrapped_request",)

    constructor = JsConstructor("Request")

    def __init__(self, request: Request) -> None:
        self.wrapped_request = request

    @classmethod
    def new(cls, resource: Any, options: Mapping[str, Any] | None = None, **more: Any) -> JsRequest:
        """As `new Request(resource, {method, headers, body, redirect, cf})`."""
        source = getattr(resource, "wrapped_request", resource)
        return cls(Request(source, **_init(options, more)))

    @property
    def method(self) -> str:
        return wire_method(self.wrapped_request)

    @property
    def headers(self) -> JsHeaders:
        return JsHeaders(self.wrapped_request.headers)

    @property
    def bodyUsed(self) -> bool:  # noqa: N802 - JavaScript's spelling
        return self.wrapped_request.body_used

    @property
    def referrerPolicy(self) -> str:  # noqa: N802 - JavaScript's spelling
        return self.wrapped_request.referrer_policy

    async def arrayBuffer(self) -> JsBuffer:  # noqa: N802 - JavaScript's spelling
        return await self.wrapped_request.buffer()

    async def formData(self) -> FormData:  # noqa: N802 - JavaScript's spelling
        return await self.wrapped_request.form_data()

    def clone(self) -> JsRequest:
        return JsRequest(self.wrapped_request.clone())

    def __getattr__(self, name: str) -> Any:
        if name in _SAME_IN_REQUEST:
            return getattr(self.wrapped_request, name)
        msg = f"js.Request has no {name!r}"
        raise AttributeError(msg)


_SAME_IN_REQUEST = frozenset(
    {
        *("url", "body", "cf", "redirect", "signal", "text", "json", "bytes", "blob"),
        *("cache", "credentials", "destination", "integrity", "keepalive", "mode", "referrer"),
    }
)


class JsResponse(FetchResponse):
    """`js.Response`. A handler may answer it as it is."""

    __slots__ = ()

    constructor = JsConstructor("Response")
    is_js_response = True

    def __init__(self, response: FetchResponse) -> None:
        self._share(response)

    @classmethod
    def new(cls, body: Any = None, options: Mapping[str, Any] | None = None, **more: Any) -> JsResponse:
        """As `new Response(body, {status, statusText, headers})`."""
        init = _init(options, more)
        return cls(
            Response(
                None if body is jsnull else body,
                init.get("status"),
                init.get("statusText", ""),
                init.get("headers"),
                init.get("webSocket"),
            )
        )

    @staticmethod
    def redirect(url: Any, status: int = 302) -> JsResponse:
        """As `Response.redirect(url, status)`."""
        location = normalised_url(url)
        if status not in REDIRECT_STATUSES:
            msg = f"{status} is not a redirect status code."
            raise JsRangeError(msg)
        return JsResponse(Response(None, status, headers={"location": location}))

    @property
    def statusText(self) -> str:  # noqa: N802 - JavaScript's spelling
        return self._status_text

    @property
    def bodyUsed(self) -> bool:  # noqa: N802 - JavaScript's spelling
        return self.body_used

    @property
    def webSocket(self) -> Any:  # noqa: N802 - JavaScript's spelling
        return self.web_socket

    @property
    def headers(self) -> Any:
        """`js.Headers` here, the Mapping in Python's Response."""
        return JsHeaders(self._own_headers())

    async def arrayBuffer(self) -> JsBuffer:  # noqa: N802 - JavaScript's spelling
        return await self.buffer()

    def clone(self) -> JsResponse:
        return JsResponse(super().clone())


def _init(options: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """An options object, or keywords, as Pyodide lets one write it."""
    return {**(options or {}), **more}
