"""What a frame says of itself beside its records: who sent it, under which key, what it was answered, what was checked.

JSON with one-letter keys, since every frame has it; empty when there is nothing to say. A reader that does not know a
key passes over it, and one that cannot read it at all loses nothing of the records.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ..schemas.schema import Schema

KEY_CHARACTERS_MAX = 255
"""Of an idempotency key."""


class FrameExtra(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "idempotency_key": "k",
        "committed": "c",
        "dropped_count": "d",
        "source": "s",
        "schema_hash": "v",
        "ip": "i",
        "user_agent": "u",
    },
):
    idempotency_key: str = ""
    committed: int = 0
    """What the first request with the key was answered."""
    dropped_count: int = 0
    """How many of the records do not fit the schema: they are in the frame, and will be dead letters."""
    source: str = ""
    """The door: "ingest", "v1" or "otlp"; empty for `send`."""
    schema_hash: str = ""
    """Of the schema that every record of the frame was found to fit; empty when that was not so, or not checked."""

    ip: str = ""
    """Of the client; like `user_agent` kept only for streams with an enrich step that asks for it."""
    user_agent: str = ""

    def encode(self) -> bytes:
        return b"" if self == _NOTHING else _encoder.encode(self)


_NOTHING = FrameExtra()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FrameExtra)


def parse_frame_extra(extra: bytes) -> FrameExtra:
    """What a frame's extra says; nothing when it is empty, or written by something else."""
    if not extra:
        return _NOTHING
    try:
        return _decoder.decode(extra)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _NOTHING


def schema_hash(schema: Schema) -> str:
    """Changes with every change of a schema that could change what fits it."""
    return sha256(msgspec.json.encode(schema)).hexdigest()[:16]
