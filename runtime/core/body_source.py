"""What a Response or an outgoing Request may be made of, turned into a Body and the content type it implies.

Accepted: None, str, bytes, FormData, Blob, URLSearchParams, ReadableStream, and async iterators of bytes or str. The
last are an Edge extension: on Cloudflare a stream has to come from JavaScript. All else is refused by its type's name.
Source: spec "Handler-side contract", 2.2; decision 9c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .body import Body
from .edge_only import EdgeOnly
from .js_values import utf8

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

TEXT = "text/plain;charset=UTF-8"
URLENCODED = "application/x-www-form-urlencoded;charset=UTF-8"


def body_from(value: Any, place: str) -> tuple[Body | None, str | None]:
    """The body and the content type to set when none is given.

    Args:
        place: "Response" or "Request", for the error text.

    Raises:
        TypeError: "Unsupported type in Response: dict".
    """
    if value is None:
        return None, None
    if isinstance(value, str):
        return Body(utf8(value)), TEXT
    if isinstance(value, bytes):
        return Body(bytes(value)), None
    kind = getattr(value, "constructor", None)
    return _SOURCES.get(getattr(kind, "name", ""), _other)(value, place)


def _form(value: Any, _place: str) -> tuple[Body, str]:
    from .form_encoding import encode_multipart  # noqa: PLC0415 - few handlers send forms

    data, content_type = encode_multipart(value)
    return Body(data), content_type


def _blob(value: Any, _place: str) -> tuple[Body, str | None]:
    return Body(bytes(value._data)), value.content_type or None


def _search_params(value: Any, _place: str) -> tuple[Body, str]:
    return Body(str(value).encode()), URLENCODED


def _stream(value: Any, _place: str) -> tuple[Body, None]:
    return value.take_body(), None


def _other(value: Any, place: str) -> tuple[Body, None]:
    if not hasattr(value, "__aiter__"):
        msg = f"Unsupported type in {place}: {type(value).__name__}"
        raise TypeError(msg)
    EdgeOnly.ASYNC_ITERATOR.use()
    return Body(chunks=_encoded(value)), None


_SOURCES = {
    "FormData": _form,
    "Blob": _blob,
    "File": _blob,
    "URLSearchParams": _search_params,
    "ReadableStream": _stream,
}
"""By the name of the JavaScript class, as Cloudflare's SDK does it; so this file loads none of them."""


async def _encoded(chunks: AsyncIterable[Any]) -> Any:
    """The chunks as bytes; leaving early closes their source."""
    source = aiter(chunks)
    try:
        async for chunk in source:
            if isinstance(chunk, str):
                yield utf8(chunk)
            elif isinstance(chunk, (bytes, bytearray, memoryview)):
                yield bytes(chunk)
            else:
                msg = f"A streamed body is made of bytes or str, got {type(chunk).__name__}."
                raise TypeError(msg)
    finally:
        if hasattr(source, "aclose"):
            await source.aclose()
