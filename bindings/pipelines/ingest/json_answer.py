"""Answers of the doors: compact JSON, and what a strict stream found wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ....runtime.core.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .refusal import InvalidRecordsError

ERRORS_SHOWN_MAX = 100
"""Bad records that a refusal lists; `record_count` beside it counts all."""


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A Response with `value` as JSON, without spaces."""
    all_headers = {"content-type": "application/json", **(headers or {})}
    return Response(msgspec.json.encode(value), status, headers=all_headers)


def told_records(refusal: InvalidRecordsError) -> dict[str, Any]:
    """The members of a refusal that say which records are bad."""
    shown = refusal.errors[:ERRORS_SHOWN_MAX]
    return {
        "record_count": len(refusal.errors),
        "records": [{"index": one.index, "kind": one.kind, "path": one.path} for one in shown],
    }
