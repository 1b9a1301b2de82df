"""A body: bytes, whole or in chunks, that can be read once, and split in two before that."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .errors import BindingError
from .fetch_errors import BodyUsedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

TEE_BYTES_MAX = 128 * 1024 * 1024
"""How far one copy of a streamed body may run ahead of the other: the memory a Worker has on Cloudflare."""


class Body:
    """Bytes that are read once. `size_bytes` is None when the length is not known before the end.

    `is_answered` says that a handler returned it: then it belongs to the doorway that sends it.
    """

    __slots__ = ("_chunks", "_whole", "is_answered", "is_used", "size_bytes")

    def __init__(
        self, whole: bytes | None = None, *, chunks: AsyncIterable[bytes] | None = None, size_bytes: int | None = None
    ) -> None:
        self._whole = whole
        self._chunks = chunks
        self.is_used = False
        self.is_answered = False
        self.size_bytes = len(whole) if whole is not None else size_bytes

    @property
    def whole(self) -> bytes | None:
        """The bytes, when they are all here and unread; a doorway then writes them in one go."""
        return None if self.is_used else self._whole

    async def read(self) -> bytes:
        """All bytes.

        Raises:
            BodyUsedError: read before; an OSError.
        """
        self._use()
        if self._whole is not None:
            return self._whole
        assert self._chunks is not None, "a body is whole or in chunks"
        return b"".join([chunk async for chunk in self._chunks])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come; leaving early closes their source.

        Raises:
            BodyUsedError: read before; an OSError.
        """
        self._use()
        if self._whole is not None:
            if self._whole:
                yield self._whole
            return
        assert self._chunks is not None, "a body is whole or in chunks"
        source = aiter(self._chunks)
        try:
            async for chunk in source:
                yield chunk
        finally:
            if hasattr(source, "aclose"):
                await source.aclose()

    def tee(self) -> Body:
        """A second body with the same bytes; both can be read, in any order.

        Raises:
            BodyUsedError: read before.
        """
        if self.is_used:
            raise BodyUsedError
        if self._whole is not None:
            return Body(self._whole)
        assert self._chunks is not None, "a body is whole or in chunks"
        source = _Tee(self._chunks)
        self._chunks, other = source.branches()
        return Body(chunks=other, size_bytes=self.size_bytes)

    def move(self) -> Body:
        """The same bytes for another owner; this body counts as used.

        Raises:
            BodyUsedError: read before.
        """
        self._use()
        moved = Body(self._whole, chunks=self._chunks, size_bytes=self.size_bytes)
        self._whole = self._chunks = None
        return moved

    def _use(self) -> None:
        if self.is_used:
            raise BodyUsedError
        self.is_used = True


class _Tee:
    """One source, two branches. A chunk that one branch has read waits for the other, unless nobody holds that one."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        from asyncio import Lock  # noqa: PLC0415 - the model loads no asyncio; whoever streams has a loop

        self._source = aiter(chunks)
        self._lock = Lock()
        self._end: BaseException | None = None

    def branches(self) -> tuple[_Branch, _Branch]:
        first, second = _Branch(self), _Branch(self)
        first.other, second.other = second.waiting, first.waiting
        return first, second

    async def next_chunk(self, branch: _Branch) -> bytes:
        async with self._lock:
            if branch.waiting.chunks:  # the other branch read it meanwhile
                return branch.waiting.take()
            if self._end is None:
                try:
                    chunk = await anext(self._source)
                except Exception as end:  # noqa: BLE001 - kept, and raised in both branches
                    self._end = end
                else:
                    branch.other.put(chunk)
                    return chunk
            raise self._end


class _Waiting:
    """What a branch has not read yet."""

    __slots__ = ("chunks", "is_held", "size_bytes")

    def __init__(self) -> None:
        self.chunks: deque[bytes] = deque()
        self.size_bytes = 0
        self.is_held = True

    def put(self, chunk: bytes) -> None:
        if not self.is_held:
            return
        self.size_bytes += len(chunk)
        if self.size_bytes > TEE_BYTES_MAX:
            msg = (
                f"The clone of a streamed body fell {self.size_bytes} bytes behind, over the limit of {TEE_BYTES_MAX}. "
                "Read both copies side by side, or clone only what is small."
            )
            raise BindingError(msg, name="RangeError")
        self.chunks.append(chunk)

    def take(self) -> bytes:
        chunk = self.chunks.popleft()
        self.size_bytes -= len(chunk)
        return chunk

    def let_go(self) -> None:
        self.is_held = False
        self.chunks.clear()


class _Branch:
    __slots__ = ("_tee", "other", "waiting")

    other: _Waiting

    def __init__(self, tee: _Tee) -> None:
        self._tee = tee
        self.waiting = _Waiting()

    def __aiter__(self) -> _Branch:
        return self

    async def __anext__(self) -> bytes:
        if self.waiting.chunks:
            return self.waiting.take()
        return await self._tee.next_chunk(self)

    def __del__(self) -> None:
        self.waiting.let_go()
