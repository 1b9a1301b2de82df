"""A body: bytes, whole or in chunks, that can be read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator


class Body:
    """Bytes that are read once. `size_bytes` is None when the length is not known before the end."""

    __slots__ = ("_chunks", "_whole", "is_used", "size_bytes")

    def __init__(
        self, whole: bytes | None = None, *, chunks: AsyncIterable[bytes] | None = None, size_bytes: int | None = None
    ) -> None:
        self._whole = whole
        self._chunks = chunks
        self.is_used = False
        self.size_bytes = len(whole) if whole is not None else size_bytes

    @property
    def whole(self) -> bytes | None:
        """The bytes, when they are all here and unread; a doorway then writes them in one go."""
        return None if self.is_used else self._whole

    async def read(self) -> bytes:
        """All bytes.

        Raises:
            OSError: "Body already used".
        """
        self._use()
        if self._whole is not None:
            return self._whole
        assert self._chunks is not None, "a body is whole or in chunks"
        return b"".join([chunk async for chunk in self._chunks])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come.

        Raises:
            OSError: "Body already used".
        """
        self._use()
        if self._whole is not None:
            if self._whole:
                yield self._whole
            return
        assert self._chunks is not None, "a body is whole or in chunks"
        async for chunk in self._chunks:
            yield chunk

    def _use(self) -> None:
        if self.is_used:
            raise OSError("Body already used")
        self.is_used = True
