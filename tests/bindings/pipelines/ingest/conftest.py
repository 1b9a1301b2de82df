"""Streams with their doors open, on a host whose clock moves by hand."""

from __future__ import annotations

import json
import shutil
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings._shared.tokens import TokenStore
from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.catalogue import FILE_NAME, Catalogue
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.local import open_binding
from edge.bindings.pipelines.objects import Cors, HttpIngest, StreamObject
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.bindings.spec import Site
from edge.runtime.core.body import Body
from edge.runtime.core.request import incoming_request
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge.bindings.pipelines.stream import Stream
    from edge.bindings.spec import Opened

FLIGHT = Schema((Field("string", "carrier", required=True), Field("int64", "distance")))


@dataclass
class Answer:
    status: int
    json: Any
    headers: dict[str, str]


class Ingest:
    """What a client sees of the doors, and what the log keeps."""

    def __init__(self, state_dir: Path, host: FakeHost, opened: Opened, tokens: TokenStore) -> None:
        self.state_dir = state_dir
        self.host = host
        self.opened = opened
        self.tokens = tokens

    async def ask(
        self,
        url: str,
        body: bytes | None = None,
        method: str = "POST",
        chunks: list[bytes] | None = None,
        **headers: str,
    ) -> Answer:
        """Ask the door that claims `url`. Header names have `_` for `-`."""
        host, _, path = url.removeprefix("http://").partition("/")
        door = next(door for door in self.opened.doors if door.claims(host, f"/{path}".partition("?")[0]))
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        given = None if body is None else Body(body)
        if chunks is not None:
            given = Body(chunks=_each(chunks))
        answer = await door.fetch(incoming_request(method, url, pairs, given))
        text = await answer.text()
        return Answer(answer.status, json.loads(text) if text else None, dict(answer.headers.items()))

    async def post(self, body: bytes | list[Any], stream: str = "flights", **more: Any) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask(f"http://{stream}.ingest.localhost:8787/", content, **more)

    async def kept(self, stream: str = "flights") -> list[Any]:
        """Every record in the log."""
        folders = StreamFolders(self.state_dir)
        if not folders.folder(stream).path.is_dir():
            return []
        return [json.loads(record.json) async for record in folders.tail(stream, follow=False)]

    def warnings(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event, values) for level, event, values in self.host.log.lines if level == "warning"]

    def bound(self, name: str = "STREAM") -> Stream:
        stream: Stream = self.opened.env[name]
        return stream


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def stream_object(name: str = "flights", **more: Any) -> StreamObject:
    """A stream that takes records over HTTP without a token."""
    http = more.pop("http", HttpIngest(authentication=False))
    return StreamObject(id_of("stream", name), name, 1.0, 1.0, http=http, **more)


STREAMS = (
    stream_object(),
    stream_object("typed", schema=FLIGHT),
    stream_object("strict", schema=FLIGHT, validation="strict"),
    stream_object("guarded", http=HttpIngest(cors=Cors(("https://app.example",)))),
    stream_object("closed", http=HttpIngest(enabled=False)),
    stream_object("open", http=HttpIngest(authentication=False, cors=Cors(("*",)))),
)


@pytest.fixture
def open_ingest(tmp_path: Path) -> Callable[..., Any]:
    """Open streams: `async with open_ingest(stream_object()) as ingest`. Bindings: STREAM, the first one."""

    @asynccontextmanager
    async def open_it(*streams: StreamObject, state_dir: Path = tmp_path, **options: Any) -> AsyncIterator[Ingest]:
        host = FakeHost(state_dir, **options)
        with closing(Catalogue(state_dir)) as catalogue:
            for stream in streams:
                if catalogue.stream(stream.id) is None:
                    catalogue.add_stream(stream)
        entries = [PipelineEntry("STREAM", stream=streams[0].name)] if streams else []
        async with AsyncExitStack() as stack:
            stack.push_async_callback(host.aclose)
            tokens = stack.enter_context(closing(TokenStore(state_dir, now=host.now)))
            opened = await stack.enter_async_context(open_binding(entries, Site(host, None)))  # type: ignore[arg-type]  # no settings are needed
            yield Ingest(state_dir, host, opened, tokens)

    return open_it


@pytest.fixture(scope="session")
def catalogue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with every stream of `ingest`, made once: each stream costs a sync of the disk."""
    state_dir = tmp_path_factory.mktemp("catalogue")
    with closing(Catalogue(state_dir)) as catalogue:
        for stream in STREAMS:
            catalogue.add_stream(stream)
    return state_dir / "pipelines" / FILE_NAME


@pytest.fixture
async def ingest(open_ingest: Callable[..., Any], catalogue_file: Path, tmp_path: Path) -> AsyncIterator[Ingest]:
    """`flights`, unstructured; `typed`, with a schema; `strict`, with the same one; all without a token."""
    (tmp_path / "pipelines").mkdir()
    shutil.copy(catalogue_file, tmp_path / "pipelines")
    async with open_ingest(STREAMS[0]) as opened:
        yield opened
