"""A pipeline is moved away from a sink that fails and has half of a roll: each record is in one, or it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.catalogue import TableNames
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import Replay

from .half_way import add_old_sink
from .place import Place, numbered, until

if TYPE_CHECKING:
    from edge.bindings.pipelines.objects import PipelineObject

    from .half_way import HalfWay

pytestmark = pytest.mark.usefixtures("quick")

WAITS = (
    "Sink old may have some of 2 records that were on their way when the pipeline was changed, so nothing goes on "
    "before it has them all, each once. To give up on it: edge sinks delete old; then they go where the pipeline "
    "writes now, and what old has is in both. It fails: The far end does not answer."
)


async def half_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> PipelineObject:
    """A pipeline to `old`, and a roll of two records in two files for it."""
    later_s, now = 0.0, place.host.now
    monkeypatch.setattr(place.host, "now", lambda: now() + later_s)
    add_old_sink(place)
    place.add_sink("new")
    await place.send("raw", *numbered(1))
    later_s = 60.0
    await place.send("raw", *numbered(2))
    return place.add_pipeline("INSERT INTO old SELECT * FROM raw", ("raw",), ("old",))


def to_new(pipeline: PipelineObject) -> tuple[PipelineObject, TableNames]:
    return replace(pipeline, sql="INSERT INTO new SELECT * FROM raw", version=2), TableNames(("raw",), ("new",))


async def test_a_roll_is_finished_where_half_of_it_is_before_the_pipeline_goes_on_elsewhere(
    place: Place, half_way: HalfWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = await half_out(place, monkeypatch)
    async with place.running():
        await until(lambda: place.failure() == "The far end does not answer.")
        assert len(place.numbers("old")) == 1, "half of it is out"
        place.catalogue.change_pipeline(*to_new(pipeline))
        await place.send("raw", *numbered(3))
        await until(lambda: place.failure() == WAITS)
    async with place.running():  # another process waits as well
        await until(lambda: place.host.log.events().count("roll_continued") >= 2)
        assert place.numbers("new") == []
        half_way.is_up = True
        await until(lambda: place.numbers("new") == [3])
    assert place.numbers("old") == [1, 2]
    assert place.failure() == ""
    assert place.is_balanced()


async def test_who_waits_is_told_under_the_name_it_has_now(
    place: Place, half_way: HalfWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay goes to the same sink: there is nothing to give up."""
    old = await half_out(place, monkeypatch)
    async with place.running():
        await until(place.failure)
        new = replace(old, id=id_of("pipeline", "p2"), name="p2", lineage=old.id, replay=Replay(1.0, from_offset=0))
        place.catalogue.rename_pipeline(old.id, new, TableNames(("raw",), ("old",)))
        await until(lambda: place.status.of_pipeline(new.id).failure_reason == "The far end does not answer.")
        half_way.is_up = True
        await until(lambda: place.numbers("old") == [1, 1, 2, 2])


async def test_a_sink_that_is_deleted_is_waited_for_no_longer_and_what_may_be_twice_is_told(
    place: Place, half_way: HalfWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = await half_out(place, monkeypatch)
    async with place.running():
        await until(place.failure)
        place.catalogue.change_pipeline(*to_new(pipeline))
        await until(lambda: place.failure() == WAITS)
        assert place.status.half_out_count(id_of("sink", "old")) == 2
        place.catalogue.delete_sink(id_of("sink", "old"))
        await until(lambda: place.numbers("new") == [1, 2])
        await place.send("raw", *numbered(3))
        await until(lambda: place.numbers("new") == [1, 2, 3])
    assert len(place.numbers("old")) == 1, "it is in both, as was said"
    told = [values for _, event, values in place.host.log.lines if event == "half_roll_given_up"]
    assert [(one["sink_id"], one["record_count"]) for one in told] == [(id_of("sink", "old"), 2)]
    assert place.store.intents() == set()
    assert not [*(place.state_dir / "pipelines" / "staging").rglob("*.json")]
    assert not half_way.is_up


async def test_a_sink_of_the_same_name_is_another_one(
    place: Place, half_way: HalfWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on its way to the first is not put into the second, which was made anew."""
    pipeline = await half_out(place, monkeypatch)
    async with place.running():
        await until(place.failure)
        place.catalogue.change_pipeline(*to_new(pipeline))
        await until(lambda: place.failure() == WAITS)
    old = place.catalogue.sink("old")
    assert old is not None
    place.catalogue.delete_sink(old.id)
    place.catalogue.add_sink(replace(old, created_at=old.created_at + 1))
    half_way.is_up = True
    async with place.running():
        await until(lambda: place.numbers("new") == [1, 2])
    assert len(place.numbers("old")) == 1
