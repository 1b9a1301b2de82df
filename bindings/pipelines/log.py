"""The port: where a stream's records go. Each platform has one implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ...runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .records import Batch


class StreamLog(Protocol):
    """Durable, ordered per sender. Which records exist is never a matter of luck: a batch is whole or not there."""

    def append(self, batch: Batch) -> Awaitable[None]:
        """Keep the records; the result is there once they are durable.

        Batches appended one after another by one sender keep that order (locally; on AWS, Kinesis and Firehose
        promise none). An empty batch is never given.

        Raises:
            LogBusyError: too much is waiting to become durable; nothing was kept.
            BackendError: the storage failed; nothing was acknowledged. Safe to retry, may duplicate.
        """


class DamagedStreamError(BackendError):
    """Raised when what is kept of one stream cannot be trusted: that stream stops, the others run."""


class LogBusyError(BackendError):
    """Raised when records come faster than the storage takes them. Nothing was kept: send again a little later."""

    http_status = 429
