"""Streams on Amazon Data Firehose, or on Kinesis Data Streams with `[aws] stream = "kinesis"`."""

from __future__ import annotations

import re
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ...runtime.core.errors import BackendError, ConfigError
from ...runtime.core.host import AwsError
from ..spec import Opened
from .blobs import cut_blobs
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from ...runtime.core.host import AwsHost
    from ...wrangler_config.worker_config import WorkerConfig
    from ..spec import Site
    from . import PipelineEntry
    from .blobs import Blob
    from .records import Batch

SEND_SECONDS_MAX = 10.0
"""How long entries that AWS refused are tried again. Source: spec "Pipelines" 5.5, a send never blocks longer."""
PAUSE_SECONDS_FIRST = 0.05
PAUSE_SECONDS_MAX = 2.0
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Service:
    """How one managed stream is called. Limits: spec "AWS", section 7; AWS API references."""

    name: str
    operation: str
    stream_key: str
    answers_key: str
    entries_per_call_max: int
    call_bytes_max: int
    record_bytes_max: int
    has_partition_key: bool


FIREHOSE = Service(
    "firehose", "PutRecordBatch", "DeliveryStreamName", "RequestResponses", 500, 4_000_000, 1_000 * 1024, False
)
KINESIS = Service("kinesis", "PutRecords", "StreamName", "Records", 500, 10 * 1024 * 1024, 10 * 1024 * 1024, True)


@asynccontextmanager
async def open_binding(entries: Sequence[PipelineEntry], site: Site) -> AsyncIterator[Opened]:
    """Bind each entry to its managed stream, which must exist. Nothing is called before the first `send`.

    Raises:
        ConfigError: a name AWS does not allow.
    """
    service = KINESIS if site.config.settings.aws.stream == "kinesis" else FIREHOSE
    logs = {
        entry.binding: ManagedStreamLog(service, managed_name(entry, site.config), entry.stream_id, site.host)
        for entry in entries
    }
    yield Opened(
        env={name: Stream(log) for name, log in logs.items()},
        resources={name: f"{service.name} {log.managed_name}" for name, log in logs.items()},
    )


def managed_name(entry: PipelineEntry, config: WorkerConfig) -> str:
    """What the stream is called on AWS: `[aws] stream_names`, by binding or stream, else edge-<worker>-<env>-<stream>.

    Raises:
        ConfigError: AWS does not allow the name.
    """
    names = config.settings.aws.stream_names
    name = names.get(entry.binding) or names.get(entry.stream_id) or config.aws_name(entry.stream_id)
    if not _NAME.fullmatch(name):
        msg = (
            f"pipelines: the stream of {entry.binding} would be called {name!r} on AWS, which allows 1 to 64 letters, "
            f'digits, "_", "." and "-". Set another name in edge.toml: [aws.stream_names] {entry.binding} = "..."'
        )
        raise ConfigError(msg)
    return name


class ManagedStreamLog:
    """StreamLog on Firehose or Kinesis: one send is one blob, or a few.

    A blob has an identity (producer, sequence, part), so a consumer can drop the repeat that a retry after a time-out
    leaves.
    """

    def __init__(self, service: Service, managed_name: str, stream: str, host: AwsHost) -> None:
        self.managed_name = managed_name
        self._service = service
        self._stream = stream
        self._host = host
        self._producer = host.new_id()
        self._sequence = 0

    async def append(self, batch: Batch) -> None:
        """See StreamLog. Entries that AWS refuses inside a good answer are tried again alone, with full jitter.

        Raises:
            BindingError: a record is too large for AWS; nothing was sent.
            BackendError: some records were not accepted; the text names them by index.
        """
        self._sequence += 1
        waiting = cut_blobs(
            batch,
            stream=self._stream,
            producer=self._producer,
            sequence=self._sequence,
            record_bytes_max=self._service.record_bytes_max,
        )
        give_up_at = self._host.now() + SEND_SECONDS_MAX
        pause_max_s = PAUSE_SECONDS_FIRST
        while True:
            waiting, reason = await self._put(waiting)
            if not waiting:
                return
            pause_s = self._jitter(pause_max_s)
            if self._host.now() + pause_s >= give_up_at:
                raise self._refusal(waiting, reason)
            await self._host.sleep(pause_s)
            pause_max_s = min(pause_max_s * 2, PAUSE_SECONDS_MAX)

    async def _put(self, blobs: list[Blob]) -> tuple[list[Blob], str]:
        """Put every blob once; returns those that were refused, and AWS's word for why."""
        refused: list[Blob] = []
        reason = ""
        for call in self._calls(blobs):
            answers = await self._call(call)
            for blob, answer in zip(call, answers, strict=True):
                if answer.get("ErrorCode"):
                    refused.append(blob)
                    reason = answer["ErrorCode"]
        return refused, reason

    async def _call(self, blobs: list[Blob]) -> list[dict[str, Any]]:
        entries: list[dict[str, str]] = [{"Data": b64encode(blob.data).decode()} for blob in blobs]
        if self._service.has_partition_key:
            for entry, blob in zip(entries, blobs, strict=True):
                entry["PartitionKey"] = blob.key
        payload = {self._service.stream_key: self.managed_name, "Records": entries}
        try:
            result = await self._host.client(self._service.name).call(self._service.operation, payload)
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                msg = (
                    f"There is no {self._service.name} stream {self.managed_name!r} on AWS. Create it, "
                    f"or name another one in edge.toml under [aws.stream_names]."
                )
            elif error.code == "AccessDeniedException":
                action = f"{self._service.name}:{self._service.operation}"
                msg = f"The stream {self.managed_name!r} may not be used. Allow this function {action} on it."
            else:
                raise
            raise BackendError(msg) from error
        answers: list[dict[str, Any]] = result[self._service.answers_key]
        return answers

    def _calls(self, blobs: list[Blob]) -> Iterator[list[Blob]]:
        call: list[Blob] = []
        size_bytes = 0
        for blob in blobs:
            is_full = len(call) == self._service.entries_per_call_max
            if call and (is_full or size_bytes + len(blob.data) > self._service.call_bytes_max):
                yield call
                call, size_bytes = [], 0
            call.append(blob)
            size_bytes += len(blob.data)
        yield call

    def _jitter(self, seconds_max: float) -> float:
        """Full jitter: anywhere between nothing and `seconds_max`."""
        return seconds_max * crc32(self._host.new_id().encode()) / 0xFFFFFFFF

    def _refusal(self, blobs: list[Blob], reason: str) -> BackendError:
        ranges = (
            f"{blob.first_index}-{last}"
            if (last := blob.first_index + blob.header.count - 1) > blob.first_index
            else f"{last}"
            for blob in blobs
        )
        return BackendError(
            f"{self._service.name} stream {self.managed_name!r} did not accept the records {', '.join(ranges)} within "
            f"{SEND_SECONDS_MAX:g} s ({reason}). The others of this send are kept; send these again."
        )
