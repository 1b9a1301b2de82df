"""Nothing is sent to an address that is not on the public internet, however it is written or hidden."""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from edge import Request
from edge.bindings.pipelines.sinks import addresses
from edge.bindings.pipelines.sinks.http_target import HttpTarget
from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

V4 = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.1.2.3",
    "127.255.255.255", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.0.8", "192.0.2.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "224.0.0.251", "239.255.255.250", "240.0.0.1", "254.1.1.1", "255.255.255.255",
]  # fmt: skip
V6 = [
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::1", "2002:0a00:1::1",
    "2002:a9fe:a9fe::1", "2002:c0a8:1::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%1",
    "febf::1", "fec0::1", "ff01::1", "ff02::1", "ff02::fb", "ff0e::1", "4000::1", "5f00::1",
]  # fmt: skip
ODD = [
    "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/",
    "http://017700000001/", "http://0/", "http://0x0/", "http://localhost/", "http://LOCALHOST/", "http://localhost./",
    "http://[::1]:80/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:7f00:1]/", "http://127.0.0.1:443/",
    "http://0251.0376.0251.0376/", "http://2852039166/", "http://0xa9fea9fe/",
]  # fmt: skip


@pytest.mark.parametrize("address", V4 + V6)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not addresses.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert addresses.is_public(address)


@pytest.mark.parametrize("url", ODD)
async def test_odd_spellings_of_private_addresses_are_refused_before_anything_is_connected(url: str, host: Any) -> None:
    target = HttpTarget(host, url, timeout_s=60, allow_private_network=False)
    with connections() as made, pytest.raises((SinkMisconfiguredError, SinkUnavailableError)):
        await target.post("", b"x", {})
    assert made == []


async def test_a_name_with_one_private_address_among_public_ones_is_refused(host: Any) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", "10.0.0.7"]

    target = HttpTarget(host, "https://mixed.test", timeout_s=60, allow_private_network=False, resolve=resolve)
    with connections() as made, pytest.raises(SinkMisconfiguredError) as caught:
        await target.post("", b"x", {})
    assert made == []
    assert str(caught.value) == (
        "mixed.test is 10.0.0.7, which is not on the public internet, so nothing was sent. If this sink is meant to "
        "reach the private network, set allow_private_network = true."
    )


async def test_a_name_that_turns_private_later_is_refused_then(host: Any) -> None:
    """Each post resolves anew: a name is not trusted because it was public before."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]

    async def resolve(_host: str, _port: int) -> list[str]:
        return answers.pop(0)

    await addresses.require_public("http://turning.test", resolve)
    with pytest.raises(SinkMisconfiguredError, match=r"turning\.test is 127\.0\.0\.1"):
        await addresses.require_public("http://turning.test", resolve)


@pytest.fixture
def turning(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A name server whose answer for turning.test is public once, then 127.0.0.1. Lists the answers it gave."""
    given: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "turning.test":
            return real(host, port, *args, **options)
        given.append("127.0.0.1" if given else "93.184.215.14")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (given[-1], port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return given


async def test_a_name_that_turns_private_between_check_and_connection_is_not_connected_to(
    host: Any, serve: Any, turning: list[str]
) -> None:
    url = (await serve(_receive)).replace("127.0.0.1", "turning.test")
    target = HttpTarget(host, url, timeout_s=60, allow_private_network=False)
    with connections() as made, pytest.raises(SinkMisconfiguredError, match=r"turning\.test is 127\.0\.0\.1, which"):
        await target.post("", b"x", {})
    assert (made, turning) == ([], ["93.184.215.14", "127.0.0.1"])


async def test_a_check_of_the_name_alone_would_have_let_it_pass(host: Any, serve: Any, turning: list[str]) -> None:
    """The control: the same name and the same check, sent without a rule for the connection."""
    url = (await serve(_receive)).replace("127.0.0.1", "turning.test")
    await addresses.require_public(url)
    with connections() as made:
        await host.fetch(Request(url, method="POST", body=b"x"))
    assert len(made) == 1
    assert turning == ["93.184.215.14", "127.0.0.1"]


async def test_a_redirect_is_not_followed(host: Any, serve: Any) -> None:
    reached: list[str] = []

    async def private(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response()

    inside = await serve(private)

    async def redirect(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"location": f"{inside}/latest/meta-data"})

    target = HttpTarget(host, await serve(redirect), timeout_s=60, allow_private_network=True)
    with pytest.raises(SinkMisconfiguredError, match=r"answered 307, a redirect to 'http://.*/latest/meta-data'"):
        await target.post("", b"x", {})
    assert reached == []


async def test_the_private_network_is_open_only_where_the_config_says_so(opened: Any, stage: Any, serve: Any) -> None:
    """The control of this file: the same sink reaches the same server once it is allowed to."""
    reached: list[bytes] = []

    async def receive(request: web.Request) -> web.Response:
        reached.append(await request.read())
        return web.Response()

    url = await serve(receive)
    closed = opened(webhook, url=url)
    roll = stage.roll(closed, [{"a": 1}])
    with pytest.raises(SinkMisconfiguredError, match="not on the public internet"):
        await closed.publish(roll, stage.folder)
    assert reached == []
    await opened(webhook, url=url, allow_private_network=True).publish(roll, stage.folder)
    assert len(reached) == 1


async def test_a_name_without_an_address_may_have_one_later(host: Any) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    target = HttpTarget(host, "https://nowhere.test", timeout_s=60, allow_private_network=False, resolve=resolve)
    with pytest.raises(SinkUnavailableError, match=r"There is no address for nowhere\.test: Name or service not known"):
        await target.post("", b"x", {})


@contextmanager
def connections() -> Iterator[list[Any]]:
    """The addresses this process connects to within the block."""
    made: list[Any] = []
    _watched.append(made)
    yield made
    _watched.remove(made)


_watched: list[list[Any]] = []


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        for made in _watched:
            made.append(args[1])


sys.addaudithook(_note)


async def _receive(_request: web.Request) -> web.Response:
    return web.Response()


async def test_the_watch_on_connections_sees_them(host: Any, serve: Any) -> None:
    """The control of the tests that see none."""
    target = HttpTarget(host, await serve(_receive), timeout_s=60, allow_private_network=True)
    with connections() as made:
        await target.post("", b"x", {})
    assert len(made) == 1
