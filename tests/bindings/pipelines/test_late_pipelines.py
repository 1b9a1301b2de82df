"""A Worker without streams: nothing is opened for them until somebody needs it, here or in another process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines import open_pipelines
from edge.bindings.pipelines.admin import PipelinesAdmin
from edge.bindings.pipelines.late_pipelines import LOOK_SECONDS
from edge.bindings.pipelines.objects import HttpIngest, RollingPolicy, SinkFormat
from edge.bindings.pipelines.stream_log.partition import PartitionLog
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.runtime.core.body import Body
from edge.runtime.core.request import incoming_request
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge.runtime.core.response import Response
    from edge.runtime.serve import App

ENTRY = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("hello")
"""
CONFIG = '{"name": "shop", "main": "entry.py", "compatibility_date": "2026-09-08"'
WITHOUT_A_STREAM = """
import asyncio, sys
from pathlib import Path
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import FakeHost

async def main():
    choice = ConfigChoice(Path("wrangler.json").absolute())
    host = FakeHost(Path("state").absolute())
    async with open_local_app(choice, host, load_config(choice)):
        await host.settle()
        await host.advance(10)
        print(*(name.rpartition("pipelines.")[2] for name in sys.modules if "bindings.pipelines." in name))
    await host.aclose()

asyncio.run(main())
"""
WITH_A_STREAM = """
import asyncio, sys
from pathlib import Path
from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.local import open_binding
from edge.bindings.spec import Site
from edge.runtime.testing.fake_host import FakeHost

async def main():
    host = FakeHost(Path("state").absolute())
    async with open_binding([PipelineEntry("STREAM", stream="flights")], Site(host, None)) as opened:
        for source in opened.sources:
            host.spawn(source.run(), name="source")
        await opened.env["STREAM"].send([1])
        await host.advance(2)
    await host.aclose()
    print(*sys.modules)

asyncio.run(main())
"""
INGEST = "http://flights.ingest.localhost:8787/"
DOORS = {
    "its own host": (INGEST, 404),
    "its own path": ("http://localhost:8787/cdn-cgi/ingest/flights", 404),
    "events": ("http://api.localhost:8787/v1/streams/ingest", 401),
    "otlp": ("http://localhost:8787/cdn-cgi/otlp/flights/v1/logs", 404),
    "metrics": ("http://localhost:8787/cdn-cgi/metrics", 405),
}
"""Where each door is, and what it answers to a POST where there is no stream."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "entry.py").write_text(ENTRY)
    (tmp_path / "wrangler.json").write_text(CONFIG + "}")
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
async def host(project: Path) -> AsyncIterator[FakeHost]:
    host = FakeHost(project / "state")
    yield host
    await host.aclose()


@asynccontextmanager
async def open_app(project: Path, host: FakeHost) -> AsyncIterator[App]:
    choice = ConfigChoice(project / "wrangler.json")
    async with open_local_app(choice, host, load_config(choice)) as app:
        yield app


async def post(app: App, url: str, records: list[Any]) -> Response:
    return await app.fetch(incoming_request("POST", url, [], Body(json.dumps(records).encode())))


async def until(host: FakeHost, is_so: Callable[[], bool]) -> None:
    """Let the clock go on, and threads come to their end."""
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.to_thread(lambda: None)
            await host.advance(LOOK_SECONDS)


def lines(folder: Path) -> list[Any]:
    """The records that were written out below it."""
    return [json.loads(line) for path in sorted(folder.rglob("*.ndjson")) for line in path.read_text().splitlines()]


def test_a_worker_without_streams_loads_nothing_of_them_and_makes_no_file(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_STREAM], cwd=project, capture_output=True, text=True, check=False
    )
    assert ({*done.stdout.split()}, done.stderr) == ({"local", "late_pipelines", "addresses"}, "")
    assert not {"pipelines", "streams"} & {path.name for path in (project / "state").iterdir()}


def test_a_stream_without_pipelines_loads_neither_their_runner_nor_doors_nobody_asked(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_STREAM], cwd=project, capture_output=True, text=True, check=False
    )
    loaded = {name.removeprefix("edge.bindings.pipelines.") for name in done.stdout.split()}
    assert "open_pipelines" in loaded, done.stderr
    assert not {"delivery.runner", "sql.statements", "ingest.otlp", "observability.metrics"} & loaded


@pytest.mark.parametrize(("url", "status"), DOORS.values(), ids=DOORS)
async def test_the_first_requests_to_a_door_open_it_once(project: Path, host: FakeHost, url: str, status: int) -> None:
    async with open_app(project, host) as app:
        (late,) = (one for one in app.environment.sources if type(one).__name__ == "LatePipelines")
        assert not late._late.has_begun  # type: ignore[attr-defined]  # what the promise is about
        answers = await asyncio.gather(*(post(app, url, []) for _ in range(10)))
        assert {answer.status for answer in answers} == {status}
        assert {answer.status for answer in [await post(app, url, [])]} == {status}


async def test_a_stream_made_at_run_time_takes_records_at_once_and_delivers_them(project: Path, host: FakeHost) -> None:
    async with open_app(project, host) as app:
        assert app.admins["pipelines"].catalogue.streams() == []
        app.admins["pipelines"].create_stream("flights", host.now(), http=HttpIngest(authentication=False))
        answer = await post(app, INGEST, [{"n": 1}, {"n": 2}])
        assert (answer.status, await answer.json()) == (200, {"success": True, "result": {"committed": 2}})
        await until(host, lambda: len(lines(host.state_dir / "streams")) == 2)


async def test_what_another_process_makes_is_delivered_by_the_server_that_had_no_streams(
    project: Path, host: FakeHost
) -> None:
    async with open_app(project, host):
        with closing(PipelinesAdmin.of(host.state_dir)) as admin:
            stream = admin.create_stream("flights", host.now())
            form, rolling = SinkFormat("json", None), RollingPolicy(interval_seconds=1)
            config = {"path": str(project / "out")}
            admin.create_sink("files", "local", host.now(), config=config, sink_format=form, rolling_policy=rolling)
            admin.create_pipeline("copy", "INSERT INTO files SELECT * FROM flights", host.now())
            await leave_behind(host.state_dir, stream.id)
        await until(host, lambda: any((project / "out").rglob("*.json")))


async def leave_behind(state_dir: Path, stream_id: str) -> None:
    """A record in a partition of a process that is gone."""
    folder = StreamFolders(state_dir).folder(stream_id)
    log = PartitionLog(folder.partition(7), folder.id, 7, now=lambda: 0.0)
    log.open(asyncio.get_running_loop())
    await log.append(b'{"left": "behind"}\n', 1)
    log.close()


async def test_records_of_an_earlier_life_are_delivered_although_nothing_names_their_stream(
    project: Path, host: FakeHost
) -> None:
    await leave_behind(host.state_dir, "d" * 32)
    async with open_app(project, host):
        await until(host, lambda: lines(host.state_dir / "streams") == [{"left": "behind"}])


async def test_streams_that_cannot_be_opened_are_503_until_they_can(
    project: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real part broken on demand: the keys' table cannot be opened."""

    def fail(*_: Any) -> Any:
        raise OSError("no space left")

    async with open_app(project, host) as app:
        with monkeypatch.context() as broken:
            broken.setattr(open_pipelines, "IdempotencyKeys", fail)
            answer = await post(app, INGEST, [])
            assert (answer.status, answer.headers.get("retry-after")) == (503, "1")
            assert host.log.events("error") == ["pipelines_not_opened"]
        assert (await post(app, INGEST, [])).status == 404


async def test_a_config_that_declares_a_stream_later_opens_it_beside_what_the_api_made(
    project: Path, host: FakeHost
) -> None:
    async with open_app(project, host) as app:
        app.admins["pipelines"].create_stream("flights", host.now(), http=HttpIngest(authentication=False))
        assert (await post(app, INGEST, [{"n": 1}])).status == 200
        (project / "wrangler.json").write_text(CONFIG + ', "pipelines": [{"binding": "STREAM", "stream": "other"}]}')
        await app.reload({project / "wrangler.json"})
        assert (await post(app, INGEST, [{"n": 2}])).status == 200
        await app.environment.env.STREAM.send([{"n": 3}])
        await until(host, lambda: sorted(one["n"] for one in lines(host.state_dir / "streams")) == [1, 2, 3])
