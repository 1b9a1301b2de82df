"""Rolls as the runner makes them, buckets of a moto server, and a server that answers what a test says."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pyarrow as pa
import pytest

from edge.bindings.pipelines.objects import SinkFormat, SinkObject
from edge.bindings.pipelines.sinks.sink import Roll, Rows, SinkSite
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

INSERT_ID = "0123456789abcdef0123456789abcdef"
NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
DAY_US = 86_400_000_000

_names = count(1)


class Runner:
    """Stages and publishes as `delivery/` does, with staging folders that stay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = FakeHost(folder / "state")
        self.host.state_dir.mkdir()
        self.site = SinkSite(self.host, folder, 10.0)

    def sink(self, type_: str, form: SinkFormat | None = None, **config: Any) -> SinkObject:
        return SinkObject("5" * 32, "my_sink", type_, 1.0, 1.0, config=config, format=form or SinkFormat())

    def rows(self, numbers: Sequence[int], *, day: int = 0, **columns: pa.Array) -> Rows:
        length = len(numbers)
        batch = pa.record_batch(
            {
                "n": pa.array(numbers, pa.int64()),
                **columns,
                "__edge_partition": pa.array([0] * length, pa.int32()),
                "__edge_offset": pa.array(numbers, pa.int64()),
                "__edge_ingested_at": pa.array([NOW_US + day * DAY_US] * length, pa.timestamp("us", "UTC")),
            }
        )
        return Rows("s", batch, count=length)

    def staging(self, epoch: int, insert_id: str = INSERT_ID) -> Path:
        return self.folder / f"staging-{insert_id}-{epoch}"

    def stage(self, sink: Any, *batches: Rows, epoch: int = 1, fence: int = 1, insert_id: str = INSERT_ID) -> Roll:
        folder = self.staging(epoch, insert_id)
        folder.mkdir(exist_ok=True)
        stager = sink.open_stager(folder, insert_id, epoch)
        for batch in batches:
            stager.write(batch)
        return Roll(insert_id, "5" * 32, "s", epoch, fence, {0: 10 * epoch}, {0: 10 * epoch + 9}, tuple(stager.close()))

    async def publish(self, sink: Any, roll: Roll) -> Any:
        return await sink.publish(roll, self.staging(roll.epoch, roll.insert_id))

    async def deliver(self, sink: Any, *batches: Rows, **which: Any) -> Roll:
        roll = self.stage(sink, *batches, **which)
        await self.publish(sink, roll)
        return roll


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def make_bucket(url: str) -> str:
    name = f"bucket-of-sinks-{next(_names)}"
    urlopen(Request(f"{url}/{name}", method="PUT")).close()
    return name


@pytest.fixture
def bucket(moto_url: str) -> str:
    """The name of a new, empty bucket."""
    return make_bucket(moto_url)


@pytest.fixture
def s3_config(moto_url: str, bucket: str) -> dict[str, Any]:
    """Settings of an s3 or r2 sink on that bucket."""
    return config_on(moto_url, bucket)


def config_on(url: str, bucket: str) -> dict[str, Any]:
    credentials = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI"}
    return {"bucket": bucket, "endpoint": url, "credentials": credentials, "allow_private_network": True}


class Answers:
    """A server whose every answer a test sets."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.body = b""
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    def error(self, status: int, code: str) -> None:
        self.status, self.body = status, f"<Error><Code>{code}</Code></Error>".encode() if code else b""


@contextmanager
def answering() -> Iterator[Answers]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            answers.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            self.send_response(answers.status)
            self.send_header("content-length", str(len(answers.body)))
            self.end_headers()
            self.wfile.write(answers.body)

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answers = Answers(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answers
        server.shutdown()
        thread.join()


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering() as server:
        yield server


@pytest.fixture
def config_of_url() -> Callable[[str, str], dict[str, Any]]:
    return config_on
