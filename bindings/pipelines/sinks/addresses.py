"""Which addresses a sink may speak to: the public internet, unless its config opens the private network.

A sink's URL is data: whoever may create a sink over the REST API would otherwise reach everything this machine can
(a cloud's metadata service, a database that trusts its network). Every address a name resolves to must be public, so
that a name with one private address among public ones is refused too. A moment later, when the connection is made, the
name may mean something else: `host.fetch` asks `is_public` once more, for the very address it connects to.
Source: spec "Reliability", 4, server-side request forgery.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .sink import SinkMisconfiguredError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
    """Host and port -> addresses as text. Raises OSError where there are none."""

ROUTED_IPV6 = IPv6Network("2000::/3")
"""All that IANA has given out for the public internet; what lies outside (mapped, translated, local) is refused."""
PROTOCOL_IPV4 = IPv4Network("192.0.0.0/24")
PROTOCOL_IPV6 = IPv6Network("2001::/23")
"""IETF protocol assignments (RFC 6890): refused whole, since Python's releases differ about parts of them."""
_PORTS = {"http": 80, "https": 443}


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet: not loopback, private, link-local, shared, multicast ..."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return parsed.is_global and not parsed.is_multicast and parsed not in PROTOCOL_IPV4
    if parsed.sixtofour is not None:
        return is_public(str(parsed.sixtofour))
    return parsed in ROUTED_IPV6 and parsed not in PROTOCOL_IPV6 and parsed.is_global


def problem_of_url(url: str) -> str | None:
    """What is wrong with a sink's URL as text, as a sentence; None when nothing is."""
    try:
        parts = urlsplit(url)
        host, has_userinfo, _ = parts.hostname, "@" in parts.netloc, parts.port
    except ValueError as error:
        return f"url {url!r} is no URL: {error}."
    if parts.scheme not in _PORTS or not host:
        return f"url {url!r} must begin with http:// or https:// and name a host."
    if has_userinfo:
        return "url must not hold a user name or password. Put credentials into the sink's own fields."
    return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses this machine would connect to; oddly written ones (`0x7f.1`, `2130706433`) come out plain."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def require_public(url: str, resolve: Resolve = resolve) -> None:
    """Return when every address behind `url` is public.

    Raises:
        SinkMisconfiguredError: one is not.
        SinkUnavailableError: the name does not resolve now.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        addresses = await resolve(host, parts.port or _PORTS[parts.scheme])
    except OSError as error:
        msg = f"There is no address for {host}: {error.strerror or error}. Check the sink's url and the name server."
        raise SinkUnavailableError(msg) from error
    for address in addresses:
        if not is_public(address):
            raise not_public(host, address)


def not_public(host: str, address: str) -> SinkMisconfiguredError:
    """What is raised for a name that leads into the private network."""
    return SinkMisconfiguredError(
        f"{host} is {address}, which is not on the public internet, so nothing was sent. If this sink is "
        "meant to reach the private network, set allow_private_network = true."
    )
