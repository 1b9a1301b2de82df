"""A request's body, unpacked and bounded: no sender can make it take more memory than the limit it is read with.

A packed body is unpacked piece by piece, and given up at the first piece beyond the limit; one that grows by more than
RATIO_MAX is a bomb, not a message.
"""

from __future__ import annotations

import asyncio
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from ....runtime.core.request import wire_request_body
from .refusal import InvalidRequestError, TooLargeError, UnsupportedEncodingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ....runtime.core.request import Request

PIECE_BYTES = 64 * 1024
RATIO_MAX = 1000
"""Unpacked to packed; asked from RATIO_FROM_BYTES on, since equal records pack very well."""
RATIO_FROM_BYTES = 1024 * 1024
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""Of zstd: what its decoder may hold. The most a decoder has to support. Source: RFC 9659, 3."""
THREAD_BYTES = 16 * 1024
"""A packed body larger than this is unpacked in a thread."""


async def read_body(request: Request, encoding: str | None, bytes_max: int) -> bytes:
    """The body's bytes, unpacked as Content-Encoding says.

    Raises:
        TooLargeError: more than `bytes_max`, packed or unpacked. UnsupportedEncodingError, InvalidRequestError.
        RefusedError: the server's own limits; OSError: the client left.
    """
    body = wire_request_body(request)
    if body is None:
        return b""
    if body.size_bytes is not None and body.size_bytes > bytes_max:
        raise TooLargeError(bytes_max)
    packed = body.whole
    if packed is None:
        parts, size_bytes = [], 0
        async for chunk in body.chunks():
            size_bytes += len(chunk)
            if size_bytes > bytes_max:
                raise TooLargeError(bytes_max)
            parts.append(chunk)
        packed = b"".join(parts)
    if encoding is None:
        return packed
    unpack = _unpacker(encoding)
    if len(packed) <= THREAD_BYTES:
        return _bounded(unpack, packed, bytes_max)
    return await asyncio.to_thread(_bounded, unpack, packed, bytes_max)


def _unpacker(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    name = encoding.strip().lower()
    if name not in _UNPACKERS:
        msg = f"Content-Encoding {encoding[:40]!r} is not read here. Send gzip, deflate, zstd, or no encoding."
        raise UnsupportedEncodingError(msg)
    return _UNPACKERS[name]


def _bounded(unpack: Callable[[bytes], Iterator[bytes]], packed: bytes, bytes_max: int) -> bytes:
    pieces, size_bytes = [], 0
    for piece in unpack(packed):
        size_bytes += len(piece)
        if size_bytes > bytes_max:
            raise TooLargeError(bytes_max)
        if size_bytes > RATIO_FROM_BYTES and size_bytes > RATIO_MAX * len(packed):
            raise InvalidRequestError(f"The body unpacks to more than {RATIO_MAX} times its size. Send it plain.")
        pieces.append(piece)
    return b"".join(pieces)


def _identity(packed: bytes) -> Iterator[bytes]:
    yield packed


def _gzip(packed: bytes) -> Iterator[bytes]:
    return _zlib_members(packed, 16 + zlib.MAX_WBITS)


def _deflate(packed: bytes) -> Iterator[bytes]:
    return _zlib_members(packed, zlib.MAX_WBITS)


def _zlib_members(packed: bytes, window_bits: int) -> Iterator[bytes]:
    """Pieces of every member: gzip allows several in a row."""
    at = 0
    view = memoryview(packed)
    while at < len(packed):
        member = zlib.decompressobj(window_bits)
        waiting: bytes | memoryview = b""
        while not member.eof:
            if not waiting:
                waiting = view[at : at + PIECE_BYTES]
                at += len(waiting)
                if not waiting:
                    raise InvalidRequestError("The packed body ends too early.")
            try:
                piece = member.decompress(waiting, PIECE_BYTES)
            except zlib.error as error:
                raise InvalidRequestError(f"The packed body cannot be unpacked: {error}.") from error
            waiting = member.unconsumed_tail
            if piece:
                yield piece
        at -= len(member.unused_data)


def _zstd(packed: bytes) -> Iterator[bytes]:
    try:
        import zstandard  # noqa: PLC0415 - only for who sends zstd
    except ImportError as error:
        msg = "zstd bodies need a library that is not installed: pip install 'edge-workers[pipelines]'."
        raise UnsupportedEncodingError(msg) from error
    source = BytesIO(packed)
    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    try:
        with unpacker.stream_reader(source, read_across_frames=True, closefd=False) as reader:
            while piece := reader.read(PIECE_BYTES):
                yield piece
    except zstandard.ZstdError as error:
        raise InvalidRequestError(f"The packed body cannot be unpacked: {error}.") from error


_UNPACKERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "identity": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
