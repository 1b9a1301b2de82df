"""What the delivery store refuses: an old fence, a roll out of place, an account that does not add up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.delivery.intent import Intent, Tally
from edge.bindings.pipelines.delivery.store import DeliveryStore, FencedError, InsertKey
from edge.bindings.pipelines.sinks.sink import Published, Refused, Roll, StagedFile
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = InsertKey("1" * 32, "2" * 32, 0, "3" * 32, "4" * 32)
FILE = StagedFile("0.json", "a/b.json", 10, "ab" * 32, 3, {"row_groups": 1})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeliveryStore]:
    """Led with fence 1; KEY has begun at offset 5 of partition 0."""
    store = DeliveryStore(tmp_path)
    assert store.take_lease(store.lease(), "someone") is not None
    store.begin_insert(1, KEY, {0: 5})
    yield store
    store.close()


def intent(since: int = 5, until: int = 15, *, epoch: int = 1, **tally: int) -> Intent:
    tally = tally or {"delivered": until - since}
    roll = Roll(KEY.id, KEY.sink_id, KEY.stream_id, epoch, 1, {0: since}, {0: until}, (FILE,))
    return Intent(roll, "1-1-1", {0: Tally(**tally)}, {"recordsIn": 10.0}, {("execution", "runtime_error"): 1})


def committed(store: DeliveryStore) -> tuple[int, Tally]:
    state = store.insert(KEY.id)
    assert state is not None
    return state.progress[0].committed, state.progress[0].tally


def test_an_intent_is_read_back_as_it_was_written(store: DeliveryStore) -> None:
    store.add_intent(1, intent(), [])
    assert store.intent(KEY.id) == intent()


def test_a_commit_moves_the_offset_and_forgets_the_intent(store: DeliveryStore) -> None:
    store.add_intent(1, intent(), [])
    store.commit(1, intent(delivered=7, filtered=2, dead=1), 0.0, published=Published(files_written=1, rows_written=7))
    assert store.intent(KEY.id) is None
    assert committed(store) == (15, Tally(7, 2, 1, 0))
    (state,) = store.inserts()
    assert (state.epoch, state.counters["recordsWritten"], state.counters["recordsIn"]) == (1, 7.0, 10.0)


def test_what_a_sink_refuses_is_dead_and_not_delivered(store: DeliveryStore) -> None:
    refused = tuple(Refused(0, offset, "mapping_error", "no", b"{}") for offset in (6, 6, 7))
    store.commit(1, intent(), 0.0, published=Published(refused=refused))
    assert committed(store) == (15, Tally(delivered=8, dead=2))


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.begin_insert(1, replace(KEY, id="9" * 32), {}),
        lambda store: store.add_intent(1, intent(), []),
        lambda store: store.commit(1, intent(), 0.0),
        lambda store: store.keep_dead(1, []),
        lambda store: store.note_failure(1, KEY.id, "x"),
        lambda store: store.count(1, KEY.id, {"sinkRetries": 1}),
        lambda store: store.remove_insert(1, KEY.id),
        lambda store: store.require_fence(1),
    ],
    ids=["begin", "intent", "commit", "dead", "failure", "count", "remove", "require"],
)
def test_nothing_is_written_under_an_old_fence(store: DeliveryStore, call: Any) -> None:
    taken = store.take_lease(store.lease(), "another")
    assert taken is not None
    before = (store.inserts(), store.intent(KEY.id))
    with pytest.raises(FencedError, match="the lease with fence 1 has passed on"):
        call(store)
    assert (store.inserts(), store.intent(KEY.id)) == before


def test_two_who_saw_the_same_lease_do_not_both_take_it(store: DeliveryStore) -> None:
    seen = store.lease()
    assert store.take_lease(seen, "a") is not None
    assert store.take_lease(seen, "b") is None


def test_a_lease_is_released_by_its_holder_only(store: DeliveryStore) -> None:
    store.take_lease(store.lease(), "another")
    store.release_lease(1)
    assert store.lease().holder == "another"
    store.release_lease(2)
    assert store.lease().holder == ""


def test_a_roll_that_does_not_follow_the_last_commit_is_refused_whole(store: DeliveryStore) -> None:
    with pytest.raises(AssertionError, match="begins where the last one was committed"):
        store.commit(1, intent(6, 16), 0.0)
    assert committed(store) == (5, Tally())


def test_records_that_do_not_add_up_are_refused_whole(store: DeliveryStore) -> None:
    store.add_intent(1, intent(), [])
    with pytest.raises(BackendError, match="CHECK constraint failed"):
        store.commit(1, intent(delivered=9), 0.0)
    assert committed(store) == (5, Tally())
    assert store.intent(KEY.id) is not None
