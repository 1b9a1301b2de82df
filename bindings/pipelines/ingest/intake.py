"""The way of a request's records into the log, the same for every door and for `send`: gate, key, one frame, sync."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ....runtime.core.errors import BindingError
from ....runtime.core.request import client_address
from ..stream_log.frame_extra import KEY_CHARACTERS_MAX, FrameExtra
from .gate import Gate
from .idempotency import Answer, RequestKey
from .refusal import ForbiddenError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ....runtime.core.host import LocalHost
    from ....runtime.core.request import Request
    from ..objects import StreamObject
    from ..open_streams import OpenStream, OpenStreams
    from ..processing.processor import Processor
    from ..records import Batch
    from .gate import Parcel
    from .idempotency import IdempotencyKeys


USER_AGENT_CHARACTERS_MAX = 512
QUICK_BYTES = 16 * 1024
QUICK_RECORD_COUNT = 1000
"""A bad record takes 3.4 us to name (measured), so 5 MB of `{}` take 6 s: what may be more is looked at in a thread."""


class Client(NamedTuple):
    """Who sent a request, as far as its stream's steps want to know."""

    ip: str = ""
    user_agent: str = ""


class Sender(NamedTuple):
    """What a request says of itself beside its records."""

    source: str
    """The door: "ingest", "v1", "otlp"."""
    key: str = ""
    """Its Idempotency-Key, empty for none."""
    client: Client = Client()


class Intake:
    """Gates of the open streams, and the keys they share."""

    def __init__(
        self,
        host: LocalHost,
        keys: IdempotencyKeys,
        processor_of: Callable[[StreamObject], Processor | None] = lambda _: None,
    ) -> None:
        self._host = host
        self._keys = keys
        self._processor_of = processor_of
        self._gates: dict[str, Gate] = {}
        self._long_look = asyncio.Lock()

    def gate(self, stream: OpenStream) -> Gate:
        """The stream's gate; a new one when the stream was changed."""
        gate = self._gates.get(stream.object.id)
        if gate is None or (gate.known is not stream.object and gate.known != stream.object):
            gate = self._gates[stream.object.id] = Gate(self._host, stream, self._processor_of(stream.object))
        return gate

    async def pass_body(self, body: bytes, look: Callable[[bytes], Parcel], *, is_json: bool = True) -> Parcel:
        """What `look` makes of a request's body. Long ones leave the loop alone, one at a time: they share its lock
        (the interpreter's) and the memory that is for them.

        Args:
            is_json: its records can be counted by their braces.

        Raises:
            What `look` raises.
        """
        if len(body) <= QUICK_BYTES or (is_json and body.count(b"{") <= QUICK_RECORD_COUNT):
            return look(body)
        async with self._long_look:
            return await asyncio.to_thread(look, body)

    async def keep(self, stream: OpenStream, parcel: Parcel, sender: Sender, committed: int) -> Answer:
        """Write a parcel, whole or not at all; the answer is there once it is on disk.

        Args:
            committed: what to answer, and to answer again for the same key.

        Raises:
            BackendError: the log is busy, full or broken; nothing was acknowledged.
        """
        answer = Answer(committed, parcel.dropped_count)
        if sender.key:
            return await self._keep_once(stream, parcel, sender, answer)
        if parcel.record_count:
            extra = _plain_extra(sender.source, sender.client, parcel.schema_hash, parcel.dropped_count)
            await stream.append(parcel.body, parcel.record_count, is_lines=parcel.is_lines, extra=extra)
        return answer

    async def _keep_once(self, stream: OpenStream, parcel: Parcel, sender: Sender, answer: Answer) -> Answer:
        async def write() -> Answer:
            extra = FrameExtra(
                idempotency_key=sender.key,
                committed=answer.committed,
                dropped_count=answer.dropped_count,
                source=sender.source,
                schema_hash=parcel.schema_hash,
                ip=sender.client.ip,
                user_agent=sender.client.user_agent,
            )
            if parcel.record_count:
                await stream.append(parcel.body, parcel.record_count, is_lines=parcel.is_lines, extra=extra.encode())
            return answer

        return await self._keys.once(stream, RequestKey(stream.object.id, sender.source, sender.key), write)


class BoundStream:
    """StreamLog of a binding: what one `send` hands over becomes one frame."""

    def __init__(self, intake: Intake, streams: OpenStreams, stream: OpenStream, id_or_name: str) -> None:
        """Write to `stream`, which is open; to the next one of that id or name when it was deleted."""
        self._intake = intake
        self._streams = streams
        self._stream = stream
        self._id_or_name = id_or_name

    def append(self, batch: Batch) -> Awaitable[None]:
        """See StreamLog.

        Raises:
            TooManyRequestsError, InvalidRecordsError, ForbiddenError: as over HTTP; nothing was kept.
            DeletedStreamError: there is no such stream any more.
        """
        stream = self._stream
        if self._streams.has_deleted(stream):
            return self._append_to_next(batch)
        if not stream.object.worker_binding:
            raise ForbiddenError(f'Stream "{stream.object.name}" takes no records from bindings (worker_binding).')
        gate = self._intake.gate(stream)
        gate.admit(len(batch.lines))
        parcel = gate.pass_lines(batch.lines, batch.count)
        extra = _plain_extra("", Client(), parcel.schema_hash, parcel.dropped_count)
        return stream.append(parcel.body, parcel.record_count, is_lines=True, extra=extra)

    async def _append_to_next(self, batch: Batch) -> None:
        stream = await self._streams.find(self._id_or_name)
        if stream is None or stream.is_deleted:
            raise DeletedStreamError(self._stream.object.name)
        self._stream = stream
        await self.append(batch)


class DeletedStreamError(BindingError):
    """Raised for records sent to a stream that was deleted while its binding was in use. Nothing was kept."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'Stream "{name}" was deleted, so nothing was kept. Make it again: edge streams create {name}. '
            f"A restart makes it anew too, as the config binds it.",
            http_status=404,
        )


def client_of(gate: Gate, request: Request) -> Client:
    """What a frame of this stream keeps of the client: nothing, unless a step wants it."""
    if not gate.keeps_client:
        return Client()
    return Client(client_address(request), (request.headers.get("user-agent") or "")[:USER_AGENT_CHARACTERS_MAX])


def require_key(text: str | None) -> str:
    """The Idempotency-Key of a request; empty when it has none.

    Raises:
        InvalidRequestError: it is empty, too long, or not printable ASCII.
    """
    if text is None:
        return ""
    if not text or len(text) > KEY_CHARACTERS_MAX or not (text.isascii() and text.isprintable()):
        raise InvalidRequestError(f"Idempotency-Key must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters.")
    return text


@lru_cache(maxsize=1024)
def _plain_extra(source: str, client: Client, schema_hash: str, dropped_count: int) -> bytes:
    extra = FrameExtra(
        source=source, schema_hash=schema_hash, dropped_count=dropped_count, ip=client.ip, user_agent=client.user_agent
    )
    return extra.encode()
