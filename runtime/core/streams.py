"""ReadableStream: what `request.body` and `response.body` are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .body import Body
from .fetch_errors import JsTypeError
from .js_dict import JsDict
from .js_values import JsBuffer, JsConstructor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class ReadableStream:
    """The chunks of a body, as they arrive. `async for chunk in stream`: bytes, with `.to_bytes()` as in Pyodide.

    Reading it uses the body up: `text()` and the like then raise "Body already used".
    """

    __slots__ = ("_body", "_chunks", "locked")

    constructor = JsConstructor("ReadableStream")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._chunks: AsyncIterator[bytes] | None = None
        self.locked = False

    def __aiter__(self) -> ReadableStream:
        return self

    async def __anext__(self) -> JsBuffer:
        if self._chunks is None:
            self._chunks = self._body.chunks()
        return JsBuffer(await anext(self._chunks))

    def getReader(self) -> StreamReader:  # noqa: N802 - JavaScript's spelling
        """A reader; the stream is locked until it lets go."""
        if self.locked:
            raise JsTypeError("This ReadableStream is currently locked to a reader.")
        self.locked = True
        return StreamReader(self)

    def tee(self) -> list[ReadableStream]:
        """Two streams with the same chunks, in place of this one."""
        if self.locked:
            raise JsTypeError("This ReadableStream is currently locked to a reader.")
        first = self.take_body()
        return [ReadableStream(first), ReadableStream(first.tee())]

    async def cancel(self, _reason: Any = None) -> None:
        """Read no further; the source is closed."""
        if self._chunks is None:
            self._chunks = self._body.chunks()
        if hasattr(self._chunks, "aclose"):
            await self._chunks.aclose()

    def take_body(self) -> Body:
        """What is left of the body, for a new owner."""
        if self._chunks is None:
            return self._body.move()
        return Body(chunks=self._chunks)


class StreamReader:
    """`getReader()`: `await read()` gives `{done, value}`."""

    __slots__ = ("_stream",)

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream

    async def read(self) -> JsDict:
        try:
            return JsDict(done=False, value=await anext(self._stream))
        except StopAsyncIteration:
            return JsDict(done=True, value=None)

    def releaseLock(self) -> None:  # noqa: N802 - JavaScript's spelling
        self._stream.locked = False

    async def cancel(self, reason: Any = None) -> None:
        await self._stream.cancel(reason)
