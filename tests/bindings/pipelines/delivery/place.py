"""A state folder whose pipelines run in this process, for tests that change what runs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from edge.bindings.pipelines.catalogue import Catalogue, TableNames
from edge.bindings.pipelines.dead_letters import DeadLetters
from edge.bindings.pipelines.delivery import runner
from edge.bindings.pipelines.delivery.status import DeliveryStatus
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import PipelineObject, RollingPolicy, SinkFormat, SinkObject, StreamObject
from edge.bindings.pipelines.open_streams import OpenStreams
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge.bindings.pipelines.delivery.store import InsertState

SCHEMA = Schema((Field("int64", "n", required=True), Field("string", "name")))
PATIENCE_S = 60.0


async def until(is_so: Callable[[], object]) -> None:
    """Wait for what threads do."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - there is no event across the store
            await asyncio.sleep(0.01)


class Place:
    """A state folder with streams `raw` and `typed`, and what is delivered from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        self.host = LocalMachine(self.state_dir, RecordingLog())
        self.catalogue = Catalogue(self.state_dir)
        self.folders = StreamFolders(self.state_dir)
        self.store = DeliveryStore(self.state_dir)
        self.letters = DeadLetters(self.state_dir)
        self.status = DeliveryStatus(self.state_dir, self.folders)
        self.streams = OpenStreams(self.host, self.folders, self.catalogue)
        self.catalogue.add_stream(StreamObject(id_of("stream", "raw"), "raw", 0.0, 0.0))
        self.catalogue.add_stream(StreamObject(id_of("stream", "typed"), "typed", 0.0, 0.0, schema=SCHEMA))

    def add_sink(self, name: str, form: str = "json", interval_s: float = 0.02, **policy: Any) -> None:
        rolling = RollingPolicy(interval_seconds=interval_s, **policy)
        config = {"path": f"out/{name}"}
        self.catalogue.add_sink(
            SinkObject(id_of("sink", name), name, "local", 0.0, 0.0, config, SinkFormat(form), rolling)  # type: ignore[arg-type]
        )

    def add_pipeline(
        self, sql: str, streams: tuple[str, ...], sinks: tuple[str, ...], **options: Any
    ) -> PipelineObject:
        pipeline = PipelineObject(id_of("pipeline", "p"), "p", sql, 0.0, 0.0, **options)
        self.catalogue.add_pipeline(pipeline, TableNames(streams, sinks))
        return pipeline

    async def send(self, stream: str, *records: object) -> None:
        body = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        await (await self.streams.require(stream)).append(body, len(records), is_lines=True)

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[None]:
        delivery = runner.PipelineRunner(self.host, self.catalogue, self.folders, config_folder=self.folder, **options)
        task = self.host.spawn(delivery.run(), name="delivery")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def files(self, sink: str) -> list[Path]:
        """As a reader sees them: a dot begins the name of a file that is being written."""
        return sorted(path for path in (self.folder / "out" / sink).rglob("[!.]*") if path.is_file())

    def numbers(self, sink: str) -> list[int]:
        """The `n` of every delivered row, sorted."""
        found: list[int] = []
        for path in self.files(sink):
            if path.suffix == ".parquet":
                found += pq.ParquetFile(path).read().column("n").to_pylist()
            else:
                found += [json.loads(line)["n"] for line in path.read_bytes().splitlines()]
        return sorted(found)

    def inserts(self) -> list[InsertState]:
        """Those of pipelines."""
        return [one for one in self.store.inserts() if one.key.pipeline_id]

    def failure(self) -> str:
        return self.status.of_pipeline(id_of("pipeline", "p")).failure_reason or ""

    def is_balanced(self) -> bool:
        accounts = [one for folder in self.folders.all() for one in self.status.accounts(folder)]
        return bool(accounts) and all(one.is_balanced for one in accounts)


@asynccontextmanager
async def open_place(folder: Path) -> AsyncIterator[Place]:
    place = Place(folder)
    with closing(place.catalogue), closing(place.store), closing(place.letters), closing(place.status):
        async with place.streams:
            yield place
        await place.host.aclose()


def numbered(*numbers: int) -> list[dict[str, int]]:
    return [{"n": n} for n in numbers]
