"""What tests of sinks that send records share: a host with the real HTTP client, servers on sockets, staged rolls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from edge.bindings.pipelines.objects import SinkObject
from edge.bindings.pipelines.sinks.sink import (
    OFFSET_COLUMN,
    PARTITION_COLUMN,
    TIME_COLUMN,
    Roll,
    Rows,
    Sink,
    SinkSite,
)
from edge.runtime.hosts import outbound
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from edge import Request, Response

STREAM_ID = "5" * 32
INGESTED_AT_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z, also when FakeHost's clock starts."""


class BriskHost(FakeHost):
    """A FakeHost that sleeps by moving its own clock, and speaks real HTTP."""

    def __init__(self, state_dir: Path | None = None) -> None:
        super().__init__(state_dir)
        self.slept: list[float] = []

    async def fetch(self, request: Request, *, may_connect: Callable[[str], bool] | None = None) -> Response:
        return await outbound.send_request(request, may_connect=may_connect)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds
        await super().sleep(0)


class Stage:
    """Stages rows as the runner does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def roll(
        self, sink: Sink, rows: Iterable[Mapping[str, Any]], *, epoch: int = 1, offsets: Iterable[int] | None = None
    ) -> Roll:
        """One roll of rows at offsets 100, 101 ...; times are one second apart."""
        values = [dict(row) for row in rows]
        places = list(offsets) if offsets is not None else list(range(100, 100 + len(values)))
        self.folder.mkdir(parents=True, exist_ok=True)
        stager = sink.open_stager(self.folder, "a" * 32, epoch)
        stager.write(Rows(stream_id=STREAM_ID, batch=batch_of(values, places), count=len(set(places))))
        return Roll(
            insert_id="a" * 32,
            sink_id="c" * 32,
            stream_id=STREAM_ID,
            epoch=epoch,
            fence=1,
            since={0: places[0]},
            until={0: places[-1] + 1},
            files=tuple(stager.close()),
        )


def batch_of(values: list[dict[str, Any]], offsets: list[int]) -> pa.RecordBatch:
    batch = pa.RecordBatch.from_pylist(values)
    times = [INGESTED_AT_US + i * 1_000_000 for i in range(len(values))]
    batch = batch.append_column(PARTITION_COLUMN, pa.array([0] * len(values), pa.int32()))
    batch = batch.append_column(OFFSET_COLUMN, pa.array(offsets, pa.int64()))
    return batch.append_column(TIME_COLUMN, pa.array(times, pa.timestamp("us", "UTC")))


@pytest.fixture
async def host() -> AsyncIterator[BriskHost]:
    yield BriskHost()
    await outbound.aclose()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "staging")


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]]:
    """Answer every request with a handler; gives the server's URL."""
    servers: list[TestServer] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return str(server.make_url("/")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
def opened(host: BriskHost, tmp_path: Path) -> Callable[..., Any]:
    """A sink of a type's module, opened with these settings as a pipeline's sink."""

    def open_one(module: Any, **config: Any) -> Any:
        kind = module.__name__.rpartition(".")[2]
        sink = SinkObject(id="c" * 32, name="far", type=kind, created_at=0.0, modified_at=0.0, config=config)
        return module.open_sink(sink, SinkSite(host=host, config_folder=tmp_path, default_interval_s=10.0))

    return open_one
