"""What the REST API says of a stream is true of its endpoint: where it is, who may write, and that it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Api

STREAMS = "{A}/pipelines/v1/streams"
OPEN = {"enabled": True, "authentication": False}


async def post(api: Api, url: str, token: str | None = None) -> tuple[int, Any]:
    await api.host.advance(1)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with api.client.post(url, json=[{"n": 1}], headers=headers) as answer:
        return answer.status, await answer.json()


async def test_the_endpoint_told_takes_records(api: Api) -> None:
    stream = await api.call("POST", STREAMS, {"name": "flights", "http": OPEN})
    for url in (stream["endpoint"], stream["endpoint"] + "/v1", stream["endpoint"] + "/"):
        assert await post(api, url) == (200, {"success": True, "result": {"committed": 1}})


async def test_a_change_holds_within_a_second(api: Api) -> None:
    stream = await api.call("POST", STREAMS, {"name": "flights", "http": OPEN})
    path = f"{STREAMS}/{stream['id']}"
    assert (await post(api, stream["endpoint"]))[0] == 200
    await api.call("PATCH", path, {"http": {"authentication": True}})
    assert (await post(api, stream["endpoint"]))[0] == 401
    sender = api.tokens.create("Workers Pipeline Send", stream_ids=[stream["id"]])
    assert (await post(api, stream["endpoint"], sender))[0] == 200
    reader = api.tokens.create("Workers Pipelines Read")
    assert (await post(api, stream["endpoint"], reader))[0] == 403
    await api.call("PATCH", path, {"http": {"enabled": False}})
    assert (await post(api, stream["endpoint"], sender))[0] == 403
    await api.call("DELETE", path)
    assert (await post(api, stream["endpoint"], sender))[0] == 404


async def test_a_token_for_one_stream_manages_none(api: Api) -> None:
    stream = await api.call("POST", STREAMS, {"name": "flights", "http": OPEN})
    headers = {"authorization": f"Bearer {api.tokens.create('Workers Pipeline Send', stream_ids=[stream['id']])}"}
    for method in ("GET", "PATCH", "DELETE"):
        reply = await api.ask(method, f"{STREAMS}/{stream['id']}", headers=headers, raw=b"{}")
        assert (reply.status, *reply.codes) == (403, 9109)


async def test_a_stream_that_was_written_to_can_be_deleted_and_made_anew(api: Api) -> None:
    """The way to another schema, which never changes: the running server lets go of the old log."""
    stream = await api.call("POST", STREAMS, {"name": "flights", "http": OPEN})
    assert (await post(api, stream["endpoint"]))[0] == 200
    await api.call("DELETE", f"{STREAMS}/{stream['id']}")
    assert (await post(api, stream["endpoint"]))[0] == 404
    await api.host.advance(1)
    schema = {"fields": [{"name": "n", "type": "int64", "required": True}]}
    again = await api.call("POST", STREAMS, {"name": "flights", "http": OPEN, "schema": schema})
    assert (await post(api, again["endpoint"]))[0] == 200
