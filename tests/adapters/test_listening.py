from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from edge.runtime.adapters.listening import PortTakenError, find_port_holder, open_sockets, reserve_port
from edge.runtime.core.errors import EdgeError

LISTENER = """
import socket, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def stranger():
    """Another process that listens; yields (pid, port)."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process.pid, int(process.stdout.readline())
        process.stdin.close()


@pytest.fixture
def opened():
    """Collects sockets and closes them."""
    sockets = []
    yield sockets.extend
    for each in sockets:
        each.close()


def test_localhost_is_both_loopbacks_on_one_port(opened):
    sockets = open_sockets("localhost", 0)
    opened(sockets)
    addresses = [each.getsockname()[:2] for each in sockets]
    assert [ip for ip, _ in addresses] == ["127.0.0.1", "::1"]
    assert len({port for _, port in addresses}) == 1


def test_taken_port_names_its_holder(stranger):
    pid, port = stranger
    with pytest.raises(PortTakenError, match=rf"Port {port} on localhost is in use by process {pid} \(.*python.* -c"):
        open_sockets("localhost", port)


def test_free_port_has_no_holder():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert find_port_holder(bound.getsockname()[1]) is None


def test_shared_port_can_be_bound_again(opened):
    reserved = reserve_port("127.0.0.1", 0)
    opened(reserved)
    port = reserved[0].getsockname()[1]
    for _ in range(2):
        sockets = open_sockets("127.0.0.1", port, reuse_port=True)
        opened(sockets)
        sockets[0].listen()


def test_reserving_notices_a_server_that_shares_its_port(opened):
    first = open_sockets("127.0.0.1", 0, reuse_port=True)
    opened(first)
    first[0].listen()
    with pytest.raises(PortTakenError):
        reserve_port("127.0.0.1", first[0].getsockname()[1])


def test_failed_opening_leaves_no_socket_bound(stranger):
    """The first address is free, the second is not: the first must not stay taken."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError):
            open_sockets("localhost", port)
        with socket.create_server(("127.0.0.1", port)):
            pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.name.invalid"])
def test_foreign_address_is_explained(host):
    with pytest.raises(EdgeError, match=r"address.*of this machine"):
        open_sockets(host, 0)
