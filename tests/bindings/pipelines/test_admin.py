"""Streams made and deleted in a state folder, with their logs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.admin import PipelinesAdmin
from edge.bindings.pipelines.catalogue import StillReferencedError, TableNames
from edge.bindings.pipelines.objects import PipelineObject, RollingPolicy, SinkFormat, StreamObject
from edge.bindings.pipelines.stream_log.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STREAM_ID = "0123456789abcdef0123456789abcdef"  # where conftest's open_partition writes


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[PipelinesAdmin]:
    with closing(PipelinesAdmin.of(tmp_path)) as admin:
        yield admin


async def test_unprocessed_records_are_those_the_slowest_reader_has_not_delivered(
    admin: PipelinesAdmin, open_partition: Callable[..., Any]
) -> None:
    assert admin.unprocessed_count(STREAM_ID) == 0
    zero, one = open_partition(0), open_partition(1)
    await zero.send(1, 2, 3)
    await one.send(4)
    assert admin.unprocessed_count(STREAM_ID) == 4
    folder = admin.folders.folder(STREAM_ID)
    folder.save_cursor("fast", 0, 3, Disk())
    folder.save_cursor("slow", 0, 1, Disk())
    folder.save_cursor("fast", 1, 1, Disk())
    assert admin.unprocessed_count(STREAM_ID) == 2


async def test_a_deleted_stream_takes_its_log_along(admin: PipelinesAdmin, open_partition: Callable[..., Any]) -> None:
    admin.catalogue.add_stream(StreamObject(STREAM_ID, "flights", 1.0, 1.0))
    partition = open_partition(0)
    await partition.send(1)
    partition.log.close()
    assert admin.delete_stream(STREAM_ID)
    assert not admin.folders.folder(STREAM_ID).path.exists()
    assert admin.catalogue.streams() == []


async def test_a_log_that_is_held_goes_when_its_holder_has_let_go(
    admin: PipelinesAdmin, open_partition: Callable[..., Any]
) -> None:
    admin.catalogue.add_stream(StreamObject(STREAM_ID, "flights", 1.0, 1.0))
    partition = open_partition(0)
    await partition.send(1)
    assert not admin.delete_stream(STREAM_ID)
    beside = admin.create_stream(STREAM_ID, 2.0, origin="binding")
    assert beside.id != STREAM_ID  # made anew meanwhile, a stream has a log of its own
    admin.delete_stream(beside.id)
    admin.remove_deleted_logs()
    assert admin.folders.folder(STREAM_ID).path.exists()
    partition.log.close()
    admin.remove_deleted_logs()
    assert not admin.folders.folder(STREAM_ID).path.exists()
    assert admin.create_stream(STREAM_ID, 2.0, origin="binding").id == STREAM_ID


async def test_a_log_that_its_holder_went_on_with_is_kept(
    admin: PipelinesAdmin, open_partition: Callable[..., Any]
) -> None:
    admin.catalogue.add_stream(StreamObject(STREAM_ID, "flights", 1.0, 1.0))
    partition = open_partition(0)
    await partition.send(1)
    admin.delete_stream(STREAM_ID)
    await partition.send(2)
    partition.log.close()
    for _ in range(2):
        admin.remove_deleted_logs()
        assert partition.read() == [b"1", b"2"]


async def test_a_refused_deletion_leaves_the_log(admin: PipelinesAdmin, open_partition: Callable[..., Any]) -> None:
    admin.catalogue.add_stream(StreamObject(STREAM_ID, "flights", 1.0, 1.0))
    admin.create_sink(
        "far", "local", 1.0, config={"path": "out"}, sink_format=SinkFormat(), rolling_policy=RollingPolicy()
    )
    admin.catalogue.add_pipeline(PipelineObject("1" * 32, "one", "", 1.0, 1.0), TableNames(("flights",), ("far",)))
    await open_partition(0).send(1)
    with pytest.raises(StillReferencedError):
        admin.delete_stream(STREAM_ID)
    assert admin.unprocessed_count(STREAM_ID) == 1
