"""A moto server for the whole session: AWS as a real HTTP endpoint on a free port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """Address of the server. Its state is shared by the session: a test uses names of its own, never a reset."""
    from moto.server import ThreadedMotoServer  # takes a second to load: only for tests that ask

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
