"""`file_naming`: what a delivered file is called. A name is drawn when the file is staged, then kept in the intent.

So even a name with a clock in it stays the same through every retry.
Source: Cloudflare API reference, "Pipelines > Sinks", `file_naming`; how prefix and suffix are joined: Arroyo,
crates/arroyo-connectors/src/filesystem.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal
from uuid import UUID

ULID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NAME_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class FileNaming:
    """As `file_naming` of an r2 or s3 sink."""

    prefix: str | None = None
    """Before the name, with a dash between."""
    suffix: str | None = None
    """After the name instead of the format's own ending, without the dot."""
    strategy: Literal["serial", "uuid", "uuid_v7", "ulid"] = "uuid"

    def __post_init__(self) -> None:
        for what, text in (("prefix", self.prefix), ("suffix", self.suffix)):
            if text is not None and _NAME_PART.fullmatch(text) is None:
                raise ValueError(
                    f"{what} {text!r} may not be part of a file's name. Use letters, digits, '-', '_', '.'"
                )

    def key_of(self, key: str, insert_id: str, epoch: int, number: int, now: float) -> str:
        """`key`, which a stager gave a file, with the name this strategy gives it.

        Args:
            key: folders, then a name that no other file has, then the format's ending.
            number: which file of its roll this is.
            now: Unix seconds; names of uuid_v7 and ulid sort by it.
        """
        folders, slash, name = key.rpartition("/")
        stem, dot, ending = name.partition(".")
        match self.strategy:
            case "serial":  # several INSERTs may write to one sink: each counts for itself
                stem = f"{insert_id[:8]}-{epoch:06d}-{number:03d}"
            case "uuid_v7":
                stem = str(_uuid_v7(int(now * 1000), key.encode()))
            case "ulid":
                stem = _ulid(int(now * 1000), key.encode())
        prefix = f"{self.prefix}-" if self.prefix else ""
        return f"{folders}{slash}{prefix}{stem}{f'.{self.suffix}' if self.suffix else f'{dot}{ending}'}"


def _uuid_v7(now_ms: int, seed: bytes) -> UUID:
    """Source: RFC 9562, section 5.7."""
    bits = int.from_bytes(sha256(seed).digest()[:10], "big")
    value = (now_ms & (1 << 48) - 1) << 80 | bits
    value = value & ~(0xF << 76) | 7 << 76
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)


def _ulid(now_ms: int, seed: bytes) -> str:
    """Source: the ULID specification (github.com/ulid/spec), "Canonical String Representation"."""
    value = (now_ms & (1 << 48) - 1) << 80 | int.from_bytes(sha256(seed).digest()[:10], "big")
    return "".join(ULID_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
