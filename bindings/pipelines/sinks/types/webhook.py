"""A generic webhook: rows posted as newline-delimited JSON or as a JSON array, signed. At least once.

A receiver has nothing Edge could ask what it has already, so a crash between an answer and its note repeats one chunk.
It can tell repeats by `Idempotency-Key`, which names the chunk and is the same on every retry, and by the member
`edge_offset` of every row, `stream:partition:offset` (`:part` for more rows of one record).

The signature is made as Cloudflare Stream makes it. HMAC-SHA256 over the time, a dot and the body:

    Webhook-Signature: time=1767225600,sig1=60493ec9388b44585a29543bcf0de62e377d4da393246a8b1c901d0e3e672404

A receiver computes it from the raw body, compares in constant time, and refuses times that are over five minutes old.
With several secrets there is one `sig1` for each, so that a receiver may change from one to the next at its own pace.
Source: Cloudflare Stream docs, "Use webhooks".
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence  # noqa: TC003 - pydantic reads Config's annotations at run time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid5

from ..addresses import problem_of_url
from ..http_target import HttpTarget
from ..progress import publish_in_chunks
from ..row_staging import RowStager
from ..sink import Refused
from ..sink_config import config_of

if TYPE_CHECKING:
    from pathlib import Path

    from ...objects import SinkObject
    from ..row_staging import Chunk, StagedRow
    from ..sink import Published, Roll, SinkSite, StagedFile

SECRETS = ("secrets", "headers")
OFFSET_MEMBER = "edge_offset"
ROWS_MAX = 10_000
_RESERVED_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding"}
    | {"webhook-signature"}
)


@dataclass(frozen=True, slots=True)
class Config:
    """`[sinks.NAME]` with `type = "webhook"`."""

    url: str
    body: Literal["ndjson", "array"] = "ndjson"
    secrets: Sequence[str] = field(default=(), repr=False)
    """Each signs every request; several while a receiver changes from one to the next. None: no signature."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent along, as `{ Authorization = "Bearer ..." }`. They count as secrets."""
    chunk_bytes: int = 1024 * 1024
    """Rows of one request."""
    chunk_rows: int = 1000
    timeout_seconds: float = 30.0
    allow_private_network: bool = False
    """Let `url` be an address that is not on the public internet, as localhost."""

    def __post_init__(self) -> None:
        if problem := problem_of_url(self.url):
            raise ValueError(problem)
        if not all(self.secrets):
            raise ValueError("a secret must not be empty: anybody could sign with it.")
        if not 1 <= self.chunk_rows <= ROWS_MAX:
            msg = f"chunk_rows must be 1 to {ROWS_MAX}, got {self.chunk_rows}."
            raise ValueError(msg)
        if taken := sorted(name for name in self.headers if name.lower() in _RESERVED_HEADERS):
            msg = f"headers must not hold {', '.join(taken)}: the sink sets it itself."
            raise ValueError(msg)


def open_sink(sink: SinkObject, site: SinkSite) -> WebhookSink:
    return WebhookSink(config_of(Config, sink), site.host)


def signature_of(secrets: Sequence[str], time_s: int, body: bytes) -> str:
    """The value of `Webhook-Signature` for a body sent at a Unix time."""
    signed = b"%d." % time_s + body
    made = [hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets]
    return ",".join([f"time={time_s}", *(f"sig1={digest}" for digest in made)])


class WebhookSink:
    """The Sink."""

    promise: Literal["exactly once", "at least once"] = "at least once"

    def __init__(self, config: Config, host: Any) -> None:
        self._config = config
        self._host = host
        self._target = HttpTarget(
            host,
            config.url,
            timeout_s=config.timeout_seconds,
            allow_private_network=config.allow_private_network,
            headers=config.headers,
        )

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> RowStager:
        return RowStager(folder, insert_id, epoch)

    async def publish(self, roll: Roll, folder: Path) -> Published:
        async def send(chunk: Chunk, file: StagedFile) -> Sequence[Refused]:
            has_member = OFFSET_MEMBER in file.facts["columns"]
            rows = [(row, row.json if has_member else _with_offset(row, roll.stream_id)) for row in chunk.rows]
            return await self._send(roll, rows)

        config = self._config
        return await publish_in_chunks(roll, folder, send, bytes_max=config.chunk_bytes, rows_max=config.chunk_rows)

    async def aclose(self) -> None:
        """Nothing is held: connections are the host's."""

    async def _send(self, roll: Roll, rows: Sequence[tuple[StagedRow, bytes]]) -> list[Refused]:
        """Post rows together; those that are refused again in halves, until the ones at fault stand alone."""
        body = self._body_of([text for _, text in rows])
        headers = {
            "content-type": "application/json" if self._config.body == "array" else "application/x-ndjson",
            "idempotency-key": _key_of(roll, rows[0][0], rows[-1][0]),
        }
        if self._config.secrets:
            headers["webhook-signature"] = signature_of(self._config.secrets, int(self._host.now()), body)
        answer = await self._target.post("", body, headers)
        if failure := self._target.failure_of(answer, is_about_records=True):
            raise failure
        if answer.is_ok:
            return []
        if len(rows) > 1:
            middle = len(rows) // 2
            return await self._send(roll, rows[:middle]) + await self._send(roll, rows[middle:])
        ((row, _),) = rows
        message = f"{self._target.name} answered {answer.status} to this row alone."
        return [Refused(row.partition, row.offset, f"http_{answer.status}", message, row.json)]

    def _body_of(self, texts: Sequence[bytes]) -> bytes:
        if self._config.body == "array":
            return b"[" + b",".join(texts) + b"]"
        return b"".join(text + b"\n" for text in texts)


def _with_offset(row: StagedRow, stream_id: str) -> bytes:
    return row.json_with(f'"{OFFSET_MEMBER}":"{row.id_in(stream_id)}"'.encode())


def _key_of(roll: Roll, first: StagedRow, last: StagedRow) -> str:
    """A UUID that names these rows of this roll: the same whenever they are sent together."""
    name = f"{roll.epoch} {first.id_in(roll.stream_id)} {last.id_in(roll.stream_id)}"
    return str(uuid5(UUID(roll.insert_id), name))
