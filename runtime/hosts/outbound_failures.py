"""Why a request to the internet failed, in one sentence of our own: aiohttp's errors, mapped in one table."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_SECONDS_MAX = 30.0
READ_STALL_SECONDS_MAX = 100.0
"""No byte for this long ends a call: Cloudflare's own figure (error 524)."""


def reason_of(error: BaseException) -> str:
    """What happened, to follow "got no answer: "."""
    return next(reason(error) for foreign, reason in REASONS if isinstance(error, foreign))


def _always(sentence: str) -> Callable[[Any], str]:
    return lambda _error: sentence


def _connect_reason(error: aiohttp.ClientConnectorError) -> str:
    number = error.os_error.errno
    if number == errno.ECONNREFUSED:
        return "nobody listens there."
    if number in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return "there is no way to it from here."
    return f"it could not be connected to ({errno.errorcode.get(number or 0, 'no error number')})."


def _certificate_reason(error: aiohttp.ClientConnectorCertificateError) -> str:
    why = getattr(error.certificate_error, "verify_message", "") or "it could not be checked"
    return f"its certificate was refused: {why}."


def _payload_reason(error: aiohttp.ClientPayloadError) -> str:
    if isinstance(error.__cause__, ContentEncodingError):
        return "its body is not what its content-encoding says."
    return "the connection ended before the body did."


REASONS: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (aiohttp.ConnectionTimeoutError, _always(f"no connection was made within {CONNECT_SECONDS_MAX:.0f} seconds.")),
    (aiohttp.SocketTimeoutError, _always(f"nothing came for {READ_STALL_SECONDS_MAX:.0f} seconds.")),
    (TimeoutError, _always("it took too long.")),
    (aiohttp.ClientConnectorDNSError, lambda error: f"there is no host of the name {error.host}."),
    (aiohttp.ClientConnectorCertificateError, _certificate_reason),
    (aiohttp.ClientSSLError, _always("it speaks no TLS that both sides know, or none at all.")),
    (aiohttp.ClientConnectorError, _connect_reason),
    (aiohttp.ClientPayloadError, _payload_reason),
    (aiohttp.ClientResponseError, _always("what came is no HTTP answer.")),
    (HttpProcessingError, _always("what came is no HTTP answer.")),
    (aiohttp.InvalidURL, _always("that is no URL.")),
    (aiohttp.ServerDisconnectedError, _always("the connection was closed before an answer came.")),
    (aiohttp.ClientConnectionError, _always("the connection was cut.")),
    (OSError, _always("the connection was cut.")),
    (aiohttp.ClientError, lambda error: f"the client refused it ({type(error).__name__})."),
    (ValueError, lambda error: f"it cannot be sent: {str(error).partition(chr(10))[0]}"),
)
"""Foreign error -> sentence; the first that fits."""
