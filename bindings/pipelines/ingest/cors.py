"""Which web pages may send to a stream: its own `cors` setting, asked of every request that a browser marks.

A page that is not allowed gets no CORS headers, and its request is refused too: what a local server takes from any page
that a browser happens to show, anybody could write into it.
Source: Fetch Standard, "HTTP-CORS protocol"; spec "Reliability", B1; decision 22.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .refusal import ForbiddenError

if TYPE_CHECKING:
    from ....runtime.core.headers import Headers
    from ..objects import Cors

MAX_AGE_SECONDS = 86_400
_PREFLIGHT = {
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-encoding, content-type, idempotency-key, x-stream-id",
    "access-control-max-age": str(MAX_AGE_SECONDS),
}
_EXPOSED = "edge-dropped, retry-after"


def cors_headers(cors: Cors, headers: Headers, own_origin: str) -> dict[str, str]:
    """What every answer to this request carries, errors too.

    Raises:
        ForbiddenError: a page made it whose origin is not allowed.
    """
    origin = headers.get("origin")
    is_open = cors.origins == ("*",)
    if origin is None:
        site = headers.get("sec-fetch-site")
        if site is not None and not is_open and site.lower() not in {"same-origin", "none"}:
            raise ForbiddenError("A page of another site may not send to this stream: its cors setting has no origins.")
        return {}
    if is_open:
        return {"access-control-allow-origin": "*", "access-control-expose-headers": _EXPOSED}
    if origin in cors.origins:
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": _EXPOSED,
            "vary": "origin",
        }
    if origin.lower() == own_origin:
        return {}
    raise ForbiddenError("A page of this origin may not send to this stream. Add it to the stream's cors setting.")


def preflight_headers(allowed: dict[str, str]) -> dict[str, str]:
    """The answer to OPTIONS."""
    return {"allow": "POST, OPTIONS", **(allowed | _PREFLIGHT if allowed else {})}
