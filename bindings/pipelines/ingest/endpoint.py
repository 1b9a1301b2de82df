"""A stream's own HTTP endpoint: POST a JSON array of objects, answered once they are on disk.

    http://{stream-id or name}.ingest.localhost:PORT/       and /v1
    http://localhost:PORT/cdn-cgi/ingest/{stream-id or name}  and /v1 behind it

200 {"success":true,"result":{"committed":N}}, else {"success":false,"error":{"code":...,"message":...}}.
Records that do not fit the schema are counted and dropped later, as hosted; the header `edge-dropped` says how many.
Source: spec "Cloudflare API", 3.4; Cloudflare docs, Pipelines "Writing to streams"; decisions 1, 12, 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from ....runtime.core.errors import BackendError
from ....runtime.core.request import wire_method
from ....runtime.core.response import Response, plain_response
from ..addresses import INGEST_HOST_SUFFIX, INGEST_PREFIX, is_of_stream, name_of
from .body import read_body
from .cors import cors_headers, preflight_headers
from .credentials import require_stream, require_token
from .http_stream import require_http_stream
from .intake import Sender, client_of, require_key
from .json_answer import json_response, told_records
from .refusal import IngestError, InvalidRecordsError, MethodError, UnknownStreamError, refusal_of

if TYPE_CHECKING:
    from typing import Any

    from ....runtime.core.request import Request
    from ..._shared.tokens import TokenStore
    from ..open_streams import OpenStream, OpenStreams
    from .idempotency import Answer
    from .intake import Intake

PATHS = frozenset({"/", "/v1", "/v1/"})
"""Of a stream's own host."""


class StreamEndpoint:
    """Door: every stream's endpoint."""

    def __init__(self, streams: OpenStreams, intake: Intake, tokens: TokenStore) -> None:
        self._streams = streams
        self._intake = intake
        self._tokens = tokens

    def claims(self, host: str, path: str) -> bool:
        return is_of_stream(host, path)

    async def fetch(self, request: Request) -> Response:
        allowed: dict[str, str] = {}
        try:
            origin, id_or_name = _addressed(request.url)
            stream = await require_http_stream(self._streams, id_or_name)
            allowed = cors_headers(stream.object.http.cors, request.headers, origin)
            if wire_method(request) == "OPTIONS":
                return Response(None, 204, headers=preflight_headers(allowed))
            answer = await self._accept(stream, request)
        except BackendError as error:
            return _refused(refusal_of(error), allowed)
        except IngestError as error:
            return _refused(error, allowed)
        return _accepted(answer, allowed)

    async def _accept(self, stream: OpenStream, request: Request) -> Answer:
        headers, known = request.headers, stream.object
        if (method := wire_method(request)) != "POST":
            raise MethodError(method)
        if known.http.authentication:
            require_stream(require_token(self._tokens, headers.get("authorization")), known)
        gate = self._intake.gate(stream)
        sender = Sender("ingest", require_key(headers.get("idempotency-key")), client_of(gate, request))
        body = await read_body(request, headers.get("content-encoding"), known.limits.request_bytes)
        gate.admit(len(body))
        parcel = await self._intake.pass_body(body, gate.pass_array)
        return await self._intake.keep(stream, parcel, sender, parcel.record_count)


def _addressed(url: str) -> tuple[str, str]:
    """The origin that was called, and the stream's id or name.

    Raises:
        UnknownStreamError: this address is no stream's.
    """
    host_at = url.find("//") + 2
    path_at = url.find("/", host_at)
    path = url[path_at:].partition("?")[0]
    if path.startswith(INGEST_PREFIX):
        return url[:path_at], unquote(path[len(INGEST_PREFIX) :].removesuffix("/").removesuffix("/v1"))
    if path not in PATHS:
        raise UnknownStreamError("A stream's endpoint has the path / only.")
    return url[:path_at], name_of(url[host_at:path_at]).removesuffix(INGEST_HOST_SUFFIX)


def _accepted(answer: Answer, allowed: dict[str, str]) -> Response:
    body = b'{"success":true,"result":{"committed":%d}}' % answer.committed
    response = plain_response(body, "application/json")
    for name, value in allowed.items():
        response.headers[name] = value
    if answer.dropped_count:
        response.headers["edge-dropped"] = str(answer.dropped_count)
    return response


def _refused(refusal: IngestError, allowed: dict[str, str]) -> Response:
    error: dict[str, Any] = {"code": refusal.code, "message": getattr(refusal, "message", str(refusal))}
    if isinstance(refusal, InvalidRecordsError):
        error |= told_records(refusal)
    headers = {**allowed, **refusal.headers}
    return json_response({"success": False, "error": error}, status=refusal.http_status, headers=headers)
