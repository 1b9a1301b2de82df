"""OTLP/HTTP logs of any OpenTelemetry sender: `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT` is this door's URL.

    http://localhost:PORT/cdn-cgi/otlp/{stream-id or name}/v1/logs

Each log record becomes one record (otlp.py). Records that do not fit the schema are told as rejected, so that a sender
does not send them again. A token is asked for as at the stream's own endpoint.
Source: OpenTelemetry, "OTLP Specification", "OTLP/HTTP".
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from ....runtime.core.errors import BackendError, RefusedError, UnsupportedError
from ....runtime.core.request import wire_method
from ..addresses import OTLP_PREFIX, OTLP_SUFFIX, is_of_otlp
from .body import read_body
from .credentials import require_stream, require_token
from .http_stream import require_http_stream
from .intake import Sender, client_of
from .otlp import answer, failure, records_of
from .refusal import IngestError, MethodError, refusal_of

if TYPE_CHECKING:
    from ....runtime.core.request import Request
    from ....runtime.core.response import Response
    from ..._shared.tokens import TokenStore
    from ..open_streams import OpenStreams
    from .intake import Intake

_encoder = msgspec.json.Encoder()


class OtlpEndpoint:
    """Door: logs for every stream."""

    def __init__(self, streams: OpenStreams, intake: Intake, tokens: TokenStore) -> None:
        self._streams = streams
        self._intake = intake
        self._tokens = tokens

    def claims(self, host: str, path: str) -> bool:
        return is_of_otlp(host, path)

    async def fetch(self, request: Request) -> Response:
        content_type = request.headers.get("content-type")
        try:
            return await self._accept(request, content_type)
        except BackendError as error:
            refusal = refusal_of(error)
        except IngestError as error:
            refusal = error
        except (RefusedError, UnsupportedError) as error:
            return failure(content_type, error.http_status, str(error))
        message = getattr(refusal, "message", str(refusal))
        response = failure(content_type, refusal.http_status, message, retry_after_s=refusal.retry_after_s)
        for name, value in refusal.headers.items():
            response.headers[name] = value
        return response

    async def _accept(self, request: Request, content_type: str | None) -> Response:
        if (method := wire_method(request)) != "POST":
            raise MethodError(method)
        headers = request.headers
        stream = await require_http_stream(self._streams, _stream_of(request.url))
        if stream.object.http.authentication:
            require_stream(require_token(self._tokens, headers.get("authorization")), stream.object)
        body = await read_body(request, headers.get("content-encoding"), stream.object.limits.request_bytes)
        gate = self._intake.gate(stream)
        gate.admit(len(body))
        parcel = await self._intake.pass_body(
            body, lambda body: gate.pass_array(_encoder.encode(records_of(body, content_type))), is_json=False
        )
        kept = await self._intake.keep(
            stream, parcel, Sender("otlp", "", client_of(gate, request)), parcel.record_count
        )
        message = "Records that do not fit the stream's schema are dropped." if kept.dropped_count else ""
        return answer(content_type, rejected_count=kept.dropped_count, message=message)


def _stream_of(url: str) -> str:
    """The stream's id or name in the path."""
    path = url[url.find("/", url.find("//") + 2) :].partition("?")[0]
    return unquote(path[len(OTLP_PREFIX) : -len(OTLP_SUFFIX)])
