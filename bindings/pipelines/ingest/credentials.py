"""May this request send to this stream? A bad token is one same 401, whatever is wrong with it; a good one that does
not reach this far is a 403.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._shared.permissions import PIPELINES_SEND
from .refusal import ForbiddenError, UnauthorizedError

if TYPE_CHECKING:
    from ..._shared.tokens import Token, TokenStore
    from ..objects import StreamObject


def require_token(tokens: TokenStore, authorization: str | None) -> Token:
    """The token of an Authorization header that allows sending.

    Raises:
        UnauthorizedError: there is no good token. ForbiddenError: it does not allow sending.
    """
    scheme, _, text = (authorization or "").partition(" ")
    token = tokens.verify(text.strip(" ")) if scheme.lower() == "bearer" else None
    if token is None:
        raise UnauthorizedError
    if not token.permits(PIPELINES_SEND):
        raise ForbiddenError('The token lacks the permission "Workers Pipeline Send".')
    return token


def require_stream(token: Token, stream: StreamObject) -> None:
    """
    Raises:
        ForbiddenError: the token is for other streams.
    """
    if not token.is_for_stream(stream.id) and not token.is_for_stream(stream.name):
        raise ForbiddenError("The token is for another stream.")
