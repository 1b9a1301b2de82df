"""What the handler holds: `env.STREAM`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .records import RecordTypeError, encode_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .log import StreamLog


class Stream:
    """A stream to send records to. Truthy, not iterable, and `STREAM["send"]` is `STREAM.send`, as on Cloudflare.

    Source: Cloudflare docs, Pipelines "Writing to streams"; workers-runtime-sdk, `_BindingWrapper`.
    """

    __slots__ = ("_log",)
    __iter__: ClassVar[None] = None

    def __init__(self, log: StreamLog) -> None:
        self._log = log

    async def send(self, records: Sequence[Any]) -> None:
        """Hand records to the stream; returns once all of them are durably accepted.

        Args:
            records: a list of JSON values, at most BATCH_BYTES_MAX (5 MB) as a JSON array and nested at most
                DEPTH_MAX (64) deep; order is kept. An empty list is accepted and writes nothing.
                Integers keep every digit; a datetime travels as JavaScript's Date does, an int key as its text.

        Raises:
            BindingError: a record cannot be sent, or the batch is too large (`http_status` 413). Nothing was written.
                For a value of a wrong type it is a TypeError too. The text names the record and the path.
            BackendError: the storage failed; nothing was acknowledged. Safe to retry, may duplicate.
                With `http_status` 429 nothing was written: too much is waiting for the disk.
        """
        if type(records) is not list:
            kind = type(records)
            if kind in {tuple, bytearray}:
                raise RecordTypeError(f"{kind} cannot be sent over RPC. send() takes a list of records.")
            raise RecordTypeError(
                f"send() takes a list of records, got {kind.__name__}. Wrap one record: send([record])."
            )
        if records:
            batch = encode_records(records)
            # While it waits for the disk a send holds its bytes only: with 64 senders of 100 records, keeping their
            # objects alive too cost two thirds of the throughput in cache misses and garbage collection (measured).
            del records
            await self._log.append(batch)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __repr__(self) -> str:
        return "<Stream>"
