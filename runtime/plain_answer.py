"""What a client may know of a failure outside dev."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core.context import request_id
from .core.errors import BackendError, RefusedError
from .core.response import Response

if TYPE_CHECKING:
    from .core.request import Request

RETRY_AFTER_SECONDS = 1
_FAILURES = {429: "Too Many Requests", 500: "Internal Server Error", 507: "Insufficient Storage"}


def plain_answer(_request: Request, error: BaseException) -> Response:
    """What a client may know of a failure outside dev: what it did wrong itself, never the reason of ours.

    Storage that failed is a 503 or 507 that may be tried again. The request id says where in the log the reason is.
    """
    if isinstance(error, RefusedError):
        return Response(f"{error}\n", status=error.http_status)
    status = failure_status(error)
    text = _FAILURES.get(status, "Service Unavailable")
    current = request_id.get()
    return Response(
        f"{text} (request {current})\n" if current else f"{text}\n",
        status=status,
        headers=retry_headers(error),
    )


def failure_status(error: BaseException) -> int:
    """500, whatever a handler let through, a binding's refusal too; only what storage could not do says so."""
    return error.http_status if isinstance(error, BackendError) else 500


def retry_headers(error: BaseException) -> dict[str, str]:
    """What tells a client to try again: nothing of the failed call was acknowledged."""
    return {"retry-after": str(RETRY_AFTER_SECONDS)} if isinstance(error, BackendError) else {}
