"""The port on DynamoDB: one table for all namespaces; values too large for an item are objects in S3.

An item has `id` (namespace:key, the table's hash key), `shard` and `key` (the index's hash and range key), `value` or
`object`, and `metadata` and `exp` when there are any. The index holds `metadata` and `exp` only, so a list never reads
a value, and a put that changes only the value writes nothing to it. DynamoDB removes expired items within days, so
`exp` is checked on every read. The index is always eventually consistent, reads of keys unless `kv_consistent` is set.
`kv_index_shards` may grow while keys are there, never shrink.

A large value is stored under a new name before the item names it, and the object it replaces is removed afterwards: a
crash between leaves an object nobody names (the bucket's lifecycle may clean up), never an item without its value.

Source: spec "AWS target", 6; Amazon DynamoDB Developer Guide, "Quotas" and "Global secondary indexes".
"""

from __future__ import annotations

import asyncio
import heapq
from base64 import b64decode, b64encode
from contextlib import asynccontextmanager
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zlib import crc32

from ...runtime.core.errors import BackendError
from ...runtime.core.host import AwsError
from ..spec import Opened
from .namespace import KVNamespaces
from .store import Entry, ListedKey, Page, is_live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from ...runtime.core.host import AwsClient, AwsHost
    from ...wrangler_config.worker_config import AwsSettings, WorkerConfig
    from ..spec import Site
    from . import KVNamespaceEntry

INDEX = "by-key"
ITEM_VALUE_BYTES_MAX = 350 * 1024
"""An item may have 400 KB with its names, key and metadata, and the index entry counts too."""
UNPROCESSED_ATTEMPTS_MAX = 8
UNPROCESSED_PAUSE_S = 0.05

FAILURES = {
    "ResourceNotFoundException": "is not there. Create it (README, On AWS Lambda), or set [aws] kv_table in edge.toml",
    "AccessDeniedException": "may not be used. Allow this function dynamodb GetItem, PutItem, DeleteItem and Query",
    "ProvisionedThroughputExceededException": "is too busy. Try again, or raise its capacity or kv_index_shards",
    "ThrottlingException": "is too busy. Try again, or raise its capacity or kv_index_shards",
    "RequestLimitExceeded": "is too busy: the account's limit is reached. Try again",
    "ConditionalCheckFailedException": "was changed by somebody else meanwhile. Try again",
}
"""DynamoDB's error code -> what is the matter with the table, and what to do. Other codes pass as they are."""


@asynccontextmanager
async def open_binding(entries: Sequence[KVNamespaceEntry], site: Site) -> AsyncIterator[Opened]:
    """Open the namespaces; nothing is called before the first use."""
    store = DynamoStore(site.host, site.config.settings.aws, table_name(site.config))
    namespaces = KVNamespaces(store, site.host.now)
    yield Opened(
        env={entry.env_name: namespaces.namespace(entry.namespace_id) for entry in entries},
        resources={entry.env_name: entry.namespace_id for entry in entries},
        admin=namespaces,
    )


def table_name(config: WorkerConfig) -> str:
    """`kv_table`, by default `edge-<worker>-<environment>-kv`."""
    return config.settings.aws.kv_table or config.aws_name("kv")


def table_definition(name: str) -> dict[str, Any]:
    """What CreateTable takes. The table also wants time-to-live on `exp`, which UpdateTimeToLive sets."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("id", "shard", "key")],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": INDEX,
                "KeySchema": [
                    {"AttributeName": "shard", "KeyType": "HASH"},
                    {"AttributeName": "key", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["metadata", "exp"]},
            }
        ],
    }


class DynamoStore:
    """KVStore on one DynamoDB table and, for large values, one S3 bucket."""

    def __init__(self, host: AwsHost, settings: AwsSettings, table: str) -> None:
        self._host = host
        self._table = table
        self._bucket = settings.kv_values_bucket
        self._is_consistent = settings.kv_consistent
        self._shard_count = settings.kv_index_shards

    async def get(self, namespace: str, keys: Sequence[bytes], now: float) -> Sequence[Entry | None]:
        """See `KVStore.get`."""
        ids = [_item_id(namespace, key) for key in keys]
        items = await self._items(ids, is_consistent=self._is_consistent)
        return await asyncio.gather(*(self._live_entry(item_id, items.get(item_id), now) for item_id in ids))

    async def put(self, namespace: str, key: bytes, entry: Entry) -> None:
        """See `KVStore.put`."""
        item: dict[str, Any] = {
            "id": {"S": _item_id(namespace, key)},
            "shard": {"S": f"{namespace}:{crc32(key) % self._shard_count}"},
            "key": {"S": key.decode()},
        }
        if len(entry.value) > ITEM_VALUE_BYTES_MAX:
            item["object"] = {"S": await self._put_object(entry.value)}
        else:
            item["value"] = {"B": b64encode(entry.value).decode()}
        if entry.metadata is not None:
            item["metadata"] = {"S": entry.metadata}
        if entry.expires_at is not None:
            item["exp"] = {"N": str(ceil(entry.expires_at))}
        await self._change("PutItem", {"Item": item})

    async def delete(self, namespace: str, key: bytes) -> None:
        """See `KVStore.delete`."""
        await self._change("DeleteItem", {"Key": {"id": {"S": _item_id(namespace, key)}}})

    async def list(self, namespace: str, *, prefix: bytes, after: bytes, limit: int, now: float) -> Page:
        """See `KVStore.list`. Each shard is read in byte order, and the shards are merged."""
        shards = (f"{namespace}:{number}" for number in range(self._shard_count))
        parts = await asyncio.gather(*(self._list_shard(shard, prefix, after, limit + 1, now) for shard in shards))
        keys = list(islice(heapq.merge(*parts, key=lambda key: key.name), limit + 1))
        return Page(keys[:limit], has_more=len(keys) > limit)

    async def _items(self, ids: Sequence[str], *, is_consistent: bool) -> dict[str, dict[str, Any]]:
        if len(ids) == 1:
            payload = {"TableName": self._table, "Key": {"id": {"S": ids[0]}}, "ConsistentRead": is_consistent}
            answer = await self._call("GetItem", payload)
            return {ids[0]: answer["Item"]} if "Item" in answer else {}
        found: dict[str, dict[str, Any]] = {}
        wanted = {self._table: {"Keys": [{"id": {"S": i}} for i in ids], "ConsistentRead": is_consistent}}
        for attempt in range(UNPROCESSED_ATTEMPTS_MAX):
            answer = await self._call("BatchGetItem", {"RequestItems": wanted})
            items = answer.get("Responses", {}).get(self._table, ())
            found.update((item["id"]["S"], item) for item in items)
            wanted = answer.get("UnprocessedKeys") or {}
            if not wanted:
                return found
            if not items:  # throttled; with items the answer was only full, at 16 MB
                await self._host.sleep(UNPROCESSED_PAUSE_S * 2**attempt)
        msg = f"DynamoDB table {self._table} left keys unread {UNPROCESSED_ATTEMPTS_MAX} times. Try again."
        raise BackendError(msg)

    async def _live_entry(self, item_id: str, item: Mapping[str, Any] | None, now: float) -> Entry | None:
        if item is None or not is_live(_expires_at(item), now):
            return None
        if "object" not in item:
            return _entry(item, b64decode(item["value"]["B"]))
        value = await self._get_object(item["object"]["S"])
        if value is None:  # replaced after the item was read: the item of now names the object of now
            item = (await self._items([item_id], is_consistent=True)).get(item_id)
            if item is None or "object" not in item:
                return await self._live_entry(item_id, item, now)
            value = await self._get_object(item["object"]["S"])
            if value is None:
                msg = (
                    f"s3://{self._bucket}/{item['object']['S']} is gone, but a key of KV still names it. Put it again."
                )
                raise BackendError(msg)
        return _entry(item, value)

    async def _change(self, operation: str, payload: dict[str, Any]) -> None:
        """Put or delete an item, then remove the object that the old item named."""
        # The old item is asked for only where it can name an object: it costs its size on the wire.
        returned = "ALL_OLD" if self._bucket else "NONE"
        answer = await self._call(operation, {"TableName": self._table, "ReturnValues": returned, **payload})
        replaced = answer.get("Attributes", {}).get("object", {}).get("S")
        if replaced is not None:
            try:
                await self._send("DELETE", replaced)
            except BackendError as error:  # the change itself is done and durable
                self._host.log.warning("kv_object_not_removed", object=replaced, exc_info=error)

    async def _list_shard(self, shard: str, prefix: bytes, after: bytes, count: int, now: float) -> Sequence[ListedKey]:
        first, end = key_range(prefix, after)
        condition, values = "#shard = :shard AND #key >= :first", {":shard": {"S": shard}, ":first": {"S": first}}
        if end is not None:
            condition, values[":end"] = "#shard = :shard AND #key BETWEEN :first AND :end", {"S": end}
        payload = {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": {"#shard": "shard", "#key": "key"},
            "ExpressionAttributeValues": values,
            "Limit": count,
        }
        keys: list[ListedKey] = []
        while True:
            answer = await self._call("Query", payload)
            listed = [_listed_key(item) for item in answer["Items"]]
            keys += [k for k in listed if k.name.startswith(prefix) and k.name > after and is_live(k.expires_at, now)]
            if len(keys) >= count or "LastEvaluatedKey" not in answer:
                return keys[:count]
            payload["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def _put_object(self, value: bytes) -> str:
        name = f"kv/{self._table}/{self._host.new_id()}"
        status, _, body = await self._send("PUT", name, value)
        if status != 200:
            raise _object_error("PUT", self._bucket, name, status, body)
        return name

    async def _get_object(self, name: str) -> bytes | None:
        status, _, body = await self._send("GET", name)
        if status == 404:
            return None
        if status != 200:
            raise _object_error("GET", self._bucket, name, status, body)
        return body

    async def _send(self, method: str, name: str, body: bytes = b"") -> tuple[int, Mapping[str, str], bytes]:
        if self._bucket is None:
            msg = (
                f"A KV value on AWS is over {ITEM_VALUE_BYTES_MAX:,} bytes, more than a DynamoDB item holds. "
                f"Name an S3 bucket for such values: kv_values_bucket under [aws] in edge.toml."
            )
            raise BackendError(msg)
        return await self._host.client("s3").send(method, f"/{self._bucket}/{quote(name)}", body=body)

    async def _call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        client: AwsClient = self._host.client("dynamodb")
        try:
            return await client.call(operation, payload)
        except AwsError as error:
            if error.code not in FAILURES:
                raise
            msg = f"DynamoDB table {self._table} {FAILURES[error.code]} ({operation} was answered {error.code})."
            raise BackendError(msg) from error


def key_range(prefix: bytes, after: bytes) -> tuple[str, str | None]:
    """The first and the last name (None: no last) of a query: as narrow as names that are text allow.

    A little more than the keys that start with `prefix` and are greater than `after`; the caller drops the rest.
    """
    # The cursor may be any bytes. What cannot be text is cut off, which moves the position back, never on.
    text = after.decode("utf-8", "replace").partition("\ufffd")[0]
    first = max(prefix.decode(), text, key=str.encode) or "\0"
    while prefix:
        last = prefix.decode()[-1]
        prefix = prefix[: -len(last.encode())]
        if last != "\U0010ffff":
            following = 0xE000 if ord(last) == 0xD7FF else ord(last) + 1  # surrogates are no text
            end = prefix.decode() + chr(following)
            return (first, end) if first.encode() <= end.encode() else (end, end)
    return first, None


def _item_id(namespace: str, key: bytes) -> str:
    return f"{quote(namespace, safe='')}:{key.decode()}"  # quoted: "a" + "b:c" and "a:b" + "c" are two keys


def _entry(item: Mapping[str, Any], value: bytes) -> Entry:
    return Entry(value, item.get("metadata", {}).get("S"), _expires_at(item))


def _listed_key(item: Mapping[str, Any]) -> ListedKey:
    return ListedKey(item["key"]["S"].encode(), item.get("metadata", {}).get("S"), _expires_at(item))


def _expires_at(item: Mapping[str, Any]) -> float | None:
    return float(item["exp"]["N"]) if "exp" in item else None


def _object_error(method: str, bucket: str | None, name: str, status: int, body: bytes) -> BackendError:
    told = body[:200].decode(errors="replace")
    return BackendError(f"S3 answered {status} to {method} s3://{bucket}/{name}: {told}")
