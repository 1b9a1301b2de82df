"""Kafka: rows as messages, exactly once for readers with `isolation.level=read_committed`.

One roll is one transaction: its messages, and one more in a compacted side topic that says how far this INSERT has come
(key: the insert's id, value: its epoch and the offset after the roll). After a crash the side topic is read: when it
has the roll's epoch the transaction was committed and nothing is sent, else it was not and all is sent.

The order at start matters. `init_transactions` first: it fences a runner that still lives and has an open transaction
of it ended; only then is what the side topic shows the last word.
Source: Kafka docs, "Transactions" (KIP-98); librdkafka, INTRODUCTION.md, "Transactional Producer".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence  # noqa: TC003 - msgspec and pydantic read Config's annotations at run time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ..row_staging import RowStager, read_chunk
from ..sink import Published, Refused, SinkMisconfiguredError, SinkUnavailableError
from ..sink_config import config_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ...objects import SinkObject
    from ..row_staging import StagedRow
    from ..sink import Roll, SinkSite, StagedFile

SECRETS = ("password", "client_key_pem")
OFFSET_HEADER = "edge_offset"
READ_BYTES = 4 * 1024 * 1024
READ_ROWS = 10_000
TRANSACTION_MS = 300_000
"""How long a transaction may be open; the broker ends it after that. Brokers allow 15 minutes by default."""
MESSAGE_EXTRA_BYTES = 512
"""What a message takes beyond key, value and headers, generously."""

MISCONFIGURED = (
    "_AUTHENTICATION",
    "_SSL",
    "_UNKNOWN_TOPIC",
    "CLUSTER_AUTHORIZATION_FAILED",
    "INVALID_TRANSACTION_TIMEOUT",
    "MSG_SIZE_TOO_LARGE",
    "SASL_AUTHENTICATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "UNKNOWN_TOPIC_OR_PART",
    "UNSUPPORTED_SASL_MECHANISM",
)
"""Names of librdkafka's errors that only a person can end; every other one may pass by itself."""


@dataclass(frozen=True, slots=True)
class Config:
    """`[sinks.NAME]` with `type = "kafka"`."""

    bootstrap_servers: str
    """As "broker-1:9092,broker-2:9092"."""
    topic: str
    key_column: str | None = None
    """Its value is the message's key: text as it is, anything else as JSON. It stays in the message."""
    header_columns: Sequence[str] = ()
    """Columns that are sent as headers too. `edge_offset` always is one."""
    offsets_topic: str = "edge-offsets"
    """The compacted side topic; made when it is missing and the account may."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "zstd"
    message_bytes: int = 1_000_000
    """Larger messages go to the dead letters. Not above the topic's `max.message.bytes`."""
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_pem: str | None = None
    """Certificates to trust instead of the system's, as text."""
    client_certificate_pem: str | None = None
    client_key_pem: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0
    """Of each step: connecting, reading the side topic, committing."""

    def __post_init__(self) -> None:
        if self.topic == self.offsets_topic:
            raise ValueError("topic and offsets_topic must be two topics.")
        if self.security_protocol.startswith("sasl") and (self.username is None or self.password is None):
            msg = f"security_protocol = {self.security_protocol!r} needs username and password."
            raise ValueError(msg)


def open_sink(sink: SinkObject, site: SinkSite) -> KafkaSink:  # noqa: ARG001 - the port's signature
    return KafkaSink(config_of(Config, sink))


class KafkaSink:
    """The Sink. librdkafka blocks, so each publish runs in a thread."""

    promise: Literal["exactly once", "at least once"] = "exactly once"

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lanes: dict[str, _Lane] = {}
        """Insert id -> its open producer. One that failed is dropped, and made anew by the next publish."""

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> RowStager:
        return RowStager(folder, insert_id, epoch)

    async def publish(self, roll: Roll, folder: Path) -> Published:
        return await asyncio.to_thread(self._publish, roll, folder)

    async def aclose(self) -> None:
        """Let the producers go; between two publishes none has a message waiting."""
        self._lanes.clear()

    def _publish(self, roll: Roll, folder: Path) -> Published:
        refused: list[Refused] = []
        messages = self._messages_of(roll, folder, refused)
        lane = self._lanes.pop(roll.insert_id, None) or _Lane(self._config, roll.insert_id)
        if lane.epoch < roll.epoch:
            lane.commit(messages, roll)
        else:  # a publish before this one came through: only what it refused is asked for again
            for _ in messages:
                pass
        self._lanes[roll.insert_id] = lane
        size = sum(file.size_bytes for file in roll.files)
        row_count = sum(file.row_count for file in roll.files) - len(refused)
        return Published(
            bytes_written=size, uncompressed_bytes_written=size, rows_written=row_count, refused=tuple(refused)
        )

    def _messages_of(self, roll: Roll, folder: Path, refused: list[Refused]) -> Iterator[dict[str, Any]]:
        """What `produce` takes, row by row; those too large go to `refused`, the same ones on every retry."""
        for row in _rows_of(roll.files, folder):
            key, headers = self._labels_of(row, roll.stream_id)
            size = len(row.json) + len(key or b"") + sum(len(n) + len(v or b"") for n, v in headers)
            if size + MESSAGE_EXTRA_BYTES > self._config.message_bytes:
                message = f"A message of {size} bytes is over message_bytes, {self._config.message_bytes}."
                refused.append(Refused(row.partition, row.offset, "message_too_large", message, row.json))
                continue
            yield {
                "topic": self._config.topic,
                "key": key,
                "value": row.json,
                "headers": headers,
                "timestamp": row.ingested_at_us // 1000,
            }

    def _labels_of(self, row: StagedRow, stream_id: str) -> tuple[bytes | None, list[tuple[str, bytes | None]]]:
        headers: list[tuple[str, bytes | None]] = [(OFFSET_HEADER, row.id_in(stream_id).encode())]
        key_column, columns = self._config.key_column, self._config.header_columns
        if key_column is None and not columns:
            return None, headers
        values = msgspec.json.decode(row.json)
        headers += [(name, _label(values.get(name))) for name in columns]
        return None if key_column is None else _label(values.get(key_column)), headers


class _Lane:
    """One INSERT's transactional producer, and the epoch it has committed. Every method blocks."""

    def __init__(self, config: Config, insert_id: str) -> None:
        """Raises as `publish` does."""
        self._kafka = _library()
        self._config = config
        self._last_error: Any = None
        self._client = {**_client_settings(config), "error_cb": self._note}
        with self._mapped():
            self._producer = self._kafka.Producer(
                {
                    **self._client,
                    "transactional.id": f"edge-{insert_id}",
                    "transaction.timeout.ms": TRANSACTION_MS,
                    "compression.type": config.compression,
                    "message.max.bytes": config.message_bytes,
                }
            )
            self._producer.init_transactions(config.timeout_seconds)
            self.epoch = self._committed_epoch(insert_id)

    def commit(self, messages: Iterator[dict[str, Any]], roll: Roll) -> None:
        """Send a roll as one transaction. After a failure this lane is used no more."""
        mark = {"epoch": roll.epoch, "until": {str(partition): offset for partition, offset in roll.until.items()}}
        with self._mapped():
            self._producer.begin_transaction()
            for message in messages:
                self._produce(message)
            value = msgspec.json.encode(mark)
            self._produce({"topic": self._config.offsets_topic, "key": roll.insert_id.encode(), "value": value})
            self._producer.commit_transaction(self._config.timeout_seconds)
        self.epoch = roll.epoch

    def _produce(self, message: Mapping[str, Any]) -> None:
        try:
            self._producer.produce(**message)
        except BufferError:  # librdkafka's queue is full: wait until the brokers have it
            if self._producer.flush(self._config.timeout_seconds):
                msg = f"Kafka took no more messages within {self._config.timeout_seconds:g} seconds."
                raise SinkUnavailableError(msg) from None
            self._producer.produce(**message)
        self._producer.poll(0)

    def _committed_epoch(self, insert_id: str) -> int:
        """The newest epoch that the side topic has of this INSERT; 0 for none."""
        settings = {
            **self._client,
            "group.id": f"edge-{insert_id}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,  # at its end a partition would be waited on for half a second
        }
        consumer = self._kafka.Consumer(settings)
        try:
            epochs = [
                msgspec.json.decode(value, type=_Mark).epoch
                for partition in self._partitions(consumer)
                for key, value in self._read(consumer, partition)
                if key == insert_id.encode() and value is not None
            ]
        finally:
            consumer.close()
        return max(epochs, default=0)

    def _partitions(self, consumer: Any) -> list[int]:
        topic = self._config.offsets_topic
        found = consumer.list_topics(topic, timeout=self._config.timeout_seconds).topics.get(topic)
        if found is not None and found.error is None:
            return sorted(found.partitions)
        self._make_topic()
        return []

    def _make_topic(self) -> None:
        topic = self._config.offsets_topic
        from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # noqa: PLC0415 - as above

        new = NewTopic(topic, 1, -1, config={"cleanup.policy": "compact"})
        try:
            made = AdminClient(self._client).create_topics([new], operation_timeout=self._config.timeout_seconds)
            made[topic].result(self._config.timeout_seconds)
        except (self._kafka.KafkaException, TimeoutError) as error:
            msg = (
                f"Kafka has no topic {topic!r} and it could not be made ({error}). Make it: kafka-topics.sh --create "
                f"--topic {topic} --partitions 1 --config cleanup.policy=compact"
            )
            raise SinkMisconfiguredError(msg) from error

    def _read(self, consumer: Any, partition: int) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Key and value of all that one partition of the side topic holds and that was committed."""
        place = self._kafka.TopicPartition(self._config.offsets_topic, partition, self._kafka.OFFSET_BEGINNING)
        consumer.assign([place])
        while True:
            message = consumer.poll(self._config.timeout_seconds)
            if message is None:
                msg = f"Kafka's topic {self._config.offsets_topic!r} could not be read to its end."
                raise SinkUnavailableError(msg)
            error = message.error()
            if error is None:
                yield message.key(), message.value()
            elif error.code() == self._kafka.KafkaError._PARTITION_EOF:
                return
            else:
                raise self._kafka.KafkaException(error)

    def _note(self, error: Any) -> None:
        """Keep what librdkafka says in passing: a refused password shows here alone, the call just times out."""
        if self._last_error is None or _is_misconfigured(error):
            self._last_error = error

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Turn librdkafka's errors into a sink's."""
        try:
            yield
        except self._kafka.KafkaException as exception:
            error = exception.args[0]
            if self._last_error is not None and error.name() in {"_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN"}:
                error = self._last_error
            msg = f"Kafka at {self._config.bootstrap_servers}: {error.str().rstrip('.')} ({error.name()})."
            if _is_misconfigured(error):
                raise SinkMisconfiguredError(
                    f"{msg} Check the sink's settings and the account's rights."
                ) from exception
            raise SinkUnavailableError(msg) from exception


class _Mark(msgspec.Struct, frozen=True):
    """The value of a message in the side topic, as far as it is read."""

    epoch: int


def _library() -> Any:
    try:
        import confluent_kafka  # noqa: PLC0415 - an extra, loaded by who uses it
    except ImportError as error:
        raise SinkMisconfiguredError("Kafka needs a library: pip install 'edge-workers[kafka]'") from error
    return confluent_kafka


def _client_settings(config: Config) -> dict[str, Any]:
    """What producer, consumer and admin have in common, in librdkafka's names."""
    settings = {
        "bootstrap.servers": config.bootstrap_servers,
        "security.protocol": config.security_protocol,
        "ssl.ca.pem": config.ca_pem,
        "ssl.certificate.pem": config.client_certificate_pem,
        "ssl.key.pem": config.client_key_pem,
        "log_level": 0,  # it would write to standard error; what matters comes as errors
    }
    if config.security_protocol.startswith("sasl"):
        settings |= {
            "sasl.mechanism": config.sasl_mechanism,
            "sasl.username": config.username,
            "sasl.password": config.password,
        }
    return {name: value for name, value in settings.items() if value is not None}


def _rows_of(files: Sequence[StagedFile], folder: Path) -> Iterator[StagedRow]:
    for file in files:
        since = 0
        while since < file.size_bytes:
            chunk = read_chunk(folder / file.name, since, bytes_max=READ_BYTES, rows_max=READ_ROWS)
            yield from chunk.rows
            since = chunk.until


def _label(value: Any) -> bytes | None:
    """A value as key or header."""
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def _is_misconfigured(error: Any) -> bool:
    return error.name() in MISCONFIGURED
