"""Ids: 32 hex digits, the same on every machine for the same name."""

from __future__ import annotations

import re
from hashlib import sha256

_ID = re.compile(r"[0-9a-f]{32}")


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def id_of(kind: str, id_or_name: str) -> str:
    """The id of a stream, sink or pipeline: 32 hex digits as they are, any other text is a name and hashed."""
    if is_id(id_or_name):
        return id_or_name
    return sha256(f"edge {kind}\0".encode() + id_or_name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
