"""`POST /v1/streams/ingest`: one event, an array of them, or one a line, to the stream that X-Stream-Id names.

    http://api.localhost:PORT/v1/streams/ingest
    http://localhost:PORT/cdn-cgi/api/v1/streams/ingest

An event is {"timestamp": ISO 8601, "source": text, "event": object, "metadata": object, optional}; it becomes a record
with these four fields. 200 {"status":"accepted","ingested_bytes":N,"stream_id":ID}, else {"error":...,"detail":...}.
The envelope is checked first, all events or none; then the stream's own validation applies.
Source: the page "Ingestion of Events Using the Streaming Ingestion API"; spec "Pipelines", 8; decisions 12 to 14.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ....runtime.core.errors import BackendError
from ....runtime.core.request import wire_method
from ..addresses import is_of_events
from .body import read_body
from .credentials import require_stream, require_token
from .http_stream import require_http_stream
from .intake import Sender, client_of, require_key
from .json_answer import json_response, told_records
from .json_guard import item_index, require_harmless, require_text, why_not_json
from .refusal import (
    IngestError,
    InvalidJsonError,
    InvalidRecordsError,
    InvalidRequestError,
    MethodError,
    TooLargeError,
    refusal_of,
)

if TYPE_CHECKING:
    from ....runtime.core.request import Request
    from ....runtime.core.response import Response
    from ..._shared.tokens import TokenStore
    from ..open_streams import OpenStreams
    from .intake import Intake

BODY_BYTES_MAX = 1024 * 1024
"""Unpacked. Source: the page, "Maximum payload size" (1 MB)."""
LINES_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})

_FIELDS = {
    "timestamp": "must be a valid ISO 8601 string",
    "source": "must be a non-empty string",
    "event": "must be an object",
    "metadata": "must be an object",
}
"""Field -> what a refusal says of it; the first is the page's own sentence."""
_ISO_8601 = re.compile(r"[0-9W-]{7,10}([T ][0-9:.,]{2,}(Z|[+-][0-9:]{2,})?)?")
"""Narrows what `datetime.fromisoformat` takes: any character between date and time, digits of any alphabet."""
_LEAP_SECOND = re.compile(r"(?<=[T ]\d\d:\d\d:)60|(?<=[T ]\d{4})60")


class _Event(msgspec.Struct, gc=False):
    timestamp: msgspec.Raw = msgspec.Raw()
    source: msgspec.Raw = msgspec.Raw()
    event: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw(b"null")


_event = msgspec.json.Decoder(_Event)
_events = msgspec.json.Decoder(list[_Event])
_text = msgspec.json.Decoder(str)


class EventsEndpoint:
    """Door: the streaming ingestion API."""

    def __init__(self, streams: OpenStreams, intake: Intake, tokens: TokenStore) -> None:
        self._streams = streams
        self._intake = intake
        self._tokens = tokens

    def claims(self, host: str, path: str) -> bool:
        return is_of_events(host, path)

    async def fetch(self, request: Request) -> Response:
        try:
            return await self._accept(request)
        except BackendError as error:
            return _refused(refusal_of(error))
        except IngestError as error:
            return _refused(error)

    async def _accept(self, request: Request) -> Response:
        headers = request.headers
        if (method := wire_method(request)) != "POST":
            raise MethodError(method)
        token = require_token(self._tokens, headers.get("authorization"))
        content_type = _content_type(headers.get("content-type"))
        id_or_name = headers.get("x-stream-id")
        if not id_or_name:
            raise InvalidRequestError("The 'X-Stream-Id' header is missing. Send the stream's id or name in it.")
        stream = await require_http_stream(self._streams, id_or_name)
        require_stream(token, stream.object)
        gate = self._intake.gate(stream)
        sender = Sender("v1", require_key(headers.get("idempotency-key")), client_of(gate, request))
        body = await read_body(request, headers.get("content-encoding"), BODY_BYTES_MAX)
        gate.admit(len(body))
        is_lines = content_type in LINES_TYPES
        parcel = await self._intake.pass_body(body, lambda body: gate.pass_array(_array(body, is_lines=is_lines)))
        answer = await self._intake.keep(stream, parcel, sender, len(body))
        accepted = {"status": "accepted", "ingested_bytes": answer.committed, "stream_id": stream.object.id}
        dropped = {"edge-dropped": str(answer.dropped_count)} if answer.dropped_count else None
        return json_response(accepted, headers=dropped)


def _content_type(text: str | None) -> str:
    """
    Raises:
        InvalidRequestError: it is neither JSON nor NDJSON.
    """
    kind = (text or "").partition(";")[0].strip().lower()
    if kind != "application/json" and kind not in LINES_TYPES:
        raise InvalidRequestError("The 'Content-Type' header must be application/json or application/x-ndjson.")
    return kind


def _array(body: bytes, *, is_lines: bool) -> bytes:
    """The body's events as a JSON array of records.

    Raises:
        InvalidJsonError, InvalidRequestError: one of them is no event, or its envelope is wrong.
    """
    rows = [_row(*one) for one in _split(body, is_lines=is_lines)]
    array = b"[" + b",".join(rows) + b"]"
    require_harmless(array, len(rows))
    return array


def _split(body: bytes, *, is_lines: bool) -> list[tuple[_Event, str]]:
    """Each event, and the words that tell which of several it is.

    Raises:
        InvalidJsonError: this is no JSON, or no event.
    """
    require_text(body)
    if is_lines:
        lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
        return [(_decoded(_event, line, f" (line {number})"), f" (line {number})") for number, line in lines]
    if body.lstrip()[:1] == b"[":
        return [(one, f" (event {index})") for index, one in enumerate(_decoded(_events, body, ""))]
    return [(_decoded(_event, body, ""), "")]


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes, which: str) -> Any:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        index = item_index(error)
        which = which if index is None else f" (event {index})"
        raise InvalidJsonError(f"The body must be an event object, an array of them, or one a line{which}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidJsonError(why_not_json(text, error, which)) from error


def _row(event: _Event, which: str) -> bytes:
    """The record of an event.

    Raises:
        InvalidRequestError: a field of the envelope is missing or wrong.
    """
    timestamp, source, inner, metadata = map(bytes, (event.timestamp, event.source, event.event, event.metadata))
    if not _is_timestamp(timestamp):
        raise _wrong("timestamp", which)
    if not source.startswith(b'"') or not _text.decode(source).strip():
        raise _wrong("source", which)
    if not inner.startswith(b"{"):
        raise _wrong("event", which)
    if metadata != b"null" and not metadata.startswith(b"{"):
        raise _wrong("metadata", which)
    return b'{"timestamp":%b,"source":%b,"event":%b,"metadata":%b}' % (timestamp, source, inner, metadata)


def _wrong(field: str, which: str) -> InvalidRequestError:
    return InvalidRequestError(f"The '{field}' field {_FIELDS[field]}{which}.")


def _is_timestamp(raw: bytes) -> bool:
    if not raw.startswith(b'"'):
        return False
    text = _text.decode(raw).upper()
    if not _ISO_8601.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(_LEAP_SECOND.sub("59", text))  # the record keeps the text as it was sent
    except ValueError:
        return False
    return True


def _refused(refusal: IngestError) -> Response:
    status = 400 if isinstance(refusal, TooLargeError) else refusal.http_status  # this API's own rule
    told: dict[str, Any] = {"error": refusal.word, "detail": getattr(refusal, "message", str(refusal))}
    if isinstance(refusal, InvalidRecordsError):
        told |= told_records(refusal)
    return json_response(told, status=status, headers=refusal.headers)
