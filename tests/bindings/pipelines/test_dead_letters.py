"""Dead letters: kept once, capped, listed in order, sent again."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines import dead_letters as module
from edge.bindings.pipelines.dead_letters import DeadLetter, DeadLetters
from edge.bindings.pipelines.delivery.store import DeliveryStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STREAM = "a" * 32
LETTER = DeadLetter(STREAM, 0, 1, "", "deserialization", "missing_field", "$.n", "No n.", b"{}", 1.0, 2.0)


class Box:
    """The letters of a state folder, and the store that writes them."""

    def __init__(self, folder: Path) -> None:
        self.store = DeliveryStore(folder)
        assert self.store.take_lease(self.store.lease(), "test") is not None
        self.letters = DeadLetters(folder)

    def keep(self, *letters: DeadLetter) -> None:
        self.store.keep_dead(1, letters)

    def offsets(self) -> list[int]:
        return [one.offset for one in self.letters.list(STREAM)]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    with closing(box.store), closing(box.letters):
        yield box


def test_a_letter_is_kept_once_however_often_it_is_written(box: Box) -> None:
    box.keep(LETTER, replace(LETTER, offset=2))
    box.keep(LETTER)
    assert box.letters.list(STREAM) == [replace(LETTER, id=1), replace(LETTER, offset=2, id=2)]
    assert box.letters.count(STREAM) == 2


def test_the_same_record_may_die_in_several_inserts(box: Box) -> None:
    execution = replace(LETTER, insert_id="b", family="execution", kind="runtime_error")
    box.keep(LETTER, execution, replace(execution, insert_id="c"))
    assert box.letters.count(STREAM) == 3


def test_lists_are_by_stream_and_go_on_behind_an_id(box: Box) -> None:
    box.keep(*(replace(LETTER, offset=offset) for offset in range(5)), replace(LETTER, stream_id="b" * 32))
    assert [one.offset for one in box.letters.list(STREAM, limit=2)] == [0, 1]
    assert [one.offset for one in box.letters.list(STREAM, after=2, limit=2)] == [2, 3]
    assert box.letters.count("c" * 32) == 0


def test_the_oldest_go_when_there_are_too_many(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_MAX", 5)
    monkeypatch.setattr(module, "REMOVE_COUNT", 2)
    box.keep(*(replace(LETTER, offset=offset) for offset in range(8)))
    assert box.offsets() == [4, 5, 6, 7]
    assert box.letters.count(STREAM) == 4


def test_the_oldest_go_when_they_are_too_large(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES_MAX", 100)
    monkeypatch.setattr(module, "REMOVE_COUNT", 1)
    box.keep(*(replace(LETTER, offset=offset, record=b"x" * 40) for offset in range(4)))
    assert box.offsets() == [2, 3]
    box.keep(replace(LETTER, offset=9, record=b"x" * 400))
    assert box.offsets() == [9], "one letter always stays"


def test_old_letters_go(box: Box) -> None:
    box.keep(LETTER)
    box.keep(replace(LETTER, offset=2, died_at=2.0 + module.AGE_MAX_S + 1.0))
    assert box.offsets() == [2]


async def test_replay_sends_each_record_once_in_order_and_forgets_it(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPLAY_BYTES_MAX", 3)
    execution = replace(LETTER, family="execution", kind="runtime_error")
    refused = replace(LETTER, family="sink", kind="mapping_error", offset=7, record=b"row")
    letters = [replace(execution, offset=n, insert_id=i, record=b"%d" % n) for n in (3, 4) for i in ("x", "y")]
    box.keep(*letters, refused)
    sent: list[list[bytes]] = []

    async def append(records: Sequence[bytes]) -> None:
        sent.append(list(records))

    assert await box.letters.replay(STREAM, append) == 2
    assert [record for batch in sent for record in batch] == [b"3", b"4"]
    assert box.offsets() == [7], "a refused row is no record of the stream"


async def test_what_could_not_be_sent_again_stays(box: Box) -> None:
    box.keep(LETTER)

    async def append(_: Sequence[bytes]) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await box.letters.replay(STREAM, append)
    assert box.offsets() == [1]


def test_a_deleted_stream_takes_its_letters_along(box: Box) -> None:
    box.keep(LETTER, replace(LETTER, stream_id="b" * 32))
    box.letters.forget_stream(STREAM)
    assert box.letters.count(STREAM) == 0
    assert box.letters.count("b" * 32) == 1
