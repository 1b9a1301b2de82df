"""One `send` as few large records of a managed stream: newline-delimited JSON behind one header line.

Managed streams charge and limit by the record (Firehose rounds each up to 5 KB), so a send travels as one blob, cut
between records. A blob's first line says what follows:

    {"_edge":{"stream":"flights","producer":"5f2c...","sequence":7,"part":0,"parts":1,"count":100}}

and `count` lines follow, one record each. Firehose glues blobs together into objects that stay plain NDJSON: a reader
that knows nothing of Edge skips rows with `_edge` (`WHERE _edge IS NULL`), one that does drops a repeat of (producer,
sequence, part), which a retry after a time-out may leave.

Pure: bytes in, bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ...runtime.core.errors import BindingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .records import Batch

BLOB_BYTES = 900_000
"""Where a send is cut. Source: spec "AWS", section 7."""
HEADER_BYTES_MAX = 1_000
"""Room for the header line when a single record is as large as the service takes."""


class BlobHeader(msgspec.Struct, frozen=True):
    """What a consumer needs to tell blobs apart. `sequence` counts a producer's sends, from 1."""

    stream: str
    producer: str
    sequence: int
    part: int
    parts: int
    count: int


class _Envelope(msgspec.Struct, frozen=True):
    header: BlobHeader = msgspec.field(name="_edge")


@dataclass(frozen=True, slots=True)
class Blob:
    """One record for the managed stream."""

    header: BlobHeader
    first_index: int
    """Index in the send of the blob's first record."""
    data: bytes

    @property
    def key(self) -> str:
        """Unique to this blob, the same on a retry; spreads blobs over shards."""
        return f"{self.header.producer}-{self.header.sequence}-{self.header.part}"


def cut_blobs(batch: Batch, *, stream: str, producer: str, sequence: int, record_bytes_max: int) -> list[Blob]:
    """The batch as blobs of at most BLOB_BYTES, or of one larger record.

    Raises:
        BindingError: one record is larger than the service takes (413).
    """
    pieces = list(_pieces(batch.lines))
    blobs: list[Blob] = []
    first_index = 0
    for part, piece in enumerate(pieces):
        count = piece.count(b"\n")
        if len(piece) > BLOB_BYTES and len(piece) + HEADER_BYTES_MAX > record_bytes_max:
            msg = (
                f"Record {first_index} is {len(piece) - 1:,} bytes as JSON; on AWS one record may have at most "
                f"{record_bytes_max - HEADER_BYTES_MAX:,}. Nothing was sent. Send a smaller record."
            )
            raise BindingError(msg, name="RangeError", http_status=413)
        header = BlobHeader(stream, producer, sequence, part, len(pieces), count)
        blobs.append(Blob(header, first_index, msgspec.json.encode(_Envelope(header)) + b"\n" + piece))
        first_index += count
    return blobs


def read_blobs(data: bytes) -> Iterator[tuple[BlobHeader, list[bytes]]]:
    """Each blob in `data` (one record of the stream, or an object that Firehose wrote): header and JSON records.

    Raises:
        msgspec.DecodeError: `data` is not blobs end to end.
    """
    lines = iter(data.splitlines())
    for line in lines:
        header = msgspec.json.decode(line, type=_Envelope).header
        yield header, [next(lines) for _ in range(header.count)]


def _pieces(lines: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(lines):
        end = start + BLOB_BYTES - HEADER_BYTES_MAX
        if end < len(lines):
            end = lines.rfind(b"\n", start, end) + 1 or lines.index(b"\n", start) + 1
        yield lines[start:end]
        start = min(end, len(lines))
