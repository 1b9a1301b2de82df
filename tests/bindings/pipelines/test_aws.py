"""Firehose and Kinesis: what is called, what is tried again, what is said when it fails."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.aws import managed_name, open_binding
from edge.bindings.pipelines.blobs import read_blobs
from edge.bindings.spec import Site
from edge.runtime.core.errors import BackendError, BindingError, ConfigError
from edge.runtime.core.host import AwsError
from edge.runtime.testing.fake_host import FakeHost
from edge.wrangler_config.worker_config import AwsSettings, Settings, WorkerConfig

CONFIG = WorkerConfig(
    path=Path("wrangler.jsonc"),
    name="demo",
    main=None,
    environment=None,
    compatibility_date=None,
    compatibility_flags=(),
    vars={},
    secret_names=frozenset(),
    bindings={},
    unsupported={},
)
ENTRY = PipelineEntry("STREAM", stream="flights")


def with_aws(**aws: Any) -> WorkerConfig:
    return CONFIG._replace(settings=Settings(aws=AwsSettings(**aws)))


class Service:
    """Answers calls as AWS does, refusing the entries that `refuses` names by (call number, entry number)."""

    def __init__(self, *refuses: tuple[int, int], always: bool = False) -> None:
        self.refuses, self.always = set(refuses), always
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.kept: list[bytes] = []

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, payload))
        answers: list[dict[str, Any]] = []
        for number, entry in enumerate(payload["Records"]):
            if self.always or (len(self.calls), number) in self.refuses:
                answers.append({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."})
            else:
                self.kept.append(b64decode(entry["Data"]))
                answers.append({"RecordId": "1", "SequenceNumber": "1"})
        return {"FailedPutCount": 0, "FailedRecordCount": 0, "RequestResponses": answers, "Records": answers}

    def records(self) -> list[bytes]:
        return [line for data in self.kept for _, lines in read_blobs(data) for line in lines]


def large(*names: str) -> list[str]:
    """Records of which each fills a blob."""
    return [name * 600_000 for name in names]


async def test_one_send_is_one_call_with_one_entry() -> None:
    host, service = FakeHost(), Service()
    host.clients["firehose"] = service
    async with open_binding([ENTRY], Site(host, CONFIG)) as opened:
        assert opened.resources == {"STREAM": "firehose edge-demo-production-flights"}
        await opened.env["STREAM"].send([{"n": n} for n in range(100)])
        await opened.env["STREAM"].send([])
    [(operation, payload)] = service.calls
    assert operation == "PutRecordBatch"
    assert payload["DeliveryStreamName"] == "edge-demo-production-flights"
    assert len(payload["Records"]) == 1
    assert len(service.records()) == 100


async def test_each_send_has_an_identity_of_its_own() -> None:
    host, service = FakeHost(), Service()
    host.clients["kinesis"] = service
    async with open_binding([ENTRY], Site(host, with_aws(stream="kinesis"))) as opened:
        await opened.env["STREAM"].send([1])
        await opened.env["STREAM"].send([2])
    assert [operation for operation, _ in service.calls] == ["PutRecords"] * 2
    assert service.calls[0][1]["StreamName"] == "edge-demo-production-flights"
    keys = [payload["Records"][0]["PartitionKey"] for _, payload in service.calls]
    headers = [header for data in service.kept for header, _ in read_blobs(data)]
    assert keys == [f"{header.producer}-{header.sequence}-0" for header in headers]
    assert len(set(keys)) == 2


async def test_only_refused_entries_are_sent_again_with_the_same_identity() -> None:
    host, service = FakeHost(), Service((1, 1), (2, 0))
    host.clients["firehose"] = service
    async with open_binding([ENTRY], Site(host, CONFIG)) as opened:
        sending = host.spawn(opened.env["STREAM"].send(large("a", "b", "c")), name="send")
        await host.advance(1)
        await sending
    assert [len(payload["Records"]) for _, payload in service.calls] == [3, 1, 1]
    assert service.calls[0][1]["Records"][1] == service.calls[1][1]["Records"][0]
    assert sorted(record[1:2] for record in service.records()) == [b"a", b"b", b"c"]


async def test_entries_refused_until_the_deadline_are_named_by_index() -> None:
    class RefusesSecondBlob(Service):
        async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
            self.refuses = {
                (len(self.calls) + 1, n) for n, e in enumerate(payload["Records"]) if b"b" in b64decode(e["Data"])[200:]
            }
            return await super().call(operation, payload)

    host, service = FakeHost(), RefusesSecondBlob()
    host.clients["firehose"] = service
    async with open_binding([ENTRY], Site(host, CONFIG)) as opened:
        sending = host.spawn(
            opened.env["STREAM"].send([*large("a"), "b" * 500_000, "b" * 300_000, *large("c")]), name="s"
        )
        await host.advance(10)
        with pytest.raises(BackendError) as failure:
            await sending
    assert str(failure.value) == (
        "firehose stream 'edge-demo-production-flights' did not accept the records 1-2 within 10 s "
        "(ServiceUnavailableException). The others of this send are kept; send these again."
    )
    assert [record[1:2] for record in service.records()] == [b"a", b"c"]


async def test_call_stays_within_the_services_limits() -> None:
    host, service = FakeHost(), Service()
    host.clients["firehose"] = service
    async with open_binding([ENTRY], Site(host, CONFIG)) as opened:
        await opened.env["STREAM"].send(large(*"abcdefgh"))
    assert [len(payload["Records"]) for _, payload in service.calls] == [6, 2]


async def test_record_too_large_for_aws_sends_nothing() -> None:
    host, service = FakeHost(), Service()
    host.clients["firehose"] = service
    async with open_binding([ENTRY], Site(host, CONFIG)) as opened:
        with pytest.raises(BindingError, match="Record 1 is 1,100,002 bytes"):
            await opened.env["STREAM"].send([1, "x" * 1_100_000])
    assert service.calls == []


async def test_missing_stream_says_which_and_where_to_name_another() -> None:
    class Missing:
        async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
            code = "ResourceNotFoundException" if payload["DeliveryStreamName"] != "denied" else "AccessDeniedException"
            raise AwsError(code, "no", status=400, is_retryable=False)

    host = FakeHost()
    host.clients["firehose"] = Missing()
    async with open_binding([ENTRY], Site(host, CONFIG)) as opened:
        with pytest.raises(
            BackendError, match=r"There is no firehose stream 'edge-demo-production-flights' .* \[aws.stream_names\]"
        ):
            await opened.env["STREAM"].send([1])
    async with open_binding([ENTRY], Site(host, with_aws(stream_names={"STREAM": "denied"}))) as opened:
        with pytest.raises(
            BackendError, match=r"'denied' may not be used. Allow this function firehose:PutRecordBatch"
        ):
            await opened.env["STREAM"].send([1])


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (CONFIG, "edge-demo-production-flights"),
        (CONFIG._replace(environment="prod"), "edge-demo-prod-flights"),
        (with_aws(stream_names={"STREAM": "mine"}), "mine"),
        (with_aws(stream_names={"flights": "mine"}), "mine"),
    ],
    ids=["default", "environment", "by binding", "by stream"],
)
def test_managed_stream_is_named_by_rule_or_setting(config: WorkerConfig, name: str) -> None:
    assert managed_name(ENTRY, config) == name


def test_name_aws_does_not_allow_is_refused_with_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"'edge-demo-production-a b'.*\[aws\.stream_names\] STREAM"):
        managed_name(PipelineEntry("STREAM", stream="a b"), CONFIG)
