"""ReadableStream: locked by its reader, split in two, cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.runtime.core.body import Body
from edge.runtime.core.errors import BindingError
from edge.runtime.core.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def two_chunks(closed: list[bool]) -> AsyncIterator[bytes]:
    try:
        yield b"a"
        yield b"b"
    finally:
        closed.append(True)


def test_a_reader_locks_the_stream_until_it_lets_go() -> None:
    stream = ReadableStream(Body(b"x"))
    reader = stream.getReader()
    for use in (stream.getReader, stream.tee):
        with pytest.raises(BindingError, match=r"^TypeError: This ReadableStream is currently locked to a reader\.$"):
            use()
    reader.releaseLock()
    assert not stream.locked


async def test_tee_gives_two_streams_with_the_same_chunks() -> None:
    stream = ReadableStream(Body(chunks=two_chunks([])))
    assert await anext(stream) == b"a"
    one, two = stream.tee()
    assert [[chunk async for chunk in part] for part in (two, one)] == [[b"b"], [b"b"]]


async def test_cancel_closes_the_source() -> None:
    closed: list[bool] = []
    stream = ReadableStream(Body(chunks=two_chunks(closed)))
    await anext(stream)
    await stream.getReader().cancel("enough")
    assert closed == [True]
    assert [chunk async for chunk in stream] == []
