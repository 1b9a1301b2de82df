"""What steps return, as the journal keeps it, and back.

A value is one row's bytes. A stream is kept in pieces while the attempt that makes it runs, so it may be larger than a
value and than memory; it becomes the result with the row of its step, and every pass reads a fresh one. Both count
against the state that one instance may have.
Source: spec "Workflows", 3.2 and 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....runtime.core.body import Body
from ....runtime.core.edge_only import EdgeOnly
from ....runtime.core.errors import BindingError
from ....runtime.core.rpc_values import python_from_rpc, python_to_rpc
from ....runtime.core.streams import ReadableStream
from .. import values
from ..errors import WorkflowFatalError, raised
from ..journal.records import ChunkKey, StepState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from ..definition import Definition
    from ..journal.records import StepRecord

CHUNK_BYTES = 256 * 1024


class Results:
    """Of one pass."""

    def __init__(
        self,
        recorded: Iterable[StepRecord],
        definition: Definition,
        types: Iterable[type],
        put_chunk: Callable[[ChunkKey, bytes], Awaitable[object]],
        get_chunk: Callable[[ChunkKey], Awaitable[bytes | None]],
    ) -> None:
        """`types` are the user's own classes that may be stored."""
        self._definition = definition
        self._types = {cls.__name__: cls for cls in types}
        self._put_chunk = put_chunk
        self._get_chunk = get_chunk
        self._state_bytes = sum(_size_bytes(step.result) for step in recorded)

    def stored(self, record: StepRecord, returned: object) -> bytes:
        """A step's value for its row.

        Raises:
            WorkflowFatalError: it is too large, or the instance is with it.
            UnserialisableError: a function or a Response is in it.
            CyclicValueError: it contains itself.
            BindingError: "DataCloneError", something else that cannot be stored is in it.
            TypeError: a tuple or the like is in it, under `--compat strict`.
        """
        bytes_max = self._definition.result_bytes_max
        try:
            result = values.encode(self._sent(returned), bytes_max=bytes_max, types=self._types)
        except values.ValueTooLargeError as error:
            message = f"Step {_shown(record)} output is too large. Maximum allowed size is {amount(bytes_max)}."
            raise WorkflowFatalError(message) from error
        self._grow(record, len(result))
        return result

    def outcome(self, record: StepRecord) -> Any:
        """What user code gets of a step that is over.

        Raises:
            Exception: the step's error.
        """
        if record.state is StepState.FAILED:
            assert record.error is not None, "a failed step has its error"
            raise raised(record.error)
        assert record.result is not None, "a finished step has its result"
        found = values.decode(record.result, types=self._types)
        if isinstance(found, values.StoredStream):
            return StepStream(lambda: Body(chunks=self._chunks(record, found), size_bytes=found.size_bytes))
        return self.given(found)

    def given(self, value: Any) -> Any:
        """A value as it reaches user code: on Cloudflare its way from the engine leads through JavaScript."""
        return python_from_rpc(value) if self._definition.is_strict else value

    def returned(self, output: object) -> bytes:
        """What `run` returned, for the instance's row; raises what `values.encode` does."""
        return values.encode(self._sent(output), bytes_max=self._definition.result_bytes_max, types=self._types)

    async def stored_stream(self, record: StepRecord, stream: Any) -> bytes:
        """A step's stream for its row; its pieces are durable when this returns. Raises what `stored` does."""
        if not isinstance(stream, ReadableStream):
            EdgeOnly.ASYNC_ITERATOR.use()
        waiting = bytearray()
        count = size_bytes = 0

        async def put(content: bytes) -> None:
            nonlocal count, size_bytes
            self._grow(record, len(content))
            size_bytes += len(content)
            await self._put_chunk(ChunkKey(record.key, record.attempt, count), content)
            count += 1

        try:
            async for piece in stream:
                waiting += _checked(record, piece)
                while len(waiting) >= CHUNK_BYTES:
                    await put(bytes(waiting[:CHUNK_BYTES]))
                    del waiting[:CHUNK_BYTES]
            if waiting:
                await put(bytes(waiting))
        except BaseException:  # a timeout too: the next attempt begins from nothing
            self._state_bytes -= size_bytes
            raise
        return values.encode(values.StoredStream(record.attempt, count, size_bytes))

    def _sent(self, value: object) -> object:
        """A value as it leaves user code; the same way back."""
        return python_to_rpc(value) if self._definition.is_strict else value

    async def _chunks(self, record: StepRecord, stream: values.StoredStream) -> AsyncIterator[bytes]:
        for place in range(stream.chunk_count):
            content = await self._get_chunk(ChunkKey(record.key, stream.attempt, place))
            if content is None:
                raise BindingError(
                    f"The stream of step {_shown(record)} is gone: its instance was deleted or restarted."
                )
            yield content

    def _grow(self, record: StepRecord, size_bytes: int) -> None:
        bytes_max = self._definition.state_bytes_max
        if self._state_bytes + size_bytes > bytes_max:
            raise WorkflowFatalError(
                f"Step {_shown(record)} output takes the state of its instance over the limit of {amount(bytes_max)}."
            )
        self._state_bytes += size_bytes


class StepStream(ReadableStream):
    """A stream that a step returned."""

    __slots__ = ("_open",)

    def __init__(self, open_body: Callable[[], Body]) -> None:
        super().__init__(open_body())
        self._open = open_body

    def again(self) -> StepStream:
        """The same from its beginning, for another reader."""
        return StepStream(self._open)


def amount(size_bytes: int) -> str:
    """A limit as messages write it: "1MiB"."""
    for unit_bytes, unit in ((1024**3, "GiB"), (1024**2, "MiB")):
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return f"{size_bytes:,} bytes"


def _checked(record: StepRecord, piece: object) -> bytes | bytearray | memoryview:
    if not isinstance(piece, bytes | bytearray | memoryview):
        message = f"Step {_shown(record)} returned a stream of {type(piece).__name__}: a stream is of bytes."
        raise WorkflowFatalError(message)
    return piece


def _shown(record: StepRecord) -> str:
    return f"{record.key.name}-{record.key.occurrence}"


def _size_bytes(result: bytes | None) -> int:
    stream = None if result is None else values.stream_of(result)
    return len(result or b"") + (0 if stream is None else stream.size_bytes)
