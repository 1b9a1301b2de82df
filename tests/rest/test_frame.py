"""The frame of the API: paths, methods, bodies, pages, failures. Always an envelope, never HTML."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING, Any

import pytest

from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from conftest import Api, Reply

STREAMS = "{A}/pipelines/v1/streams"


def assert_refused(reply: Reply, status: int, code: int) -> None:
    assert (reply.status, *reply.codes) == (status, code), reply.body
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["success"] is False
    assert reply.json()["result"] is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/nope",
        "/accounts//pipelines",
        "/accounts/{A}",
        "/user/",
        "/%2Fuser",
        "/user%2F",
        "/%FF",
        "/users",
        "/USER",
    ],
)
async def test_an_unknown_path_is_7003(api: Api, path: str) -> None:
    reply = await api.ask("GET", path)
    if path == "/user/":  # a slash at the end changes nothing
        assert reply.status == 200
    else:
        assert_refused(reply, 404, 7003)
        assert reply.json()["errors"][0]["error_chain"] == [{"code": 7000, "message": "No route for that URI"}]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_wrong_method_is_10405_and_says_which_are_right(api: Api, method: str) -> None:
    reply = await api.ask(method, "/user")
    assert_refused(reply, 405, 10405)
    assert reply.headers["allow"] == "GET"


async def test_the_api_has_a_host_of_its_own(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.token}", "host": "api.localhost:1234"}
    async with api.client.get(f"{api.url}/client/v4/user", headers=headers) as answer:
        assert (await answer.json())["success"] is True
    async with api.client.get(f"{api.url}/elsewhere", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (404, "application/json")
    async with api.client.post(
        f"{api.url}/client/v4/accounts/{LOCAL_ACCOUNT_ID}/pipelines/v1/streams", headers=headers, json={"name": "s"}
    ) as answer:
        endpoint = (await answer.json())["result"]["endpoint"]
        assert endpoint.startswith("http://localhost:1234/cdn-cgi/ingest/")


async def test_the_worker_and_the_rest_of_the_reserved_path_are_as_before(api: Api) -> None:
    for path, status in (("/", 200), ("/client/v4/user", 200), ("/cdn-cgi/x", 404), ("/cdn-cgi/apix", 404)):
        async with api.client.get(api.url + path) as answer:
            assert answer.status == status
            assert ("the worker" in await answer.text()) is (status == 200)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8", "text/html", ""])
async def test_a_body_is_json_whatever_it_is_called(api: Api, content_type: str) -> None:
    headers = {"authorization": f"Bearer {api.token}", "content-type": content_type}
    reply = await api.ask("POST", STREAMS, headers=headers, body={"name": "s", "nobody_knows": 1})
    assert reply.status == 200, reply.body


async def test_an_empty_json_body_of_a_delete_is_none(api: Api) -> None:
    made = await api.call("POST", STREAMS, {"name": "s"})
    headers = {"authorization": f"Bearer {api.token}", "content-type": "application/json"}
    reply = await api.ask("DELETE", f"{STREAMS}/{made['id']}", headers=headers, raw=b"")
    assert (reply.status, reply.json()["result"]) == (200, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"1", b'"x"', b"{", b"{}", b'{"name": 1}', b'{"name": null}', b"\xff", b'{"name": "\xff"}',
        b'{"name": "\\ud800"}', b"[" * 100_000, b'{"name":"s","schema":' + b'{"fields":[' * 20_000,
        b'{"name":"s","schema":1}',
        b'{"name": "s", "http": []}', b'{"name": "s", "http": {"enabled": "yes"}}', b"NaN",
    ],
    ids=lambda raw: repr(raw[:30]),
)  # fmt: skip
async def test_a_body_that_makes_no_sense_is_code_2(api: Api, raw: bytes) -> None:
    assert_refused(await api.ask("POST", STREAMS, raw=raw), 400, 2)


async def test_a_body_over_the_limit_is_413(api: Api) -> None:
    assert_refused(await api.ask("POST", STREAMS, raw=io.BytesIO(b" " * (1024 * 1024 + 1))), 413, 10413)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "abcde"), ("?page=1&per_page=2", "ab"), ("?page=2.0&per_page=2", "cd"), ("?page=3&per_page=2", "e"),
        ("?page=4&per_page=2", ""), ("?page=2", ""), ("?per_page=100", "abcde"), ("?name=C", "c"), ("?name=x", ""),
        ("?page=1&page=9", "abcde"), ("?name=", "abcde"), ("?nobody=knows", "abcde"),
    ],
)  # fmt: skip
async def test_pages(api: Api, query: str, names: str) -> None:
    for name in "cabed":
        await api.call("POST", STREAMS, {"name": name})
    reply = (await api.ask("GET", STREAMS + query)).json()
    assert "".join(one["name"] for one in reply["result"]) == names
    assert reply["result_info"]["count"] == len(names)


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=1.5", "page=x", "page=", "page=inf", "page=nan", "page=1e400", "per_page=0",
     "per_page=101", "pipeline_id=x", "&".join(["a=1"] * 101)],
)  # fmt: skip
async def test_a_query_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    assert_refused(await api.ask("GET", f"{STREAMS}?{query}"), 400, 2)


async def test_an_own_failure_tells_a_reference_and_nothing_else(api: Api) -> None:
    """A real part broken on demand: the catalogue's method raises."""
    admin = api.app.admins["pipelines"]
    secret = "planted"

    def fail() -> Any:
        raise RuntimeError(secret)

    admin.catalogue.streams = fail
    reply = await api.ask("GET", STREAMS)
    assert_refused(reply, 500, 10001)
    assert secret not in reply.body.decode()
    assert reply.headers["x-should-retry"] == "false"
    ((event, values),) = [(event, values) for level, event, values in api.host.log.lines if level == "error"]
    assert event == "api_call_failed"
    assert values["reference"] in reply.json()["errors"][0]["message"]
    assert str(values["exc_info"]) == secret


async def test_failed_storage_may_be_tried_again(api: Api) -> None:
    (api.host.state_dir / "pipelines").mkdir(exist_ok=True)
    (api.host.state_dir / "pipelines" / "catalogue.sqlite3").write_bytes(b"no database" * 100)
    reply = await api.ask("GET", STREAMS)
    assert_refused(reply, 503, 10001)
    assert reply.headers["retry-after"] == "1"
    assert "x-should-retry" not in reply.headers
    assert str(api.host.state_dir) not in reply.body.decode()


async def test_the_first_call_is_told_once(api: Api) -> None:
    told: list[int] = []
    api.app.on_api_used = lambda: told.append(1)
    await api.ask("GET", "/nope")
    await api.ask("GET", "/user")
    assert told == [1]


async def test_no_route_of_a_section_is_forgotten() -> None:
    from edge.bindings.registry import has_api, sections

    found = {section for section in sections() if has_api(section)}
    assert "pipelines" in found
    assert all(importlib.util.find_spec(f"edge.bindings.{section}.rest") for section in found)
