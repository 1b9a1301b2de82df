"""Who calls: `Authorization: Bearer T`, or X-Auth-Email with X-Auth-Key.

Source: spec "Cloudflare API", 1.1 and 1.4.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from itertools import pairwise
from typing import TYPE_CHECKING

from ...bindings._shared.permissions import EVERYTHING, WRITE
from ...bindings._shared.rest import BEARER_PROTOCOL, ApiError
from ...bindings._shared.tokens import Token, is_global_key
from ..core.request import client_address
from ..core.web_socket import asks_for_web_socket, offered_protocols

if TYPE_CHECKING:
    from ...bindings._shared.rest import Refusal
    from ...bindings._shared.tokens import TokenStore
    from ..core.headers import Headers
    from ..core.request import Request

_PORT = re.compile(r":\d+$")
_BEARER = re.compile(r"bearer +([^\s,]+)", re.IGNORECASE)

ANYBODY_HERE = Token("local", (f"{EVERYTHING} {WRITE}",), (), None, 0.0, None)
"""Who calls what needs no token."""


def is_from_this_machine(request: Request) -> bool:
    """Whether a request comes from a loopback address and asks for one by its Host.

    What comes by a proxy that runs here has a loopback address, too: only a dev server may go by this.
    """
    host = request.url.partition("//")[2].partition("/")[0]
    name = host.rpartition(":")[0] if _PORT.search(host) else host
    return _is_loopback(client_address(request)) and (name == "localhost" or _is_loopback(name.strip("[]")))


def authenticate(headers: Headers, tokens: TokenStore, bad_token: Refusal) -> Token:
    """The token or global key of a request. A bearer token counts before a key; a WebSocket may offer it as protocol.

    Raises:
        ApiError: there is none, it has no form a client could send, or it is not good, for whatever reason.
    """
    bearer = headers.get("authorization") or _offered_bearer(headers)
    email, key = headers.get("x-auth-email"), headers.get("x-auth-key")
    if bearer is not None:
        found = _BEARER.fullmatch(bearer.strip())
        if found is None:
            raise ApiError(400, 6003, "Invalid request headers", [(6111, "Invalid format for Authorization header")])
        token = tokens.verify(found[1])
        if token is None:
            raise ApiError(bad_token.status, bad_token.code, bad_token.message)
        return token
    if email is None or key is None:
        raise ApiError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
    if not is_global_key(key):
        raise ApiError(400, 6003, "Invalid request headers", [(6103, "Invalid format for X-Auth-Key header")])
    token = tokens.verify_global_key(email, key)
    if token is None:
        raise ApiError(403, 9103, "Unknown X-Auth-Key or X-Auth-Email")
    return token


def _offered_bearer(headers: Headers) -> str | None:
    """What Authorization would be, of a page that cannot send it with its WebSocket."""
    offered = offered_protocols(headers) if asks_for_web_socket(headers) else []
    for name, token in pairwise(offered):
        if name == BEARER_PROTOCOL:
            return f"Bearer {token}"
    return None


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
