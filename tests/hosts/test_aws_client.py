"""The AWS client against moto, and against a service that misbehaves on demand."""

from __future__ import annotations

import base64
import json

import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from edge.runtime.core.errors import BackendError, UnsupportedError
from edge.runtime.core.host import AwsError
from edge.runtime.hosts.aws import LambdaMachine
from edge.runtime.hosts.aws_client import CALL_SECONDS_MAX, RETRYABLE_CODES, AwsServiceClient, default_endpoint
from edge.runtime.hosts.aws_http import failure_kinds
from edge.runtime.testing.fake_host import FakeHost, RecordingLog

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def moto_url():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
async def machine(moto_url):
    machine = LambdaMachine(RecordingLog(), environ={**KEYS, "AWS_ENDPOINT_URL": moto_url})
    yield machine
    await machine.aclose()


async def test_dynamodb_item_makes_the_round_trip(machine):
    client = machine.client("dynamodb")
    await client.call(
        "CreateTable",
        {
            "TableName": "t",
            "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    item = {"k": {"S": "ключ"}, "v": {"B": base64.b64encode(bytes(range(256))).decode()}}
    await client.call("PutItem", {"TableName": "t", "Item": item})
    answer = await client.call("GetItem", {"TableName": "t", "Key": {"k": {"S": "ключ"}}})
    assert answer["Item"] == item


async def test_a_refusal_has_the_code_of_aws(machine):
    with pytest.raises(AwsError) as caught:
        await machine.client("dynamodb").call("GetItem", {"TableName": "none", "Key": {"k": {"S": "a"}}})
    assert (caught.value.code, caught.value.status, caught.value.is_retryable) == (
        "ResourceNotFoundException",
        400,
        False,
    )


@pytest.mark.parametrize("key", ["plain", "a%20b", "%C3%A9", "a%2Bb", "x/y//z", "~(1)!*'"])
async def test_s3_object_makes_the_round_trip(machine, key):
    client = machine.client("s3")
    await client.send("PUT", "/bucket")
    status, _, _ = await client.send("PUT", f"/bucket/{key}", body=b"\0data", headers={"Content-Type": "a/b"})
    assert status == 200
    status, headers, body = await client.send("GET", f"/bucket/{key}")
    assert (status, headers["content-type"], body) == (200, "a/b", b"\0data")
    assert (await client.send("GET", "/bucket/none"))[0] == 404


# --- a service that misbehaves on demand


class Service:
    """Answers what it was told to, in order, then 200 with an empty object; remembers what it was asked."""

    def __init__(self):
        self.answers = []
        self.requests = []

    async def answer(self, request):
        self.requests.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if self.answers else (200, "{}")
        if answer == "reset":
            request.transport.abort()
            return web.Response()
        status, text = answer
        return web.Response(status=status, text=text)


@pytest.fixture
async def service():
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield service
    await runner.cleanup()


class SteppingHost(FakeHost):
    """Sleeping moves the clock."""

    async def sleep(self, seconds):
        self.slept = [*getattr(self, "slept", []), seconds]
        self._now += seconds

    def new_id(self):
        return "f" * 32  # the longest pause each time


@pytest.fixture
async def client(service, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    host = SteppingHost()
    client = AwsServiceClient(
        "dynamodb", region="us-east-1", host=host, endpoint_url=service.url, deadline=lambda: host.deadline_at
    )
    host.deadline_at = None
    client.host = host
    yield client
    await client.aclose()


@pytest.mark.parametrize(
    "failure",
    [
        (400, '{"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}'),
        (400, '{"__type": "ThrottlingException", "message": "slow down"}'),
        (429, ""),
        (500, '{"__type": "InternalServerError"}'),
        (503, "<html>"),
        "reset",
    ],
    ids=str,
)
async def test_what_may_pass_is_tried_again(client, service, failure):
    service.answers = [failure, failure, (200, '{"ok": 1}')]
    assert await client.call("GetItem", {}) == {"ok": 1}
    assert client.host.slept == [0.05, 0.1]
    assert client.host.log.events() == ["aws_call_retried", "aws_call_retried"]


@pytest.mark.parametrize("code", sorted(RETRYABLE_CODES))
async def test_every_code_of_the_table_is_tried_again(client, service, code):
    service.answers = [(400, json.dumps({"__type": code}))]
    assert await client.call("GetItem", {}) == {}
    assert len(service.requests) == 2


async def test_a_refusal_is_not_tried_again(client, service):
    service.answers = [(400, '{"__type": "a#ConditionalCheckFailedException", "message": "no"}')]
    with pytest.raises(AwsError, match=r"AWS answered ConditionalCheckFailedException \(400\): no"):
        await client.call("PutItem", {})
    assert len(service.requests) == 1


async def test_retries_end_at_the_invocations_deadline(client, service):
    client.host.deadline_at = client.host.now() + 1.0
    service.answers = [(503, "")] * 100
    with pytest.raises(AwsError) as caught:
        await client.call("GetItem", {})
    assert caught.value.is_retryable
    assert client.host.slept == [0.05, 0.1, 0.2, 0.4]


async def test_without_a_deadline_retries_end_too(client, service):
    service.answers = [(503, "")] * 100
    with pytest.raises(AwsError):
        await client.call("GetItem", {})
    assert sum(client.host.slept) < CALL_SECONDS_MAX


async def test_nobody_there_is_told_as_such(client):
    client._endpoint = "http://127.0.0.1:1"
    client.host.deadline_at = client.host.now() + 60
    with pytest.raises(AwsError, match="AWS gave no answer: ClientConnectorError") as caught:
        await client.call("GetItem", {})
    assert (caught.value.code, caught.value.status) == ("ConnectionFailed", 0)


def test_every_row_of_the_failure_table_is_reached():
    table = failure_kinds()
    for foreign, kind in table:
        assert next(found for known, found in table if issubclass(foreign, known)) == kind


async def test_a_json_call_to_a_rest_service_is_refused(client):
    client._service = "s3"
    with pytest.raises(UnsupportedError, match=r"Use send\(\)"):
        await client.call("PutObject", {})


# --- endpoints and regions


def test_default_endpoints():
    assert default_endpoint("dynamodb", "eu-west-1") == "https://dynamodb.eu-west-1.amazonaws.com"
    assert default_endpoint("s3", "cn-north-1") == "https://s3.cn-north-1.amazonaws.com.cn"


async def test_endpoint_of_one_service_wins(service):
    environ = {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_FIREHOSE": service.url}
    machine = LambdaMachine(RecordingLog(), environ=environ)
    assert await machine.client("firehose").call("PutRecord", {}) == {}
    assert machine.client("firehose") is machine.client("firehose")
    await machine.aclose()


def test_unknown_region_says_what_to_set():
    with pytest.raises(BackendError, match="set AWS_REGION, or region under"):
        LambdaMachine(RecordingLog(), environ={}).client("s3")


# --- connections over a pause


async def test_connection_is_kept_while_calls_follow_and_renewed_after_a_pause(service):
    now = [1000.0]
    environ = {**KEYS, "AWS_ENDPOINT_URL": service.url}
    machine = LambdaMachine(RecordingLog(), environ=environ, clock=lambda: now[0])
    client = machine.client("dynamodb")
    pools = []
    for pause_s in (0, 4, 6):
        now[0] += pause_s
        await machine.thaw()
        await client.call("GetItem", {})
        pools.append(machine._shared[0]._pool.session)
        machine.rest()
    assert pools[0] is pools[1]
    assert pools[1] is not pools[2]
    assert pools[1].closed
    await machine.aclose()
