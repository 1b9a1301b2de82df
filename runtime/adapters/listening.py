"""Sockets to listen on, and who holds a port that is taken."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from ..core.errors import EdgeError

LOOPBACK = ("127.0.0.1", "::1")
PORT_TRIES_MAX = 20
"""A port the system chose for the first address may be taken on the second: so often another one is tried."""

_PROC = Path("/proc")
_LISTENS = "0A"


class PortTakenError(EdgeError):
    """Raised when another process listens where a server should."""


def open_sockets(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Bound sockets, all on one port, not yet listening; the caller closes them, or hands them to a server.

    Args:
        host: an address or a name; "localhost" is 127.0.0.1 and, where the machine has it, ::1.
        port: 0 lets the system choose.
        reuse_port: share the port with other processes that ask for the same (`SO_REUSEPORT`). The first of them
            calls `reserve_port`, which notices a stranger on the port.

    Raises:
        PortTakenError: the text names the process that holds the port, if it can be seen.
        EdgeError: the address is not this machine's, or the port needs rights this user has not.
    """
    addresses = _addresses(host)
    for _ in range(PORT_TRIES_MAX if port == 0 else 1):
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                at = sockets[0].getsockname()[1] if sockets else port
                if (opened := _bound(address, at, reuse_port=reuse_port)) is not None:
                    sockets.append(opened)
        except OSError as error:
            for opened in sockets:
                opened.close()
            if error.errno == errno.EADDRINUSE and port == 0:
                continue
            raise _explained(error, host, port) from error
        if sockets:
            return sockets
    msg = f"No port is free on {host}. Pass --port with one that is."
    raise EdgeError(msg)


def reserve_port(host: str, port: int) -> list[socket.socket]:
    """Hold a port for processes that will share it: sockets that never listen, closed by the caller at the end.

    Raises: as `open_sockets`; another process on the port is noticed, even one that shares ports.
    """
    alone = open_sockets(host, port)
    chosen = alone[0].getsockname()[1]
    for opened in alone:
        opened.close()
    return open_sockets(host, chosen, reuse_port=True)


def find_port_holder(port: int) -> str | None:
    """The process that listens on `port`, as `4211 (python -m http.server)`; None where it cannot be seen."""
    try:
        inodes = {inode for table in ("tcp", "tcp6") for inode in _listeners(_PROC / "net" / table, port)}
        for process in _PROC.iterdir():
            if process.name.isdigit() and _holds(process, inodes):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"{process.name} ({command})" if command else process.name
    except OSError:
        pass  # no /proc, or the process ended while we looked
    return None


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == "localhost":
        return [(socket.AF_INET, LOOPBACK[0]), (socket.AF_INET6, LOOPBACK[1])]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        msg = f"{host} is no address of this machine ({error.strerror}). Pass --ip with one, for example 127.0.0.1."
        raise EdgeError(msg) from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bound(address: tuple[socket.AddressFamily, str], port: int, *, reuse_port: bool) -> socket.socket | None:
    """None where the machine has no IPv6 but localhost asks for it."""
    family, ip = address
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        if ip == LOOPBACK[1]:
            return None
        raise
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((ip, port))
    except OSError as error:
        opened.close()
        if ip == LOOPBACK[1] and error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    opened.setblocking(False)
    return opened


def _explained(error: OSError, host: str, port: int) -> EdgeError:
    if error.errno == errno.EADDRINUSE:
        holder = find_port_holder(port)
        by = f"by process {holder}" if holder else "by another process"
        return PortTakenError(f"Port {port} on {host} is in use {by}. Stop it, or pass --port with another one.")
    if error.errno == errno.EACCES:
        return EdgeError(f"This user may not listen on port {port}. Pass --port with one above 1023.")
    reason = os.strerror(error.errno or 0)
    return EdgeError(f"Cannot listen on {host} port {port}: {reason}. Pass --ip with an address of this machine.")


def _listeners(table: Path, port: int) -> list[str]:
    """Inodes of listening sockets on a port. Columns: sl, local address, remote address, state, ..., inode."""
    if not table.exists():
        return []
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return [row[9] for row in rows if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) == port]


def _holds(process: Path, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        return any(str(fd.readlink()) in wanted for fd in (process / "fd").iterdir())
    except OSError:
        return False  # another user's process, or one that ended
