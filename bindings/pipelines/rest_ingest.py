"""The two ways in for records, as OpenAPI describes them: they are doors of their own, outside of `/client/v4`.

Source: spec "Cloudflare API", 3.4; spec "Pipelines", 8.
"""

from __future__ import annotations

from typing import Any

_JSON = "application/json"
_RETRY_AFTER = {"retry-after": {"schema": {"type": "integer"}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _answer(description: str, schema: dict[str, Any], **headers: Any) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"schema": schema}}, "headers": headers}


def _answers(good: dict[str, Any], bad: dict[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    refusals = {
        status: _answer(reason, bad, **(_RETRY_AFTER if status in {"429", "503"} else {}))
        for status, reason in reasons.items()
    }
    return {"200": _answer("Every record is on disk.", good), **refusals}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_RECORDS = {"type": "array", "items": {"type": "object"}}
_EVENT = {
    "type": "object",
    "required": ["timestamp", "source", "event"],
    "properties": {
        "timestamp": {"type": "string", "format": "date-time"},
        "source": {"type": "string", "minLength": 1},
        "event": {"type": "object"},
        "metadata": {"type": "object"},
    },
}
_KEY = {"name": "Idempotency-Key", "in": "header", "schema": _TEXT}

_STREAM_ENDPOINT = {
    "operationId": "post_stream_endpoint",
    "summary": "Write records to a stream.",
    "description": "The stream's `http` settings say whether it is open, needs a token, and which origins may call.",
    "security": [{"token": []}, {}],
    "parameters": [{"name": "stream", "in": "path", "required": True, "schema": _TEXT}, _KEY],
    "requestBody": {"required": True, "content": {_JSON: {"schema": _RECORDS}}},
    "responses": _answers(
        _object(success={"const": True}, result=_object(committed=_COUNT)),
        _object(success={"const": False}, error=_object(code={"type": "integer"}, message=_TEXT)),
        {
            "400": "The body is no array of objects, or a strict stream's schema refuses a record.",
            "401": "The token is missing or not good.",
            "403": "The token is for something else, or the stream takes nothing over HTTP.",
            "404": "There is no such stream.",
            "413": "The body is too large.",
            "429": "Too fast, or too much waits.",
            "503": "The disk cannot take it now.",
        },
    ),
}
_EVENTS = {
    "operationId": "post_streams_ingest",
    "summary": "Write events to a stream.",
    "security": [{"token": []}],
    "parameters": [{"name": "X-Stream-Id", "in": "header", "required": True, "schema": _TEXT}, _KEY],
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
            "application/x-ndjson": {"schema": _TEXT},
        },
    },
    "responses": _answers(
        _object(status={"const": "accepted"}, ingested_bytes=_COUNT, stream_id=_TEXT),
        _object(error=_TEXT, detail=_TEXT),
        {
            "400": "An event is not one, or the body is too large.",
            "401": "The token is missing or not good.",
            "403": "The token is for something else.",
            "404": "There is no such stream.",
            "429": "Too fast, or too much waits.",
            "503": "The disk cannot take it now.",
        },
    ),
}

INGEST_PATHS: dict[str, Any] = {
    "/cdn-cgi/ingest/{stream}": {"post": _STREAM_ENDPOINT},
    "/cdn-cgi/api/v1/streams/ingest": {"post": _EVENTS},
}
"""Path from the server's root -> its operations."""
