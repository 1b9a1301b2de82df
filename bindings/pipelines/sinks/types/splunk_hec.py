"""Splunk's HTTP Event Collector: rows as events. At least once.

HEC has no key to tell repeats by, so a crash between an answer and its note repeats one chunk. Every event carries the
indexed field `edge_offset`, `stream:partition:offset` (`:part` for more rows of one record), and a search drops repeats
by it: `... | dedup edge_offset`.

An answer says that events are in memory. With `acknowledgement = true` (Splunk Enterprise, tokens that have it on) the
sink waits until the indexer says they are on disk.
Source: Splunk docs, "Format events for HTTP Event Collector", "Troubleshoot HTTP Event Collector", "About HTTP Event
Collector Indexer Acknowledgment".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid5

import msgspec

from ..addresses import problem_of_url
from ..http_target import HttpTarget
from ..progress import publish_in_chunks
from ..row_staging import RowStager
from ..sink import Refused, SinkMisconfiguredError, SinkUnavailableError
from ..sink_config import config_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...objects import SinkObject
    from ..http_target import Answer
    from ..row_staging import Chunk, StagedRow
    from ..sink import Published, Roll, SinkSite, StagedFile

SECRETS = ("token",)
CHUNK_ROWS_MAX = 5_000
ACK_POLL_SECONDS = 1.0

MISCONFIGURED_CODES = frozenset({1, 2, 3, 4, 7, 10, 11, 14, 16, 21})
"""Token disabled, missing, malformed, unknown; index not permitted; channel or acknowledgement not as configured."""
REFUSED_CODES = frozenset({5, 6, 12, 13, 15})
"""No data, data in a wrong form, no event, a blank event, bad indexed fields: the rows are at fault."""


@dataclass(frozen=True, slots=True)
class Config:
    """`[sinks.NAME]` with `type = "splunk_hec"`."""

    url: str
    """Of the collector, as "https://splunk.example.com:8088"; the path is added."""
    token: str = field(repr=False)
    index: str | None = None
    """None: the token's own."""
    sourcetype: str | None = None
    source: str | None = None
    host: str | None = None
    acknowledgement: bool = False
    """Wait until the indexer has written the events."""
    acknowledgement_seconds: float = 120.0
    """How long to wait before the chunk is sent again."""
    chunk_bytes: int = 800 * 1024
    """Rows of one request, before gzip. Splunk's own limit (`max_content_length`) was 1 MB for long."""
    gzip: bool = True
    timeout_seconds: float = 30.0
    allow_private_network: bool = False
    """Let `url` be an address that is not on the public internet, as localhost."""

    def __post_init__(self) -> None:
        if problem := problem_of_url(self.url):
            raise ValueError(problem)


def open_sink(sink: SinkObject, site: SinkSite) -> SplunkHecSink:
    return SplunkHecSink(config_of(Config, sink), sink.id, site.host)


class SplunkHecSink:
    """The Sink."""

    promise: Literal["exactly once", "at least once"] = "at least once"

    def __init__(self, config: Config, sink_id: str, host: Any) -> None:
        self._config = config
        self._host = host
        self._channel = str(uuid5(UUID(sink_id), "channel"))
        headers = {"authorization": f"Splunk {config.token}", "content-type": "application/json"}
        if config.acknowledgement:
            headers["x-splunk-request-channel"] = self._channel
        self._target = HttpTarget(
            host,
            config.url,
            timeout_s=config.timeout_seconds,
            allow_private_network=config.allow_private_network,
            headers=headers,
            is_packed=config.gzip,
        )
        places = {"index": config.index, "sourcetype": config.sourcetype, "source": config.source, "host": config.host}
        self._places = msgspec.json.encode({name: value for name, value in places.items() if value is not None})

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> RowStager:
        return RowStager(folder, insert_id, epoch)

    async def publish(self, roll: Roll, folder: Path) -> Published:
        async def send(chunk: Chunk, _file: StagedFile) -> Sequence[Refused]:
            return await self._send([(row, self._event_of(row, roll.stream_id)) for row in chunk.rows])

        return await publish_in_chunks(roll, folder, send, bytes_max=self._config.chunk_bytes, rows_max=CHUNK_ROWS_MAX)

    async def aclose(self) -> None:
        """Nothing is held: connections are the host's."""

    async def _send(self, events: Sequence[tuple[StagedRow, bytes]]) -> list[Refused]:
        answer = await self._target.post("/services/collector/event", b"".join(text for _, text in events), {})
        said = _said_in(answer)
        if answer.is_ok and said.code == 0:
            if self._config.acknowledgement:
                await self._wait_for_ack(said)
            return []
        if said.code not in REFUSED_CODES and answer.status != 413:
            raise self._failure_of(answer, said)
        return await self._send_apart(events, answer.status, said)

    async def _send_apart(self, events: Sequence[tuple[StagedRow, bytes]], status: int, said: _Said) -> list[Refused]:
        """Events the collector refused as a whole. It may name the one at fault; those before it are sent again too,
        since it does not promise to have kept them."""
        if len(events) == 1:
            ((row, _),) = events
            kind = f"hec_{said.code}" if said.code is not None else f"http_{status}"
            return [Refused(row.partition, row.offset, kind, f"{self._target.name}: {said.text or status}", row.json)]
        bad = said.invalid_event_number
        if bad is not None and 0 <= bad < len(events):
            alone = await self._send_apart(events[bad : bad + 1], status, said)
            return alone + await self._send([*events[:bad], *events[bad + 1 :]])
        middle = len(events) // 2
        return await self._send(events[:middle]) + await self._send(events[middle:])

    async def _wait_for_ack(self, said: _Said) -> None:
        """Return once the indexer has written the events behind `said`."""
        if said.ack_id is None:
            msg = f"{self._target.name} gave no ackId. Turn indexer acknowledgement on for the token, or off here."
            raise SinkMisconfiguredError(msg)
        asked = msgspec.json.encode({"acks": [said.ack_id]})
        until = self._host.now() + self._config.acknowledgement_seconds
        while True:
            answer = await self._target.post(f"/services/collector/ack?channel={self._channel}", asked, {})
            status = _said_in(answer)
            if not answer.is_ok:
                raise self._failure_of(answer, status)
            if status.acks.get(str(said.ack_id)):
                return
            if self._host.now() >= until:
                msg = (
                    f"{self._target.name} did not acknowledge within {self._config.acknowledgement_seconds:g} seconds."
                )
                raise SinkUnavailableError(msg)
            await self._host.sleep(ACK_POLL_SECONDS)

    def _failure_of(self, answer: Answer, said: _Said) -> Exception:
        if said.code in MISCONFIGURED_CODES:
            msg = f"{self._target.name} says {said.text!r} (code {said.code}). Check the sink's token and settings."
            return SinkMisconfiguredError(msg)
        if answer.is_ok and said.code is None:
            msg = f"{self._target.name} did not answer as a collector does: {answer.shown!r}. Check the sink's url."
            return SinkMisconfiguredError(msg)
        failure = self._target.failure_of(answer)
        return failure or SinkUnavailableError(f"{self._target.name} says {said.text!r} (code {said.code}).")

    def _event_of(self, row: StagedRow, stream_id: str) -> bytes:
        seconds, micros = divmod(row.ingested_at_us, 1_000_000)
        places = b"," + self._places[1:-1] if len(self._places) > 2 else b""
        fields = f'{{"edge_offset":"{row.id_in(stream_id)}"}}'.encode()
        return b'{"time":%d.%06d%b,"event":%b,"fields":%b}' % (seconds, micros, places, row.json, fields)


class _Said(msgspec.Struct, frozen=True):
    """The collector's answer."""

    text: str = ""
    code: int | None = None
    invalid_event_number: int | None = msgspec.field(default=None, name="invalid-event-number")
    ack_id: int | None = msgspec.field(default=None, name="ackId")
    acks: dict[str, bool] = {}


def _said_in(answer: Answer) -> _Said:
    try:
        return msgspec.json.decode(answer.body, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Said()
