"""Which Fetcher a request reaches: a door, the API, the Worker, or nothing."""

from __future__ import annotations

import pytest

from edge.runtime.core.context import Context, Invocation, PendingWork, current_invocation
from edge.runtime.core.env import Env
from edge.runtime.core.request import Request
from edge.runtime.core.response import Response
from edge.runtime.gateway import Gateway
from edge.runtime.testing.fake_host import FakeHost


class Named:
    """Answers its name; as a door it claims hosts and paths that hold `part`."""

    def __init__(self, name: str, part: str = "") -> None:
        self.name = name
        self.part = part
        self.asked: list[tuple[str, str]] = []

    def claims(self, host: str, path: str) -> bool:
        self.asked.append((host, path))
        return self.part in host + path

    async def fetch(self, request: Request) -> Response:
        return Response(self.name)


@pytest.fixture
def door() -> Named:
    return Named("door", "ingest")


@pytest.fixture
def gateway(door: Named) -> Gateway:
    gateway = Gateway(Named("worker"))
    gateway.doors = (door,)
    gateway.api = Named("api")
    return gateway


async def reached(gateway: Gateway, url: str) -> str:
    return (await (await gateway.fetch(Request(url))).text()).partition(" ")[0]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost/", "worker"),
        ("http://localhost:8787/ingest", "worker"),
        ("http://localhost/cdn-cgix", "worker"),
        ("http://localhost/x/cdn-cgi/api/", "worker"),
        ("http://flights.localhost/", "worker"),
        ("http://api.localhost.example/", "worker"),
        ("http://x/?.localhost/cdn-cgi/api", "worker"),
        ("http://flights.ingest.localhost/", "door"),
        ("http://flights.ingest.localhost:8787/v1?x", "door"),
        ("http://localhost/cdn-cgi/ingest/flights", "door"),
        ("http://api.localhost/v1/streams/ingest", "door"),
        ("http://api.localhost/client/v4/user", "api"),
        ("http://api.localhost:8787/", "api"),
        ("http://localhost/cdn-cgi/api", "api"),
        ("http://localhost/cdn-cgi/api/client/v4/user?x=/cdn-cgi/x", "api"),
        ("http://localhost/cdn-cgi/apix", "Nothing"),
        ("http://localhost/cdn-cgi/", "Nothing"),
        ("http://localhost/cdn-cgi?x", "Nothing"),
    ],
)
async def test_what_a_url_reaches(gateway: Gateway, url: str, name: str) -> None:
    assert await reached(gateway, url) == name


async def test_doors_are_not_asked_about_a_workers_own_requests(gateway: Gateway, door: Named) -> None:
    await reached(gateway, "http://localhost:8787/path")
    await reached(gateway, "http://example.com/")
    assert door.asked == []
    await reached(gateway, "http://flights.localhost/path?query")  # the control
    assert door.asked == [("flights.localhost", "/path")]


async def test_a_door_answers_outside_of_the_workers_invocation(gateway: Gateway, door: Named) -> None:
    host = FakeHost()
    worker = Invocation(Env({}), Context(PendingWork(host)), host, is_strict=True)
    current_invocation.set(worker)  # as the load, or an earlier request on the connection, left it
    await reached(gateway, "http://localhost/")
    assert current_invocation.get() is worker
    await reached(gateway, "http://flights.ingest.localhost/")
    assert current_invocation.get() is None


async def test_without_an_api_its_path_is_reserved_and_its_host_the_workers(gateway: Gateway) -> None:
    gateway.api = None
    assert await reached(gateway, "http://localhost/cdn-cgi/api/client/v4/user") == "Nothing"
    assert await reached(gateway, "http://api.localhost/") == "worker"
