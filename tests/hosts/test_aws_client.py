"""The AWS client against moto, and against a service that misbehaves on demand."""

from __future__ import annotations

import base64

import pytest
from moto.server import ThreadedMotoServer

from edge.runtime.core.host import AwsError
from edge.runtime.hosts.aws import LambdaMachine
from edge.runtime.testing.fake_host import RecordingLog

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
