"""Which hosts a request may name, and which pages may call Edge's own routes.

A web page can make a browser send requests to this machine, under a name of its own that resolves to 127.0.0.1
(DNS rebinding). Such a request differs from the user's in one header only, its Host, so every route checks it first.
Source: spec "Reliability", section 3; decisions 9h, 22.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..core.errors import RefusedError
from ..core.wire_url import AUTHORITY, normal_origin

if TYPE_CHECKING:
    from collections.abc import Iterable

KNOWN_HOSTS_MAX = 1024
"""Spellings of allowed hosts that are remembered; `*.localhost` has no end."""


class HostGuard:
    """The allow-list of one server."""

    def __init__(self, allowed_hosts: Iterable[str] = (), bound_addresses: Iterable[str] = ()) -> None:
        """
        Args:
            allowed_hosts: names or addresses without port, added to localhost, `*.localhost` and loopback addresses.
            bound_addresses: where the server listens. A wildcard (0.0.0.0, ::) allows every address written as
                numbers: rebinding needs a name.
        """
        bound = {ip_address(address.partition("%")[0]) for address in bound_addresses}
        self._names = {host.lower().rstrip(".") for host in allowed_hosts} | {str(address) for address in bound}
        self._is_wildcard = any(address.is_unspecified for address in bound)
        self._known: dict[str, str] = {}

    def require_origin(self, host: str | None) -> str:
        """The origin, as a URL shows it, of an allowed Host header.

        Raises:
            RefusedError: 400 for a Host that is missing or malformed, 403 for one that is not allowed.
        """
        origin = self._known.get(host or "")
        if origin is not None:
            return origin
        if host is None:
            raise RefusedError(400, "The request has no Host header. Send one, for example Host: localhost.")
        origin = normal_origin("http", host)
        if not self._is_allowed(origin.removeprefix("http://")):
            msg = (
                f"Host {host} is not allowed here. Edge answers localhost and loopback addresses; add other names "
                f"with --host-allow, or allowed_hosts under [server] in edge.toml."
            )
            raise RefusedError(403, msg)
        if len(self._known) >= KNOWN_HOSTS_MAX:
            self._known.clear()
        self._known[host] = origin
        return origin

    def check_control(self, own_origin: str, origin: str | None, fetch_site: str | None) -> None:
        """Refuse a call of Edge's own routes that a page of another origin made, another local port's too.

        Raises:
            RefusedError: 403, the Origin is not the one called, or the browser says so.
        """
        if origin is not None and origin.lower() != own_origin:
            raise RefusedError(403, "Edge's own routes do not answer pages of another origin.")
        if fetch_site is not None and fetch_site.lower() not in {"same-origin", "none"}:
            raise RefusedError(403, "Edge's own routes do not answer pages of another origin.")

    def check_preflight(self, own_origin: str, origin: str | None, private_network: str | None) -> None:
        """Refuse what a browser asks before it lets a public site's page call this machine.

        Raises:
            RefusedError: 403. Source: WICG "Private Network Access", 3.1.
        """
        if private_network is not None and origin is not None and origin.lower() != own_origin:
            raise RefusedError(403, "A page of another network may not call this server.")

    def _is_allowed(self, authority: str) -> bool:
        match = AUTHORITY.fullmatch(authority)
        assert match is not None, "it has become an origin"
        name = match[1].rstrip(".").strip("[]")
        if name in self._names or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self._is_wildcard or str(address) in self._names
