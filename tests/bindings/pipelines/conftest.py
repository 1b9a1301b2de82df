"""A partition of a log in a folder of its own."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from edge.bindings.pipelines.declared import declared_objects
from edge.bindings.pipelines.records import encode_records
from edge.bindings.pipelines.stream_log.partition import PartitionLog
from edge.bindings.pipelines.stream_log.reader import PartitionReader
from edge.runtime.serve import ConfigChoice, load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.bindings.pipelines.declared import Declared

settings.register_profile("shared machine", deadline=None)  # an example may wait for other work on the same cores
settings.load_profile("shared machine")

STREAM_ID = "0123456789abcdef0123456789abcdef"


class Partition:
    """A partition's log as tests use it: JSON in, JSON out."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.log = PartitionLog(folder, STREAM_ID, int(folder.name), now=lambda: 1_767_225_600.0, **options)
        self.log.open(asyncio.get_running_loop())

    async def send(self, *records: object) -> None:
        batch = encode_records(list(records))
        await self.log.append(batch.lines, batch.count)

    def read(self, from_offset: int = 0, until: int | None = None) -> list[bytes]:
        frames = PartitionReader(self.folder, from_offset).frames(until)
        return [text for frame in frames for offset, text in frame.records() if offset >= from_offset]

    @property
    def newest(self) -> Path:
        return max(self.folder.glob("*.log"))


@pytest.fixture
def open_partition(tmp_path: Path) -> Iterator[Callable[..., Partition]]:
    """Open the partition at `streams/<id>/<number>`; closed at the end if it was not yet."""
    opened: list[Partition] = []

    def open_one(number: int = 0, **options: Any) -> Partition:
        opened.append(Partition(tmp_path / "streams" / STREAM_ID / str(number), **options))
        return opened[-1]

    yield open_one
    for partition in opened:
        partition.log.close()


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Declared]:
    """What an edge.toml of this text declares; keyword arguments are keys of the wrangler file beside it."""

    def declare(edge_toml: str, **wrangler: Any) -> Declared:
        (tmp_path / "entry.py").touch()
        (tmp_path / "wrangler.jsonc").write_text(json.dumps({"name": "demo", "main": "entry.py", **wrangler}))
        (tmp_path / "edge.toml").write_text(edge_toml)
        return declared_objects(load_config(ConfigChoice(tmp_path / "wrangler.jsonc", "")))

    return declare
