"""What tests of every folder share: a moto server, and hypothesis without deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


settings.register_profile("edge", deadline=None)  # speed lives in bench/, and a busy machine is no failure
settings.load_profile("edge")


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A moto server, AWS as a real HTTP endpoint. Its state is shared: a test uses names of its own, never a reset."""
    from moto.server import ThreadedMotoServer  # takes a second to load: only for tests that ask

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
