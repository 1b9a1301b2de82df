"""Elasticsearch and OpenSearch: rows as documents, exactly once per index.

Each row is a bulk `create` whose `_id` is its position: `stream:partition:offset`, with `:part` behind it for the
second and later rows of one record. After a crash the same documents are sent again, and a 409 says that one is there
already: success. An id is unique within one index only, so the index is named after the row's ingest date, which never
changes, and not after today.

Two things follow. Two INSERTs that send the same record to one index leave one document, the first: give each its own
sink and index. And a data stream that rolls over between a crash and the retry takes a document twice, since the new
backing index does not know the old one's ids.

Of a bulk answer only the items that were not taken are handled again: 429 and 5xx items are sent again alone, documents
the mapping refuses (400) go to the dead letters, and an item that says the index or the credentials are wrong stops the
sink until a person looks.
Source: Elasticsearch API docs, "Bulk"; OpenSearch docs, "Bulk".
"""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

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

SECRETS = ("password", "api_key")
ITEM_TRIES_MAX = 5
"""How often one publish sends items that were answered 429 or 5xx; then the whole sink waits."""
ITEM_WAIT_SECONDS = 0.5
"""Before the second try; doubled each time."""
CHUNK_ROWS_MAX = 10_000
TIMESTAMP = "@timestamp"


@dataclass(frozen=True, slots=True)
class Config:
    """`[sinks.NAME]` with `type = "elasticsearch"`."""

    url: str
    """Of the cluster, as "https://search.example.com:9200"."""
    index: str
    """Index or data stream. A time pattern (strftime) is filled with the row's ingest date, UTC: "flights-%Y.%m.%d"."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    """Encoded, as the server gives it. Instead of username and password."""
    timestamp: bool = False
    """Add the ingest time as `@timestamp` to rows without one. A data stream needs it."""
    pipeline: str | None = None
    """Ingest pipeline of the cluster."""
    chunk_bytes: int = 5 * 1024 * 1024
    """Rows of one bulk request, before gzip."""
    gzip: bool = True
    timeout_seconds: float = 60.0
    allow_private_network: bool = False
    """Let `url` be an address that is not on the public internet, as localhost."""

    def __post_init__(self) -> None:
        if problem := problem_of_url(self.url):
            raise ValueError(problem)
        if self.api_key is not None and (self.username is not None or self.password is not None):
            raise ValueError("api_key stands instead of username and password; leave one of them out.")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together; one of them is missing.")


def open_sink(sink: SinkObject, site: SinkSite) -> ElasticsearchSink:
    return ElasticsearchSink(config_of(Config, sink), site.host)


class ElasticsearchSink:
    """The Sink."""

    promise: Literal["exactly once", "at least once"] = "exactly once"

    def __init__(self, config: Config, host: Any) -> None:
        self._config = config
        self._host = host
        self._target = HttpTarget(
            host,
            config.url,
            timeout_s=config.timeout_seconds,
            allow_private_network=config.allow_private_network,
            headers={"content-type": "application/x-ndjson", **_authorization(config)},
            is_packed=config.gzip,
        )
        query = f"pipeline={quote(config.pipeline)}&" if config.pipeline else ""
        self._path = f"/_bulk?{query}filter_path={_FILTER}"

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> RowStager:
        return RowStager(folder, insert_id, epoch)

    async def publish(self, roll: Roll, folder: Path) -> Published:
        async def send(chunk: Chunk, file: StagedFile) -> Sequence[Refused]:
            adds_time = self._config.timestamp and TIMESTAMP not in file.facts["columns"]
            return await self._send(await asyncio.to_thread(self._documents_of, chunk, roll.stream_id, adds_time))

        return await publish_in_chunks(roll, folder, send, bytes_max=self._config.chunk_bytes, rows_max=CHUNK_ROWS_MAX)

    async def aclose(self) -> None:
        """Nothing is held: connections are the host's."""

    def _documents_of(self, chunk: Chunk, stream_id: str, adds_time: bool) -> list[_Document]:
        return [_Document.of(row, stream_id, self._config.index, adds_time) for row in chunk.rows]

    async def _send(self, documents: Sequence[_Document]) -> list[Refused]:
        """Have every document taken or refused."""
        refused: list[Refused] = []
        for attempt in range(ITEM_TRIES_MAX):
            if attempt:
                await self._host.sleep(ITEM_WAIT_SECONDS * 2 ** (attempt - 1))
            answer = await self._target.post(self._path, b"".join(d.lines for d in documents), {})
            if answer.status == 413:
                return refused + await self._send_halves(documents)
            if failure := self._target.failure_of(answer):
                raise failure
            again: list[_Document] = []
            why = ""
            for document, item in zip(documents, _items_of(answer, len(documents), self._target.name), strict=True):
                match _verdict(item):
                    case "again":
                        again.append(document)
                        why = item.error.type
                    case "refused":
                        refused.append(document.refused(item))
                    case "misconfigured":
                        msg = f"{self._target.name} refused a document for {document.index}: {item.error.shown}"
                        raise SinkMisconfiguredError(msg)
            if not again:
                return refused
            documents = again
        msg = f"{self._target.name} did not take {len(documents)} documents in {ITEM_TRIES_MAX} tries: {why}."
        raise SinkUnavailableError(msg)

    async def _send_halves(self, documents: Sequence[_Document]) -> list[Refused]:
        if len(documents) == 1:
            too_large = _Item(413, _Error("request_too_large"))
            return [documents[0].refused(too_large)]
        middle = len(documents) // 2
        return await self._send(documents[:middle]) + await self._send(documents[middle:])


@dataclass(frozen=True, slots=True)
class _Document:
    row: StagedRow
    index: str
    lines: bytes
    """Action and source, as the bulk request has them."""

    @classmethod
    def of(cls, row: StagedRow, stream_id: str, pattern: str, adds_time: bool) -> _Document:
        ingested_at = _EPOCH + timedelta(microseconds=row.ingested_at_us)
        index = ingested_at.strftime(pattern) if "%" in pattern else pattern
        action = _encode({"create": {"_index": index, "_id": row.id_in(stream_id)}})
        source = row.json_with(b'"%b":%b' % (TIMESTAMP.encode(), _encode(ingested_at))) if adds_time else row.json
        return cls(row, index, b"%b\n%b\n" % (action, source))

    def refused(self, item: _Item) -> Refused:
        return Refused(self.row.partition, self.row.offset, item.error.type, item.error.shown, self.row.json)


class _Error(msgspec.Struct, frozen=True):
    type: str = "unknown"
    reason: str = ""

    @property
    def shown(self) -> str:
        """The kind and the field: the reason itself quotes the record's value."""
        named = _FIELD.search(self.reason)
        return f"{self.type} at field {named[1]}" if named else self.type


class _Item(msgspec.Struct, frozen=True):
    status: int
    error: _Error = _Error()


class _Bulk(msgspec.Struct, frozen=True):
    items: tuple[dict[str, _Item], ...] = ()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELD = re.compile(r"field \[([^\]]{1,200})\]")
_FILTER = "items.*.status,items.*.error.type,items.*.error.reason"
"""What is needed of an answer; without it each item repeats index, id and shards."""
_ABOUT_THE_INDEX = frozenset(
    {
        "index_closed_exception",
        "index_not_found_exception",
        "invalid_index_name_exception",
        "security_exception",
        "validation_exception",
    }
)
"""Errors of items that no other document would escape. Source: elastic/elasticsearch, ElasticsearchException.java."""
_encode = msgspec.json.Encoder().encode


def _verdict(item: _Item) -> Literal["taken", "again", "refused", "misconfigured"]:
    if item.status <= 299 or item.status == 409:
        return "taken"
    if item.status == 429 or item.status >= 500 or item.error.type == "cluster_block_exception":
        return "again"
    if item.status in {401, 403, 404} or item.error.type in _ABOUT_THE_INDEX:
        return "misconfigured"
    return "refused"


def _items_of(answer: Answer, count: int, name: str) -> list[_Item]:
    """One item for each document, in their order."""
    try:
        items = [next(iter(item.values())) for item in msgspec.json.decode(answer.body, type=_Bulk).items]
    except (msgspec.DecodeError, StopIteration):
        items = []
    if len(items) != count:
        msg = f"{name} did not answer as Elasticsearch's _bulk does: {answer.shown!r}. Check the sink's url."
        raise SinkMisconfiguredError(msg)
    return items


def _authorization(config: Config) -> dict[str, str]:
    if config.api_key is not None:
        return {"authorization": f"ApiKey {config.api_key}"}
    if config.username is not None:
        pair = base64.b64encode(f"{config.username}:{config.password}".encode()).decode()
        return {"authorization": f"Basic {pair}"}
    return {}
