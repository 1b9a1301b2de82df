"""Who calls: `Authorization: Bearer T`, or X-Auth-Email with X-Auth-Key.

Source: spec "Cloudflare API", 1.1 and 1.4.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...bindings._shared.rest import ApiError
from ...bindings._shared.tokens import is_global_key

if TYPE_CHECKING:
    from ...bindings._shared.rest import Refusal
    from ...bindings._shared.tokens import Token, TokenStore
    from ..core.headers import Headers

_BEARER = re.compile(r"bearer +([^\s,]+)", re.IGNORECASE)


def authenticate(headers: Headers, tokens: TokenStore, bad_token: Refusal) -> Token:
    """The token or global key of a request. A bearer token counts before a key.

    Raises:
        ApiError: there is none, it has no form a client could send, or it is not good, for whatever reason.
    """
    bearer, email, key = headers.get("authorization"), headers.get("x-auth-email"), headers.get("x-auth-key")
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
