"""A pipeline is changed, also while a roll of it is half out because its process died: each record is there once."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.catalogue import Catalogue, TableNames
from edge.bindings.pipelines.delivery.faults import POINTS
from edge.bindings.pipelines.delivery.replay import replayed_count
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import PipelineObject, Replay
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Servers = tuple[Any, Any]
    Change = Callable[[Catalogue], object]

SQL, TABLES = "INSERT INTO lines SELECT * FROM raw", TableNames(("raw",), ("lines",))
HALF_OUT = ("publish:before", "publish:after")
"""Where a process leaves a roll that is written down and not committed: nothing of it can be seen, or all."""
NOT_DELIVERED = 3
"""Exit status in delivering.py of a process that ran out of patience."""


def replayed(asked: Replay) -> Change:
    return lambda catalogue: catalogue.change_pipeline(replace(only(catalogue), replay=asked), TABLES)


def only(catalogue: Catalogue) -> PipelineObject:
    (pipeline,) = catalogue.pipelines()
    return pipeline


def renamed(catalogue: Catalogue) -> None:
    old = only(catalogue)
    new = replace(old, id=id_of("pipeline", "new"), name="new", lineage=old.lineage or old.id)
    catalogue.rename_pipeline(old.id, new, TABLES)


def edited(catalogue: Catalogue) -> None:
    catalogue.change_pipeline(replace(only(catalogue), sql=SQL.lower(), version=2), TABLES)


def deleted(catalogue: Catalogue) -> None:
    catalogue.delete_pipeline(only(catalogue).id)


def made(name: str = "lines") -> Change:
    return lambda catalogue: catalogue.add_pipeline(
        PipelineObject(id_of("pipeline", name), name, SQL, 0.0, 0.0), TABLES
    )


def moved_to(path: str) -> Change:
    """To another sink, with a folder of its own."""

    def move(catalogue: Catalogue) -> None:
        sink = catalogue.sink("lines")
        assert sink is not None
        other = replace(sink, id=id_of("sink", "other"), name="other", config={**sink.config, "path": path})
        catalogue.add_sink(other)
        new = replace(only(catalogue), sql="INSERT INTO other SELECT * FROM raw", version=2)
        catalogue.change_pipeline(new, TableNames(("raw",), ("other",)))

    return move


def both(first: Change, second: Change) -> Change:
    """Before anybody looks."""
    return lambda catalogue: (first(catalogue), second(catalogue))


FROM_THE_START = replayed(Replay(1.0, from_offset=0))
FROM_WHAT_IS_TO_COME = replayed(Replay(1.0, from_time=4e9))
CHANGES: dict[str, Change] = {
    "replayed": FROM_WHAT_IS_TO_COME,
    "renamed and replayed": both(renamed, FROM_WHAT_IS_TO_COME),
    "renamed, deleted and made again": both(renamed, both(deleted, made("new"))),
    "moved to another sink": moved_to("lines/other"),  # read together with the first one's files
    "renamed": renamed,
    "edited": edited,
    "deleted and made again": both(deleted, made()),
}


def slow_behind(count: int, cases: dict[str, Any]) -> list[Any]:
    """Cases for `parametrize`, slow from the one at `count` on: each runs two processes or more."""
    marks = ([] if number < count else [pytest.mark.slow] for number in range(len(cases)))
    return [pytest.param(case, id=name, marks=mark) for (name, case), mark in zip(cases.items(), marks, strict=True)]


async def leave_half_out(run: Any, folder: Path, point: str = "publish:after") -> int:
    """Die at `point` of the first roll; returns how many records that roll has, numbered from 1."""
    assert await run.run(folder, 1, only=["lines"], fault=point) == -signal.SIGKILL
    with closing(DeliveryStore(folder / "state")) as store:
        (state,) = (one for one in store.inserts() if one.key.pipeline_id)  # beside the check of the other stream
        intent = store.intent(state.key.id)
        assert intent is not None, "the roll is open"
        assert (state.progress[0].committed, intent.roll.since) == (0, {0: 0})
        return intent.roll.until[0]


def change(folder: Path, how: Change) -> None:
    with closing(Catalogue(folder / "state")) as catalogue:
        how(catalogue)


def problems(run: Any, folder: Path, *, before: dict[Path, str] | None = None, twice: int = 0) -> list[str]:
    """What is wrong after everything was delivered: records 1 to `twice` are there two times, the others once."""
    counts, found = run.delivered(folder, "lines"), run.hashes(folder)
    wrong = [f"{path} changed" for path, digest in (before or {}).items() if found.get(path) != digest]
    wrong += [f"{n} is lost" for n in sorted(set(run.acknowledged(folder)) - counts.keys())]
    wrong += [f"{n} is there {times} times" for n, times in sorted(counts.items()) if times != 1 + (n <= twice)]
    with closing(DeliveryStore(folder / "state")) as store:
        wrong += [f"an intent is left of {one}" for one in store.intents()]
    return wrong


@pytest.mark.parametrize("how", slow_behind(4, CHANGES))
async def test_a_roll_that_is_half_out_is_finished_before_its_pipeline_goes_on_changed(
    tmp_path: Path, two_servers: Servers, how: Change
) -> None:
    run, _ = two_servers
    await leave_half_out(run, tmp_path)
    before = run.hashes(tmp_path)
    change(tmp_path, how)
    assert await run.run(tmp_path, 1_000, 20, only=["lines"]) == 0
    assert problems(run, tmp_path, before=before) == []


async def test_control_who_leaves_a_roll_half_out_delivers_it_twice(tmp_path: Path, two_servers: Servers) -> None:
    run, _ = two_servers
    count = await leave_half_out(run, tmp_path)
    change(tmp_path, FROM_WHAT_IS_TO_COME)
    assert await run.run(tmp_path, 1_000, 20, only=["lines"], control="no ending") == 0
    assert f"{count} is there 2 times" in problems(run, tmp_path)


async def test_a_roll_that_is_half_out_is_replayed_as_one_that_is_out(tmp_path: Path, two_servers: Servers) -> None:
    run, _ = two_servers
    count = await leave_half_out(run, tmp_path, "publish:before")
    state_dir, asked = tmp_path / "state", Replay(1.0, from_offset=0)
    assert replayed_count(state_dir, StreamFolders(state_dir), id_of("pipeline", "lines"), asked) == count
    change(tmp_path, replayed(asked))
    assert await run.run(tmp_path, 1_000, 20, only=["lines"]) == 0
    assert problems(run, tmp_path, twice=count) == []


async def test_a_deleted_pipeline_finishes_what_is_half_out_and_nothing_else(
    tmp_path: Path, two_servers: Servers
) -> None:
    run, _ = two_servers
    count = await leave_half_out(run, tmp_path, "publish:before")
    change(tmp_path, deleted)
    assert await run.run(tmp_path, 1_000, 20, only=["lines"]) == 0
    assert sorted(run.delivered(tmp_path, "lines").elements()) == [*range(1, count + 1)]
    assert not [*(tmp_path / "state" / "pipelines" / "staging").rglob("*.json")]


@pytest.mark.slow
@pytest.mark.parametrize("how", [FROM_WHAT_IS_TO_COME, moved_to("lines/other")], ids=["replayed", "moved"])
async def test_a_leader_that_wakes_after_another_finished_its_roll_adds_nothing(
    tmp_path: Path, two_servers: Servers, how: Change
) -> None:
    first, second = two_servers
    pid = await first.stopped(tmp_path, "publish:after", only=["lines"])
    change(tmp_path, how)
    assert await second.run(tmp_path, 1_000, 20, slot=1, only=["lines"], stall_s=0.6) == 0
    before = second.hashes(tmp_path)
    os.kill(pid, signal.SIGCONT)
    assert await first.ended() == 0
    assert problems(first, tmp_path, before=before) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("point", HALF_OUT)
async def test_a_second_kill_while_a_changed_pipeline_finishes_its_roll_changes_nothing(
    tmp_path: Path, two_servers: Servers, point: str, how: Change
) -> None:
    run, _ = two_servers
    for second in POINTS:
        folder = tmp_path / second.replace(":", "-")
        await leave_half_out(run, folder, point)
        before = run.hashes(folder)
        change(folder, how)
        assert await run.run(folder, 1_000, 20, only=["lines"], fault=second) in (-signal.SIGKILL, 0)
        assert await run.run(folder, 2_000, 20, only=["lines"]) == 0
        assert (second, problems(run, folder, before=before)) == (second, [])


async def test_a_replay_waits_for_the_sink_that_has_half_of_a_roll(tmp_path: Path, two_servers: Servers) -> None:
    run, _ = two_servers
    await leave_half_out(run, tmp_path, "publish:before")
    change(tmp_path, FROM_WHAT_IS_TO_COME)
    (tmp_path / "lines").write_text("in the way of the folder")
    assert await run.run(tmp_path, 1_000, 20, only=["lines"], patience_s=1.0) == NOT_DELIVERED
    (tmp_path / "lines").unlink()
    assert await run.run(tmp_path, 2_000, 20, only=["lines"]) == 0
    assert problems(run, tmp_path) == []


@pytest.mark.parametrize("point", HALF_OUT)
async def test_who_moves_away_from_a_sink_that_fails_waits_until_it_is_back(
    tmp_path: Path, two_servers: Servers, point: str
) -> None:
    """What it may have is finished there; the other sink gets what comes next. Its status: test_moving_away.py."""
    run, _ = two_servers
    count = await leave_half_out(run, tmp_path, point)
    lines, away = tmp_path / "lines", tmp_path / "away"
    lines.mkdir(exist_ok=True)
    lines.rename(away)
    lines.write_text("in the way of the folder")
    change(tmp_path, moved_to("other"))
    assert await run.run(tmp_path, 1_000, 20, only=["lines"], patience_s=1.0) == NOT_DELIVERED
    assert not run.delivered(tmp_path, "other")
    lines.unlink()
    away.rename(lines)
    assert await run.run(tmp_path, 2_000, 20, only=["lines"]) == 0
    assert sorted(run.delivered(tmp_path, "lines").elements()) == [*range(1, count + 1)]
    rest = sorted(set(run.acknowledged(tmp_path)) - {*range(1, count + 1)})
    assert sorted(run.delivered(tmp_path, "other").elements()) == rest


CHAINS: dict[str, tuple[tuple[Change, ...], int]] = {
    "renamed, replayed and made again": ((renamed, FROM_THE_START, deleted, made("new")), 1_009),
    "made again": ((deleted, made()), 0),
    "replayed and made again": ((FROM_THE_START, deleted, made()), 20),
    "replayed, deleted before that began, made again": ((both(FROM_THE_START, deleted), made()), 0),
    "renamed and made again": ((renamed, deleted, made("new")), 0),
    "renamed, and made again under the first name": ((renamed, deleted, made()), 0),
}
"""Changes, and the last record that the replay among them delivers again."""


@pytest.mark.parametrize("case", slow_behind(2, CHAINS))
async def test_a_pipeline_that_is_made_again_goes_on_where_it_was(
    tmp_path: Path, two_servers: Servers, case: tuple[tuple[Change, ...], int]
) -> None:
    """Each change is seen by a process before the next comes."""
    run, _ = two_servers
    chain, twice = case
    assert await run.run(tmp_path, 1, 20, only=["lines"]) == 0
    for begin, how in enumerate(chain, 1):
        change(tmp_path, how)
        assert await run.run(tmp_path, 1_000 * begin, 10, only=["lines"]) == 0
    assert problems(run, tmp_path, twice=twice) == []
