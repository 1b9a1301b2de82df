"""Which Host, Origin and Sec-Fetch-Site reach the Worker, and which Edge's own routes (catalogue B1)."""

from __future__ import annotations

import itertools

import pytest

from edge.runtime.adapters.host_guard import KNOWN_HOSTS_MAX, HostGuard
from edge.runtime.core.errors import RefusedError
from edge.runtime.core.reserved import is_control
from edge.runtime.core.response import Response
from edge.wrangler_config.worker_config import ServerSettings

OURS = [
    "localhost",
    "LOCALHOST",
    "localhost:8787",
    "localhost.",
    "flights.ingest.localhost",
    "api.localhost:8787",
    "127.0.0.1",
    "127.0.0.1:8787",
    "127.1.2.3",
    "[::1]",
    "[::1]:8787",
    "dev.example.com",
    "Dev.Example.com:443",
    "192.168.0.7:8787",
]
FOREIGN = ["evil.example", "localhost.evil.example", "xdev.example.com", "192.168.0.8", "10.0.0.1", "[::2]", "0.0.0.0"]
ODD = [
    "",
    " ",
    "a b",
    "a@localhost",
    "localhost:",
    "localhost:99999999",
    "127.0.0.1:65536",
    ".localhost",
    "x..localhost",
    "http://localhost",
    "localhost/x",
    "[::1",
    "ü",
]


@pytest.fixture
def guard():
    return HostGuard(["dev.example.com"], ["192.168.0.7"])


@pytest.mark.parametrize("host", OURS)
def test_own_host_is_allowed_and_remembered(guard, host):
    assert guard.require_origin(host) == guard.require_origin(host) == f"http://{host.lower()}"


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_host_is_403(guard, host):
    with pytest.raises(RefusedError, match=r"is not allowed here\. Edge answers localhost") as refused:
        guard.require_origin(host)
    assert refused.value.http_status == 403


@pytest.mark.parametrize("host", [None, *ODD])
def test_missing_or_odd_host_is_400(guard, host):
    with pytest.raises(RefusedError, match=r"no Host header|Host header is malformed") as refused:
        guard.require_origin(host)
    assert refused.value.http_status == 400


def test_wildcard_address_allows_addresses_but_no_names():
    guard = HostGuard((), ["0.0.0.0"])
    assert guard.require_origin("192.168.0.8:80") == "http://192.168.0.8"
    with pytest.raises(RefusedError):
        guard.require_origin("evil.example")


def test_remembered_hosts_are_bounded(guard):
    for i in range(KNOWN_HOSTS_MAX * 2):
        guard.require_origin(f"a{i}.localhost")
    assert len(guard._known) <= KNOWN_HOSTS_MAX


@pytest.mark.parametrize(
    "path", ["/cdn-cgi", "/cdn-cgi/", "/cdn-cgi/x", "/cdn-cgi?x", "/cdn-cgi/api/v1", "/cdn-cgi/ingestx"]
)
def test_control_paths(path):
    assert is_control("localhost", path)


@pytest.mark.parametrize("path", ["/", "/cdn-cgix", "/x/cdn-cgi/", "/CDN-CGI/", "//cdn-cgi/"])
def test_user_paths(path):
    assert not is_control("localhost", path)


@pytest.mark.parametrize("host", ["api.localhost", "api.localhost:8787", "api.localhost.", "api.localhost.:8787"])
def test_every_path_of_the_api_host_is_a_control_path(host):
    assert is_control(host, "/")


@pytest.mark.parametrize(
    "host", ["api.localhost.evil", "api.localhostx", "x.api.localhost", "flights.ingest.localhost"]
)
def test_other_hosts_are_not_the_api(host):
    assert not is_control(host, "/")


@pytest.mark.parametrize("path", ["/cdn-cgi/ingest", "/cdn-cgi/ingest/flights", "/cdn-cgi/ingest/flights/v1?x"])
def test_streams_endpoints_ask_their_own_cors_settings(path):
    assert not is_control("localhost", path)


HOSTS = {
    "own": ("localhost", True),
    "the API's": ("api.localhost", True),
    "foreign": ("evil.example", False),
}
ORIGINS = {
    "none": (None, True),
    "own": ("http://localhost", True),
    "another local port": ("http://localhost:8787", False),
    "another local name": ("http://127.0.0.1", False),
    "foreign": ("https://evil.example", False),
    "foreign that begins like ours": ("http://localhost.evil.example", False),
    "opaque": ("null", False),
    "not http": ("file://localhost", False),
    "with a path": ("http://localhost/x", False),
}
SITES = {
    "none": (None, True),
    "same-origin": ("same-origin", True),
    "navigation": ("none", True),
    "same-site": ("same-site", False),
    "cross-site": ("cross-site", False),
}
PATHS = ["/", "/cdn-cgi/explorer", "/cdn-cgi/api/client/v4/user", "/cdn-cgi/ingest/flights"]
TABLE = list(itertools.product(HOSTS, ORIGINS, SITES, PATHS))


class Open:
    async def fetch(self, request):
        return Response("reached")


@pytest.mark.parametrize(("host", "origin", "site", "path"), TABLE, ids=map(" | ".join, TABLE))
async def test_only_own_pages_reach_control_routes(serving, exchange, host, origin, site, path):
    (host, is_own_host), (origin, is_own_origin), (site, is_own_site) = HOSTS[host], ORIGINS[origin], SITES[site]
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"Origin: {origin}"] if origin else []
    lines += [f"Sec-Fetch-Site: {site}"] if site else []
    async with serving(Open()) as server:
        raw = await exchange(server, "\r\n".join([*lines, "", ""]).encode())
    is_own_page = (is_own_origin if origin != "http://localhost" else host == "localhost") and is_own_site
    is_reached = is_own_host and (is_own_page or not is_control(host, path))
    assert raw.startswith(b"HTTP/1.1 200 " if is_reached else b"HTTP/1.1 403 ")


async def test_configured_host_is_allowed(serving, exchange):
    async with serving(Open(), settings=ServerSettings(allowed_hosts=("dev.example.com",))) as server:
        raw = await exchange(server, b"GET / HTTP/1.1\r\nHost: dev.example.com\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost", 200), ("http://evil.example", 403), ("null", 403)],
    ids=["own", "foreign", "opaque"],
)
async def test_a_private_network_preflight_of_a_foreign_page_is_refused(serving, exchange, origin, status):
    asked = "Access-Control-Request-Private-Network: true"
    head = f"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n{asked}\r\nConnection: close\r\n\r\n"
    async with serving(Open()) as server:
        assert (await exchange(server, head.encode())).startswith(f"HTTP/1.1 {status} ".encode())
