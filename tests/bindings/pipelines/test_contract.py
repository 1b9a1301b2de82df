"""The StreamLog port's promises, on every backend: the log on disk, Firehose and Kinesis (moto)."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from edge.bindings.pipelines import PipelineEntry, aws, local
from edge.bindings.pipelines.blobs import read_blobs
from edge.bindings.spec import Site
from edge.runtime.core.errors import BindingError
from edge.runtime.hosts.aws import LambdaMachine
from edge.runtime.testing.fake_host import FakeHost, RecordingLog
from edge.wrangler_config.worker_config import AwsSettings, Settings, WorkerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from edge.bindings.pipelines.stream import Stream
    from edge.runtime.core.host import AwsClient

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


@dataclass
class Backend:
    """An open stream and a way to see what it keeps."""

    stream: Stream
    kept: Callable[[], Awaitable[list[Any]]]


@pytest.fixture(params=["local", "firehose", "kinesis"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    async with AsyncExitStack() as stack:
        if request.param == "local":
            yield await open_local(stack, tmp_path)
        else:
            yield await open_aws(stack, request.param, request.getfixturevalue("moto_url"))


async def open_local(stack: AsyncExitStack, state_dir: Path) -> Backend:
    entry = PipelineEntry("STREAM", stream="s")
    opened = await stack.enter_async_context(local.open_binding([entry], Site(FakeHost(state_dir), CONFIG)))

    async def kept() -> list[Any]:
        return [json.loads(record.json) async for record in opened.admin.folders.tail("s", follow=False)]

    return Backend(opened.env["STREAM"], kept)


async def open_aws(stack: AsyncExitStack, service: str, moto_url: str) -> Backend:
    environ = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": moto_url}
    host, name = LambdaMachine(RecordingLog(), region="us-east-1", environ=environ), f"stream-{uuid4().hex}"
    stack.push_async_callback(host.aclose)
    clients = {one: host.client(one) for one in ("firehose", "kinesis", "s3")}
    if service == "kinesis":
        await clients["kinesis"].call("CreateStream", {"StreamName": name, "ShardCount": 1})
        kept = kinesis_reader(clients["kinesis"], name)
    else:
        assert (await clients["s3"].send("PUT", f"/{name}"))[0] == 200
        destination = {"RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": f"arn:aws:s3:::{name}"}
        await clients["firehose"].call(
            "CreateDeliveryStream", {"DeliveryStreamName": name, "ExtendedS3DestinationConfiguration": destination}
        )
        kept = bucket_reader(clients["s3"], name)
    config = CONFIG._replace(settings=Settings(aws=AwsSettings(stream=service, stream_names={"STREAM": name})))
    entry = PipelineEntry("STREAM", stream="s")
    opened = await stack.enter_async_context(aws.open_binding([entry], Site(host, config)))
    return Backend(opened.env["STREAM"], kept)


def records_in(data: bytes) -> list[Any]:
    return [json.loads(line) for _, lines in read_blobs(data) for line in lines]


def kinesis_reader(kinesis: AwsClient, name: str) -> Callable[[], Awaitable[list[Any]]]:
    async def kept() -> list[Any]:
        where = {"StreamName": name, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = (await kinesis.call("GetShardIterator", where))["ShardIterator"]
        answer = await kinesis.call("GetRecords", {"ShardIterator": iterator})
        return [record for entry in answer["Records"] for record in records_in(b64decode(entry["Data"]))]

    return kept


def bucket_reader(s3: AwsClient, bucket: str) -> Callable[[], Awaitable[list[Any]]]:
    async def kept() -> list[Any]:
        _, _, listing = await s3.send("GET", f"/{bucket}?list-type=2")
        keys = [part.split(b"</Key>")[0].decode() for part in listing.split(b"<Key>")[1:]]
        records: list[Any] = []
        for key in sorted(keys):
            records += records_in((await s3.send("GET", f"/{bucket}/{key}"))[2])
        return records

    return kept


def in_any_order(records: list[Any]) -> list[str]:
    return sorted(json.dumps(record, sort_keys=True) for record in records)


async def test_sent_records_are_kept_unchanged(backend: Backend) -> None:
    records = [{"n": 2**70, "text": "é\n\u2028", "deep": [{"a": [None, 1.5, True]}]}, "text", 1, None, []]
    await backend.stream.send(records)
    assert await backend.kept() == records


async def test_order_within_a_send_is_kept(backend: Backend) -> None:
    await backend.stream.send(list(range(1_000)))
    assert await backend.kept() == list(range(1_000))


async def test_nothing_is_kept_of_an_empty_send(backend: Backend) -> None:
    await backend.stream.send([])
    assert await backend.kept() == []


async def test_nothing_is_kept_of_a_refused_send(backend: Backend) -> None:
    with pytest.raises(BindingError, match="Record 2 at"):
        await backend.stream.send([1, 2, {"a": (3,)}])
    assert await backend.kept() == []


async def test_sends_at_the_same_time_are_all_kept(backend: Backend) -> None:
    await asyncio.gather(*(backend.stream.send([[sender, n] for n in range(5)]) for sender in range(20)))
    expected = [[sender, n] for sender in range(20) for n in range(5)]
    assert in_any_order(await backend.kept()) == in_any_order(expected)


async def test_largest_send_is_kept_whole(backend: Backend) -> None:
    records = [{"n": n, "pad": "x" * 99_000} for n in range(50)]
    await backend.stream.send(records)
    assert in_any_order(await backend.kept()) == in_any_order(records)
