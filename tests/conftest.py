"""What tests of every folder share: a moto server, hypothesis without deadlines, SQLite connections that are closed."""

from __future__ import annotations

import signal
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


settings.register_profile("edge", deadline=None)  # speed lives in bench/, and a busy machine is no failure
settings.load_profile("edge")

_open_connections: dict[sqlite3.Connection, object] = {}
"""With their files."""


class _Connection(sqlite3.Connection):
    def __init__(self, database: Any, **options: Any) -> None:
        super().__init__(database, **options)
        _open_connections[self] = database

    def close(self) -> None:
        super().close()
        _open_connections.pop(self, None)


sqlite3.connect = sqlite3.dbapi2.connect = partial(sqlite3.connect, factory=_Connection)  # the other is SQLAlchemy's


@pytest.fixture(autouse=True)
def _connections_are_closed() -> Iterator[None]:
    """Python 3.13 warns of open ones when they are garbage, whatever test runs then; this tells in the test itself."""
    before = _open_connections.copy()
    yield
    left = {one: file for one, file in _open_connections.copy().items() if one not in before}
    for one in left:
        one.close()
    assert not left, f"The test left SQLite connections open: {', '.join(map(str, left.values()))}"


@pytest.fixture
def handled_ctrl_c() -> Iterator[None]:
    """SIGINT is handled, as in a server: a KeyboardInterrupt is then what code raised itself."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A moto server, AWS as a real HTTP endpoint. Its state is shared: a test uses names of its own, never a reset."""
    from moto.server import ThreadedMotoServer  # takes a second to load: only for tests that ask

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
