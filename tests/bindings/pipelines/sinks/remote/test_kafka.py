"""Messages through librdkafka's own mock cluster. It keeps transactions apart by offset, not by isolation: what an
aborted transaction wrote stays readable there, so only committed ones are counted here."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import confluent_kafka
import pytest

from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import kafka

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = "5" * 32
ROWS: list[dict[str, Any]] = [{"carrier": "AA", "distance": 1400 + i} for i in range(5)]
TIMEOUT_S = 60.0


class Cluster:
    def __init__(self) -> None:
        self._mock = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._mock.list_topics(timeout=TIMEOUT_S).brokers.values()
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def make_topic(self, name: str) -> None:
        """The mock makes a topic with its first message."""
        self._mock.produce(name, key=b"someone else", value=b'{"epoch":9}')
        assert self._mock.flush(TIMEOUT_S) == 0

    def messages(self, topic: str) -> list[confluent_kafka.Message]:
        settings = {"bootstrap.servers": self.address, "group.id": "reader", "enable.partition.eof": True}
        reader = confluent_kafka.Consumer({**settings, "enable.auto.commit": False, "fetch.wait.max.ms": 10})
        found = []
        for partition in reader.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions:
            reader.assign([confluent_kafka.TopicPartition(topic, partition, confluent_kafka.OFFSET_BEGINNING)])
            while (message := reader.poll(TIMEOUT_S)) is not None and message.error() is None:
                found.append(message)
        reader.close()
        return sorted(found, key=lambda message: message.headers() or [])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    return Cluster()


@pytest.fixture
def sink(cluster: Cluster, opened: Any, request: pytest.FixtureRequest) -> Any:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    cluster.make_topic(f"offsets-{name}")

    def open_one(**config: Any) -> Any:
        places = {"bootstrap_servers": cluster.address, "topic": name, "offsets_topic": f"offsets-{name}"}
        far = opened(kafka, **{**places, "timeout_seconds": TIMEOUT_S, **config})
        far.topic = name
        return far

    return open_one


async def test_rows_are_messages_with_key_headers_and_ingest_time(cluster: Cluster, sink: Any, stage: Any) -> None:
    far = sink(key_column="carrier", header_columns=["distance"])
    published = await far.publish(stage.roll(far, [ROWS[0], {"carrier": None, "distance": None}]), stage.folder)
    first, second = cluster.messages(far.topic)
    assert (first.key(), json.loads(first.value())) == (b"AA", ROWS[0])
    assert first.headers() == [("edge_offset", f"{STREAM}:0:100".encode()), ("distance", b"1400")]
    assert first.timestamp() == (confluent_kafka.TIMESTAMP_CREATE_TIME, 1767225600000)
    assert (second.key(), second.headers()[1]) == (None, ("distance", None))
    assert published.rows_written == 2


async def test_a_roll_that_came_through_before_the_crash_is_not_sent_again(
    cluster: Cluster, sink: Any, stage: Any
) -> None:
    far = sink(message_bytes=1000)
    roll = stage.roll(far, [*ROWS, {"carrier": "x" * 1000, "distance": 0}])
    before = await far.publish(roll, stage.folder)
    after = await sink(message_bytes=1000).publish(roll, stage.folder)
    assert [json.loads(m.value()) for m in cluster.messages(far.topic)] == ROWS
    assert after == before
    assert [(r.offset, r.kind) for r in after.refused] == [(105, "message_too_large")]


async def test_without_the_side_topic_a_roll_is_sent_twice(
    cluster: Cluster, sink: Any, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setattr(kafka._Lane, "_committed_epoch", lambda _lane, _insert_id: 0)
    far = sink()
    roll = stage.roll(far, ROWS)
    await far.publish(roll, stage.folder)
    await sink().publish(roll, stage.folder)
    assert len(cluster.messages(far.topic)) == 2 * len(ROWS)


async def test_the_next_roll_is_sent_by_the_same_and_by_a_new_process(
    cluster: Cluster, sink: Any, tmp_path: Any, stage: Any
) -> None:
    far = sink()
    for epoch in (1, 2, 3):
        stage.folder = tmp_path / f"staging-{epoch}"
        roll = stage.roll(far, ROWS[epoch : epoch + 1], epoch=epoch, offsets=[epoch])
        await (sink() if epoch == 3 else far).publish(roll, stage.folder)
    assert [json.loads(m.value()) for m in cluster.messages(far.topic)] == ROWS[1:4]


async def test_other_inserts_in_the_side_topic_do_not_count(cluster: Cluster, sink: Any, stage: Any) -> None:
    """The topic was made with a higher epoch of somebody else."""
    far = sink()
    await far.publish(stage.roll(far, ROWS), stage.folder)
    assert len(cluster.messages(far.topic)) == len(ROWS)


async def test_a_full_queue_is_waited_for(
    cluster: Cluster, sink: Any, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = kafka._client_settings
    monkeypatch.setattr(kafka, "_client_settings", lambda c: {**settings(c), "queue.buffering.max.messages": 2})
    far = sink()
    await far.publish(stage.roll(far, ROWS), stage.folder)
    assert [json.loads(m.value()) for m in cluster.messages(far.topic)] == ROWS


@pytest.mark.parametrize(
    ("thrown", "in_passing", "error"),
    [
        ("TOPIC_AUTHORIZATION_FAILED", None, SinkMisconfiguredError),
        ("_TIMED_OUT", "_AUTHENTICATION", SinkMisconfiguredError),
        ("_TIMED_OUT", "_TRANSPORT", SinkUnavailableError),
        ("_TIMED_OUT", None, SinkUnavailableError),
        ("_FENCED", None, SinkUnavailableError),
        ("NOT_ENOUGH_REPLICAS", "_AUTHENTICATION", SinkUnavailableError),
    ],
)
def test_errors_say_whether_to_wait_or_to_call_a_person(
    sink: Any, thrown: str, in_passing: str | None, error: type[Exception]
) -> None:
    """A refused password is said in passing only; the call itself just times out."""
    lane = kafka._Lane(sink()._config, "a" * 32)
    if in_passing is not None:
        lane._note(confluent_kafka.KafkaError(getattr(confluent_kafka.KafkaError, in_passing)))
    with pytest.raises(error, match=r"^Kafka at 127\.0\.0\.1"), lane._mapped():
        raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(getattr(confluent_kafka.KafkaError, thrown)))


async def test_nobody_listening_is_tried_again(opened: Any, stage: Any, unused_tcp_port: int) -> None:
    servers = f"127.0.0.1:{unused_tcp_port}"
    far = opened(kafka, bootstrap_servers=servers, topic="t", timeout_seconds=0.2)
    with pytest.raises(SinkUnavailableError, match=f"Kafka at {servers}: "):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_a_side_topic_that_cannot_be_made_is_named(cluster: Cluster, opened: Any, stage: Any) -> None:
    """The mock makes no topics when asked, like a broker that may not."""
    far = opened(kafka, bootstrap_servers=cluster.address, topic="t", offsets_topic="missing", timeout_seconds=60)
    with pytest.raises(
        SinkMisconfiguredError, match=r"no topic 'missing' and it could not be made .* kafka-topics\.sh"
    ):
        await far.publish(stage.roll(far, ROWS), stage.folder)


@pytest.mark.parametrize("name", kafka.MISCONFIGURED)
def test_every_error_for_a_person_is_one_of_the_library(name: str) -> None:
    code = getattr(confluent_kafka.KafkaError, name)
    assert confluent_kafka.KafkaError(code).name() == name


async def test_without_the_library_its_name_is_given(sink: Any, stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    far = sink()
    roll = stage.roll(far, ROWS)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(SinkMisconfiguredError, match=r"pip install 'edge-workers\[kafka\]'"):
        await far.publish(roll, stage.folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"offsets_topic": "t"}, "must be two topics"),
        ({"security_protocol": "sasl_ssl"}, "needs username and password"),
    ],
    ids=["one topic", "no password"],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kafka.Config(**{"bootstrap_servers": "b:9092", "topic": "t", **config})
