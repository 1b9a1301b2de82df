"""What every answer looks like: `{"success", "errors", "messages", "result"}`, never HTML.

Source: spec "Cloudflare API", 0 and 1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...bindings._shared.rest import Answer
from ..core.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...bindings._shared.rest import ApiError

CLIENTS_RETRY = frozenset({409, 429})
"""Statuses that the SDK repeats, as it does 5xx: pointless where the same call fails the same way."""


def success(result: Any) -> Response:
    """The envelope of what a handler returned."""
    answer = result if isinstance(result, Answer) else Answer(result)
    envelope: dict[str, Any] = {
        "success": True,
        "errors": [],
        "messages": list(answer.messages),
        "result": answer.result,
        **answer.extra,
    }
    if answer.result_info is not None:
        envelope["result_info"] = answer.result_info
    return json_response(envelope, answer.status)


def failure(error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
    """The envelope of an error."""
    one: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.chain:
        one["error_chain"] = [{"code": code, "message": message} for code, message in error.chain]
    more = dict(headers or {})
    if error.retry_after_s is not None:
        more["retry-after"] = str(error.retry_after_s)
    elif error.http_status in CLIENTS_RETRY or error.http_status >= 500:
        more["x-should-retry"] = "false"
    return json_response({"success": False, "errors": [one], "messages": [], "result": None}, error.http_status, more)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Any JSON, by a type that clients read as such."""
    return Response(
        msgspec.json.encode(value), status=status, headers={"content-type": "application/json", **(headers or {})}
    )
