"""C5: 500 stored histories replay on the engine of today; a program that was changed is noticed."""

from __future__ import annotations

from collections import Counter

from .stored_histories import COUNT, History, read_histories, replay


def test_stored_histories_replay_without_divergence() -> None:
    histories = read_histories()
    assert len(histories) == COUNT
    told = replay(histories)
    assert told.ran == []
    assert told.warnings == []
    assert told.ends == [one.end for one in histories]


def test_the_stored_histories_have_everything_in_them() -> None:
    histories = read_histories()
    kinds = Counter(f"{step.key.kind} {step.state}" for one in histories for step in one.steps)
    assert min(kinds[kind] for kind in ("do done", "do failed", "sleep done", "wait done", "wait failed")) > 50
    assert kinds["rollback done"] > 10
    assert {one.end[0] for one in histories} == {"complete", "errored"}
    assert sum(step.attempt > 1 for one in histories for step in one.steps) > 50
    assert any(step.is_nested for one in histories for step in one.steps)


def test_control_a_changed_program_diverges() -> None:
    changed = [one._replace(program=renamed(one)) for one in read_histories()[:40]]
    told = replay(changed)
    assert told.ran
    assert len(told.warnings) == len([one for one in changed if one.program])


def renamed(history: History) -> list[object]:
    """Its program with a new step in place of the first one that is not in a branch."""
    (_, fields), *others = history.program
    return [["Do", {"name": f"new {fields.get('name')}"}], *others]
