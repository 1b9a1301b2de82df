"""Names of `workers` that are for annotations only. On Cloudflare, too, they are texts and plain classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypedDict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from http import HTTPMethod

JSBody = "js.Blob | JsBuffer | js.FormData | js.ReadableStream | js.URLSearchParams"
Body = "str | FormData | JSBody"
Headers = "dict[str, str] | list[tuple[str, str]] | js.Headers"
BlobValue = "str | bytes | js.ArrayBuffer | js.TypedArray | js.DataView | js.Blob | Blob | File"
FormDataValue = "str | js.Blob | Blob"


class Context(Protocol):
    """`ctx`."""

    def waitUntil(self, other: Awaitable[Any]) -> None: ...  # noqa: N802 - Cloudflare's spelling


class RequestInitCfProperties(TypedDict, total=False):
    """`cf` of an outgoing request. Accepted; nothing of it has an effect outside Cloudflare's network."""

    apps: bool | None
    cacheEverything: bool | None
    cacheKey: str | None
    cacheTags: list[str] | None
    cacheTtl: int
    cacheTtlByStatus: Mapping[str, int]
    image: Any
    mirage: bool | None
    polish: str | None
    resolveOverride: str | None
    scrapeShield: bool | None
    webp: bool | None


class FetchKwargs(TypedDict, total=False):
    """Options of `fetch` and `Request`."""

    headers: Any
    body: Any
    method: HTTPMethod | str | None
    redirect: str | None
    cf: RequestInitCfProperties | None
    fetcher: Any
    signal: Any
