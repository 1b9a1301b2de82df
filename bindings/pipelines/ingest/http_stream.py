"""The stream that a request names, open and ready to take records over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .refusal import ForbiddenError, UnknownStreamError

if TYPE_CHECKING:
    from ..open_streams import OpenStream, OpenStreams

NAME_CHARACTERS_SHOWN = 64


async def require_http_stream(streams: OpenStreams, id_or_name: str) -> OpenStream:
    """
    Raises:
        UnknownStreamError: there is none. ForbiddenError: it takes no records over HTTP.
        BackendError: its log cannot be opened.
    """
    stream = await streams.find(id_or_name)
    if stream is None:
        raise UnknownStreamError(f"There is no stream {id_or_name[:NAME_CHARACTERS_SHOWN]!r}.")
    if not stream.object.http.enabled:
        raise ForbiddenError(f'Stream "{stream.object.name}" does not take records over HTTP (http.enabled).')
    return stream
