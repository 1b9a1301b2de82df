"""The unmodified `cloudflare` SDK against a real socket: streams, sinks, pipelines, tokens, accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from conftest import Api

A = LOCAL_ACCOUNT_ID
R2 = {"bucket": "flights", "credentials": {"access_key_id": "planted-id", "secret_access_key": "planted-secret"}}
FIELDS = [
    {"name": "carrier", "type": "string", "required": True},
    {"name": "distance", "type": "int64", "required": False},
]


async def all_of(pages: Any) -> list[Any]:
    return [one async for one in pages]


async def test_streams_are_made_listed_changed_and_deleted(api: Api, sdk: Any) -> None:
    async with sdk(api) as client:
        streams = client.pipelines.streams
        made = await streams.create(account_id=A, name="flights", schema={"fields": FIELDS})
        assert len(made.id) == 32
        assert made.version == 1
        assert made.http.enabled is made.http.authentication is True
        assert made.endpoint == f"{api.url}/cdn-cgi/ingest/{made.id}"
        found = await streams.get(made.id, account_id=A)
        assert found.name == "flights"
        assert found.schema_.fields[0]["name"] == "carrier" if isinstance(found.schema_.fields[0], dict) else True
        changed = await streams.update(
            made.id,
            account_id=A,
            http={"enabled": True, "authentication": False, "cors": {"origins": ["https://a.example"]}},
            worker_binding={"enabled": False},
        )
        assert changed.http.authentication is False
        assert changed.http.cors.origins == ["https://a.example"]
        assert changed.worker_binding.enabled is False
        assert [one.id for one in await all_of(streams.list(account_id=A))] == [made.id]
        await streams.delete(made.id, account_id=A)
        assert await all_of(streams.list(account_id=A)) == []


async def test_a_list_ends_whatever_its_length(api: Api, sdk: Any) -> None:
    """The SDK asks for the next page until one is empty."""
    async with sdk(api) as client:
        for number in range(5):
            await client.pipelines.streams.create(account_id=A, name=f"s{number}")
        for per_page in (1, 2, 5, 20):
            listed = await all_of(client.pipelines.streams.list(account_id=A, per_page=per_page))
            assert [one.name for one in listed] == [f"s{number}" for number in range(5)]


async def test_a_sink_never_shows_its_secrets(api: Api, sdk: Any) -> None:
    async with sdk(api) as client:
        made = await client.pipelines.sinks.create(
            account_id=A,
            name="far",
            type="r2",
            config={**R2, "account_id": A, "path": "out", "rolling_policy": {"interval_seconds": 30}},
            format={"type": "parquet", "compression": "snappy"},
        )
        found = await client.pipelines.sinks.get(made.id, account_id=A)
        listed = await all_of(client.pipelines.sinks.list(account_id=A))
        for one in (made, found, *listed):
            assert "planted" not in one.to_json()
            assert one.config.bucket == "flights"
        assert found.config.rolling_policy.interval_seconds == 30
        assert found.format.compression == "snappy"
        await client.pipelines.sinks.delete(made.id, account_id=A)
        assert await all_of(client.pipelines.sinks.list(account_id=A)) == []


async def test_a_pipeline_is_validated_made_found_and_deleted(api: Api, sdk: Any) -> None:
    sql = "INSERT INTO far SELECT upper(carrier) AS carrier FROM flights WHERE distance > 1000"
    async with sdk(api) as client:
        stream = await client.pipelines.streams.create(account_id=A, name="flights", schema={"fields": FIELDS})
        sink = await client.pipelines.sinks.create(account_id=A, name="far", type="r2", config={**R2, "account_id": A})
        valid = await client.pipelines.validate_sql(account_id=A, sql=sql)
        assert {name: table.type for name, table in valid.tables.items()} == {"flights": "stream", "far": "sink"}
        made = await client.pipelines.create_v1(account_id=A, name="far", sql=sql)
        assert made.sql == sql
        found = await client.pipelines.get_v1(made.id, account_id=A)
        assert {(table.id, table.type) for table in found.tables} == {(stream.id, "stream"), (sink.id, "sink")}
        assert found.failure_reason is None
        assert [one.id for one in await all_of(client.pipelines.list_v1(account_id=A))] == [made.id]
        for listed in (
            client.pipelines.streams.list(account_id=A, pipeline_id=made.id),
            client.pipelines.sinks.list(account_id=A, pipeline_id=made.id),
        ):
            assert len(await all_of(listed)) == 1
        await client.pipelines.delete_v1(made.id, account_id=A)
        assert await all_of(client.pipelines.list_v1(account_id=A)) == []


async def test_what_is_used_is_deleted_by_force_only(api: Api, sdk: Any) -> None:
    cloudflare = pytest.importorskip("cloudflare")
    async with sdk(api) as client:
        stream = await client.pipelines.streams.create(account_id=A, name="flights")
        await client.pipelines.sinks.create(account_id=A, name="far", type="r2", config={**R2, "account_id": A})
        await client.pipelines.create_v1(account_id=A, name="p", sql="INSERT INTO far SELECT * FROM flights")
        with pytest.raises(cloudflare.BadRequestError) as refused:
            await client.pipelines.streams.delete(stream.id, account_id=A)
        assert [error.code for error in refused.value.errors] == [1030]
        await client.pipelines.streams.delete(stream.id, account_id=A, extra_query={"force": "true"})
        assert await all_of(client.pipelines.list_v1(account_id=A)) == []


async def test_errors_become_the_sdks_exceptions_without_a_second_try(api: Api, sdk: Any) -> None:
    cloudflare = pytest.importorskip("cloudflare")
    async with sdk(api) as client:
        with pytest.raises(cloudflare.NotFoundError) as missing:
            await client.pipelines.streams.get("0" * 32, account_id=A)
        assert [error.code for error in missing.value.errors] == [1016]
        await client.pipelines.streams.create(account_id=A, name="flights")
        with pytest.raises(cloudflare.ConflictError) as taken:
            await client.pipelines.streams.create(account_id=A, name="flights")
        assert taken.value.response.headers["x-should-retry"] == "false"
        assert taken.value.response.request.headers["x-stainless-retry-count"] == "0"
    async with sdk(api, api_token="nope") as client:
        with pytest.raises(cloudflare.PermissionDeniedError):
            await client.pipelines.streams.get("0" * 32, account_id=A)


async def test_the_user_the_token_and_the_account_are_known(api: Api, sdk: Any) -> None:
    async with sdk(api) as client:
        verified = await client.user.tokens.verify()
        assert verified.status == "active"
        assert verified.id == api.tokens.list()[0].id
        assert [one.id for one in await all_of(client.accounts.list())] == [A]
        assert (await client.accounts.get(account_id=A)).type == "standard"
        (membership,) = await all_of(client.memberships.list())
        assert membership.account.id == A


async def test_an_email_and_a_global_key_do(api: Api, sdk: Any) -> None:
    key = api.tokens.create_global_key("ada@example.com")
    async with sdk(api, api_token=None, api_email="ada@example.com", api_key=key) as client:
        await client.pipelines.streams.create(account_id=A, name="flights")
        assert (await client.user.get()).email == "ada@example.com" if hasattr(client.user, "get") else True
