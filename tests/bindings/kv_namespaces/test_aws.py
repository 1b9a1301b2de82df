"""What only DynamoDB and S3 can do wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.kv_namespaces import KVNamespaceEntry
from edge.bindings.kv_namespaces.aws import (
    FAILURES,
    UNPROCESSED_ATTEMPTS_MAX,
    DynamoStore,
    key_range,
    open_binding,
    table_name,
)
from edge.bindings.kv_namespaces.store import Entry
from edge.bindings.spec import Site
from edge.runtime.core.errors import BackendError
from edge.runtime.core.host import AwsError
from edge.wrangler_config.worker_config import AwsSettings, Settings, WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

NOW = 1_000_000.0
LARGE = b"x" * 400_000


class Between:
    """Stands before a real client and may answer in its place."""

    def __init__(self, client: Any, answer: Callable[..., Any]) -> None:
        self._client = client
        self._answer = answer

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        answer = self._answer(operation, payload)
        return await self._client.call(operation, payload) if answer is None else answer

    async def send(self, method: str, path: str, *, body: bytes = b"") -> Any:
        answer = self._answer(method, path)
        return await self._client.send(method, path, body=body) if answer is None else answer

    async def aclose(self) -> None:
        await self._client.aclose()


def config(**aws: Any) -> WorkerConfig:
    return WorkerConfig(
        path=Path("wrangler.jsonc"),
        name="shop",
        main=None,
        environment=None,
        compatibility_date=None,
        compatibility_flags=(),
        vars={},
        secret_names=frozenset(),
        bindings={},
        unsupported={},
        settings=Settings(aws=AwsSettings(**aws)),
    )


def test_the_table_is_named_after_worker_and_environment() -> None:
    assert table_name(config()) == "edge-shop-production-kv"
    assert table_name(config(kv_table="mine")) == "mine"


async def test_a_binding_opens_on_the_table_of_the_config(dynamo: DynamoStore, host: FakeHost) -> None:
    entry = KVNamespaceEntry(binding="KV", id="ns")
    async with open_binding([entry], Site(host, config(kv_table=dynamo._table))) as opened:
        await opened.env["KV"].put("key", "value", metadata=1)
        assert opened.resources == {"KV": "ns"}
        assert (await opened.admin.namespace("ns").getWithMetadata("key")).metadata == 1
    assert (await dynamo.get("ns", [b"key"], NOW))[0] == Entry(b"value", "1")


async def test_a_large_value_without_a_bucket_names_the_setting(host: FakeHost) -> None:
    store = DynamoStore(host, AwsSettings(), "table")
    with pytest.raises(BackendError, match=r"kv_values_bucket under \[aws\] in edge.toml"):
        await store.put("n", b"key", Entry(LARGE))


async def test_keys_that_were_left_unread_are_read_again(dynamo: DynamoStore, host: FakeHost) -> None:
    keys = [b"a", b"b", b"c"]
    for key in keys:
        await dynamo.put("n", key, Entry(key))
    batches = []

    def throttle(operation: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        if operation == "BatchGetItem":
            batches.append(payload["RequestItems"])
            if len(batches) <= 2:
                return {"Responses": {}, "UnprocessedKeys": payload["RequestItems"]}
        return None

    host.clients["dynamodb"] = Between(host.clients["dynamodb"], throttle)
    reading = host.spawn(dynamo.get("n", keys, NOW), name="get")
    await host.advance(1)
    assert list(await reading) == [Entry(key) for key in keys]
    assert len(batches) == 3


async def test_keys_left_unread_forever_are_an_error(dynamo: DynamoStore, host: FakeHost) -> None:
    def throttle(_operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        return {"Responses": {}, "UnprocessedKeys": payload["RequestItems"]}

    host.clients["dynamodb"] = Between(host.clients["dynamodb"], throttle)
    reading = host.spawn(dynamo.get("n", [b"a", b"b"], NOW), name="get")
    await host.advance(60)
    with pytest.raises(BackendError, match=f"left keys unread {UNPROCESSED_ATTEMPTS_MAX} times. Try again."):
        await reading


async def test_a_value_replaced_while_it_is_read_is_read_as_the_new_one(dynamo: DynamoStore, host: FakeHost) -> None:
    await dynamo.put("n", b"key", Entry(LARGE))
    real, gone = host.clients["s3"], []

    def replaced(method: str, _path: str) -> Any:
        if method == "GET" and not gone:
            gone.append(1)
            return 404, {}, b""
        return None

    host.clients["s3"] = Between(real, replaced)
    assert list(await dynamo.get("n", [b"key"], NOW)) == [Entry(LARGE)]
    host.clients["s3"] = Between(real, lambda method, _: (404, {}, b"") if method == "GET" else None)
    with pytest.raises(BackendError, match=r"is gone, but a key of KV still names it. Put it again."):
        await dynamo.get("n", [b"key"], NOW)


async def test_an_object_that_cannot_be_removed_does_not_fail_the_put(dynamo: DynamoStore, host: FakeHost) -> None:
    await dynamo.put("n", b"key", Entry(LARGE))

    def failing(method: str, _path: str) -> None:
        if method == "DELETE":
            raise AwsError("SlowDown", "later", status=503, is_retryable=True)

    host.clients["s3"] = Between(host.clients["s3"], failing)
    await dynamo.put("n", b"key", Entry(b"small"))
    assert list(await dynamo.get("n", [b"key"], NOW)) == [Entry(b"small")]
    assert host.log.events("warning") == ["kv_object_not_removed"]


async def test_a_bucket_that_refuses_is_told(dynamo: DynamoStore, host: FakeHost) -> None:
    host.clients["s3"] = Between(host.clients["s3"], lambda *_: (403, {}, b"<Code>AccessDenied</Code>"))
    with pytest.raises(BackendError, match=r"S3 answered 403 to PUT s3://.*AccessDenied"):
        await dynamo.put("n", b"key", Entry(LARGE))


async def test_a_table_that_is_not_there_is_told(dynamo: DynamoStore, host: FakeHost) -> None:
    store = DynamoStore(host, AwsSettings(), "missing")
    with pytest.raises(
        BackendError,
        match=r"table missing is not there. Create it \(README, On AWS Lambda\), or set \[aws\] kv_table",
    ):
        await store.get("n", [b"key"], NOW)


@pytest.mark.parametrize("code", FAILURES)
async def test_each_refusal_says_what_to_do(host: FakeHost, code: str) -> None:
    def refuse(*_: Any) -> None:
        raise AwsError(code, "told by AWS", status=400, is_retryable=False)

    host.clients["dynamodb"] = Between(None, refuse)
    text = f"DynamoDB table table {FAILURES[code]} (DeleteItem was answered {code})."
    with pytest.raises(BackendError, match=f"^{re.escape(text)}$"):
        await DynamoStore(host, AwsSettings(), "table").delete("n", b"key")


async def test_another_refusal_passes_as_it_is(host: FakeHost) -> None:
    def refuse(*_: Any) -> None:
        raise AwsError("ValidationException", "told by AWS", status=400, is_retryable=False)

    host.clients["dynamodb"] = Between(None, refuse)
    with pytest.raises(AwsError, match="told by AWS"):
        await DynamoStore(host, AwsSettings(), "table").delete("n", b"key")


text = st.text(st.characters(codec="utf-8"), max_size=4)


@given(prefix=text, after=st.one_of(text.map(str.encode), st.binary(max_size=4)), key=text.filter(bool))
def test_a_query_covers_every_key_that_is_wanted(prefix: str, after: bytes, key: str) -> None:
    name = (prefix + key).encode()
    first, end = key_range(prefix.encode(), after)
    assert end is None or first.encode() <= end.encode()
    if name > after:
        assert first.encode() <= name
        assert end is None or name <= end.encode()
