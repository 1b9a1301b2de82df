"""KV on each backend, and a clock moved by hand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest

from edge.bindings.kv_namespaces.aws import DynamoStore, table_definition
from edge.bindings.kv_namespaces.local import open_store
from edge.bindings.kv_namespaces.namespace import KVNamespace, KVNamespaces
from edge.runtime.hosts.aws_client import AwsServiceClient
from edge.runtime.hosts.aws_credentials import CredentialSource
from edge.runtime.hosts.aws_http import AwsHttp
from edge.runtime.testing.fake_host import FakeHost
from edge.wrangler_config.worker_config import AwsSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge.bindings.kv_namespaces.local import SqliteStore
    from edge.bindings.kv_namespaces.store import KVStore

_numbers = count()

SETTINGS = AwsSettings(kv_index_shards=3, kv_consistent=True)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    host = FakeHost(tmp_path)
    yield host
    await host.aclose()


@asynccontextmanager
async def aws_clients(host: FakeHost, moto_url: str) -> AsyncIterator[None]:
    """Give `host` clients that reach moto."""
    environ = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for service in ("dynamodb", "s3"):
        http = AwsHttp()
        credentials = CredentialSource(environ, host, http)
        host.clients[service] = AwsServiceClient(
            service, region="us-east-1", host=host, endpoint_url=moto_url, http=http, credentials=credentials
        )
    try:
        yield
    finally:
        for client in host.clients.values():
            await client.aclose()


@asynccontextmanager
async def open_local(host: FakeHost, _: pytest.FixtureRequest) -> AsyncIterator[SqliteStore]:
    async with open_store(host.state_dir / "kv_namespaces" / "kv.sqlite") as store:
        yield store


@asynccontextmanager
async def open_aws(host: FakeHost, request: pytest.FixtureRequest) -> AsyncIterator[DynamoStore]:
    """On a table and a bucket of its own."""
    name = f"edge-test-kv-{next(_numbers)}"
    async with aws_clients(host, request.getfixturevalue("moto_url")):
        await host.client("dynamodb").call("CreateTable", table_definition(name))
        status, _, body = await host.client("s3").send("PUT", f"/{name}")
        assert status == 200, body
        yield DynamoStore(host, SETTINGS._replace(kv_values_bucket=name), name)


@pytest.fixture(params=[open_local, open_aws], ids=["local", "aws"])
async def store(request: pytest.FixtureRequest, host: FakeHost) -> AsyncIterator[KVStore]:
    """The port, on every backend."""
    async with request.param(host, request) as store:
        yield store


@pytest.fixture
async def kv(request: pytest.FixtureRequest, host: FakeHost) -> AsyncIterator[KVNamespace]:
    """What a handler holds, on SQLite."""
    async with open_local(host, request) as store:
        yield KVNamespaces(store, host.now).namespace("test")


@pytest.fixture
async def dynamo(request: pytest.FixtureRequest, host: FakeHost) -> AsyncIterator[DynamoStore]:
    """The port on DynamoDB, for what only it can do wrong."""
    async with open_aws(host, request) as store:
        yield store
