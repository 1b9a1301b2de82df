"""How an instance looks: plain when piped, within the width of a terminal, with nothing that drives it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.answers import InstanceDetail
from edge.bindings.workflows.errors import ErrorRecord
from edge.bindings.workflows.journal.records import Fire, Instance, Status, Trigger
from edge.runtime.cli.workflow_drawing import draw_instance
from edge.runtime.cli.workflow_text import duration_text, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[..., list[str]]

NOON_MS = 1_795_262_400_000
RETRIES = {"retries": {"limit": 5, "delay": 1000, "backoff": "exponential"}, "timeout": "30 seconds"}
DOWN = {"name": "RuntimeError", "message": "the bank is down"}


def at(seconds: float) -> int:
    return NOON_MS + round(seconds * 1000)


def step(name: str, start: float, end: float | None, **more: Any) -> dict[str, Any]:
    return {
        "type": "step",
        "name": name,
        "status": "running" if end is None else "complete",
        "start": at(start),
        "end": None if end is None else at(end),
        "success": None if end is None else True,
        "output": None,
        "config": RETRIES,
        "error": None,
        "attempts": [],
        **more,
    }


def attempt(start: float, end: float | None, error: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "start": at(start),
        "end": None if end is None else at(end),
        "success": None if end is None else error is None,
        "error": error,
    }


@pytest.fixture
def draw(capsys: pytest.CaptureFixture[str]) -> Draw:
    """`draw([steps], status=..., now=seconds after noon)`: the lines that are written."""

    def draw(
        steps: list[dict[str, Any]],
        *,
        now: float = 9,
        has_output: bool = True,
        output_chars_max: int = 5000,
        output: Any = None,
        rollback: Any = None,
        **instance: Any,
    ) -> list[str]:
        made = Instance("orders", "a", Status(instance.pop("status", "running")), 0, b"", NOON_MS, **instance)
        detail = InstanceDetail(made, {"item": "lamp"}, output, steps, len(steps), rollback)
        draw_instance(detail, NOON_MS + round(now * 1000), has_output=has_output, output_chars_max=output_chars_max)
        return capsys.readouterr().out.splitlines()

    return draw


def test_a_finished_instance_tells_when_and_how_it_ended(draw: Draw) -> None:
    lines = draw(
        [step("charge-1", 1, 1.041, output={"id": 7}, attempts=[attempt(1, 1.041)])],
        status="complete",
        output={"paid": True},
        started_ms=NOON_MS + 3,
        ended_ms=NOON_MS + 2403,
        version="3f9a",
        trigger=Trigger.CRON,
        fire=Fire("0 12 * * *", NOON_MS),
    )
    assert lines == [
        "Workflow  orders",
        "Instance  a",
        "Version   3f9a",
        "Status    complete",
        "Trigger   cron 0 12 * * *",
        "Queued    2026-11-21T12:00:00.000Z",
        "Started   2026-11-21T12:00:00.003Z",
        "Ended     2026-11-21T12:00:02.403Z",
        "Took      2.4 s",
        'Params    {"item":"lamp"}',
        'Output    {"paid":true}',
        "Steps",
        "└── ✓ charge-1  12:00:01.000     41 ms",
        '    └── output {"id":7}',
    ]


def test_a_step_that_was_tried_again_shows_each_attempt_and_how_it_retries(draw: Draw) -> None:
    lines = draw([step("charge-1", 1, 3, attempts=[attempt(1, 1.03, DOWN), attempt(2.03, 3)])])
    assert lines[lines.index("Steps") + 1 :] == [
        "└── ✓ charge-1  12:00:01.000       2 s  2 attempts",
        "    ├── attempt 1     30 ms  RuntimeError: the bank is down",
        "    ├── attempt 2    970 ms  done",
        "    └── 5 retries, delay 1 s, exponential; timeout 30 seconds",
    ]


def test_a_step_that_waits_to_be_tried_again_tells_when(draw: Draw) -> None:
    failed = [attempt(1, 1.03, DOWN), attempt(2.03, 2.1, DOWN)]
    lines = draw([step("charge-1", 1, None, attempts=failed, status="waiting")], now=2.5)
    assert "└── … charge-1  12:00:01.000     1.5 s  2 attempts, is tried again" in lines
    last = "RuntimeError: the bank is down; again at 12:00:04.100, in 1.6 s"
    assert f"    ├── attempt 2     70 ms  {last}" in lines
    dynamic = {"retries": {**RETRIES["retries"], "delay": "[dynamic]"}}  # type: ignore[dict-item]
    lines = draw([step("charge-1", 1, None, attempts=failed, status="waiting", config=dynamic)], now=2.5)
    assert "    ├── attempt 2     70 ms  RuntimeError: the bank is down" in lines


def test_of_many_attempts_the_last_are_shown(draw: Draw) -> None:
    lines = draw([step("charge-1", 1, 3, success=False, status="errored", attempts=[attempt(1, 2, DOWN)] * 1012)])
    shown = lines[lines.index("Steps") + 2 :]
    assert shown[0] == "    ├── 1,002 earlier attempts"
    assert shown[1].startswith("    ├── attempt 1003  ")
    assert len(shown) == 12


def test_sleeps_waits_and_what_failed_for_good(draw: Draw) -> None:
    timed_out = {"name": "WorkflowTimeoutError", "message": "Execution timed out after 1000ms"}
    lines = draw(
        [
            {"type": "sleep", "name": "nap-1", "start": at(0), "end": at(1), "finished": True,
             "status": "complete", "error": None},
            {"type": "waitForEvent", "name": "wait-1", "start": at(1), "end": at(2), "finished": True,
             "status": "complete", "event_type": "yes", "output": {"payload": 1}, "error": None},
            {"type": "waitForEvent", "name": "wait-2", "start": at(2), "end": at(3), "finished": True,
             "status": "errored", "event_type": "yes", "output": None, "error": timed_out},
            step("charge-1", 3, 4, success=False, status="errored", attempts=[attempt(3, 4, DOWN)]),
            {**step("price-1", 4, 5), "type": "rollback"},
            {"type": "termination", "trigger": {"source": "api"}},
        ],
        status="errored",
        error=ErrorRecord("RuntimeError", "the bank is down"),
        rollback={"outcome": "failed", "error": DOWN},
    )  # fmt: skip
    assert "Error     RuntimeError: the bank is down" in lines
    assert "Rollback  failed: RuntimeError: the bank is down" in lines
    assert [line[4:].rstrip() for line in lines[lines.index("Steps") + 1 :] if line[:1] in "├└"] == [
        "✓ nap-1        12:00:00.000       1 s  slept",
        "✓ wait-1       12:00:01.000       1 s  event yes",
        "✗ wait-2       12:00:02.000       1 s  waited for event yes",
        "✗ charge-1     12:00:03.000       1 s",
        "✓ price-1      12:00:04.000       1 s  rollback",
        "✗ termination                          by api",
    ]
    assert "│   └── WorkflowTimeoutError: Execution timed out after 1000ms" in lines


WAITING = {"status": "waiting", "start": at(5), "end": None, "finished": False}
GOING_ON: list[dict[str, Any]] = [
    {"type": "sleep", "name": "nap-1", "error": None, **WAITING},
    {"type": "waitForEvent", "name": "wait-1", "event_type": "no", "output": None, "error": None, **WAITING},
    step("work-1", 5, None, attempts=[attempt(5, None)]),
    step("again-1", 5, None, status="waiting", attempts=[attempt(5, 5.5, DOWN)]),
]


def test_what_goes_on_shows_for_how_long_by_now(draw: Draw) -> None:
    lines = draw(GOING_ON, now=5.6)
    assert [line[4:] for line in lines[lines.index("Steps") + 1 :] if line[:1] in "├└"] == [
        "… nap-1    12:00:05.000    600 ms  sleeping",
        "… wait-1   12:00:05.000    600 ms  waits for event no",
        "▸ work-1   12:00:05.000    600 ms  running",
        "… again-1  12:00:05.000    600 ms  is tried again",
    ]
    assert "; again at 12:00:06.500, in 900 ms" in "".join(lines)


def test_what_went_on_when_its_instance_ended_was_cut_off_then(draw: Draw) -> None:
    ended = [{**one, "status": "terminated", "end": at(6)} for one in GOING_ON]
    lines = draw(ended, now=60, status="errored", started_ms=at(5), ended_ms=at(6))
    assert [line[4:] for line in lines[lines.index("Steps") + 1 :] if line[:1] in "├└"] == [
        "┄ nap-1    12:00:05.000       1 s  cut off",
        "┄ wait-1   12:00:05.000       1 s  waited for event no, cut off",
        "┄ work-1   12:00:05.000       1 s  cut off",
        "┄ again-1  12:00:05.000       1 s  cut off",
    ]
    assert "again at" not in "".join(lines)


def test_what_stands_still_says_so(draw: Draw) -> None:
    lines = draw([{**one, "status": "paused"} for one in GOING_ON], now=6, status="paused")
    assert [line[4:] for line in lines[lines.index("Steps") + 1 :] if line[:1] in "├└"] == [
        "‖ nap-1    12:00:05.000       1 s  paused",
        "‖ wait-1   12:00:05.000       1 s  waits for event no, paused",
        "‖ work-1   12:00:05.000       1 s  paused",
        "‖ again-1  12:00:05.000       1 s  paused",
    ]
    assert "again at" not in "".join(lines)


def test_a_child_is_one_line_with_its_workflow_and_id(draw: Draw) -> None:
    def drawn(child: dict[str, Any], **options: Any) -> list[str]:
        lines = draw([{**child, "child": "resting/a"}], **options)
        return lines[lines.index("Steps") + 1 :]

    waits = step("kid-1", 1, None, status="waiting", attempts=[attempt(1, None)])
    assert drawn(waits) == ["└── … kid-1  12:00:01.000       8 s  waits for resting/a"]
    cut_off = drawn({**waits, "status": "terminated", "end": at(3)}, status="terminated", ended_ms=at(3))
    assert cut_off == ["└── ┄ kid-1  12:00:01.000       2 s  waited for resting/a, cut off"]
    done = step("kid-1", 1, 2, attempts=[attempt(1, 2)])
    assert drawn(done) == ["└── ✓ kid-1  12:00:01.000       1 s  waited for resting/a"]
    failed = step("kid-1", 1, 2, success=False, status="errored", attempts=[attempt(1, 2, DOWN)])
    assert drawn(failed) == [
        "└── ✗ kid-1  12:00:01.000       1 s  waited for resting/a",
        "    └── RuntimeError: the bank is down",
    ]


def test_long_outputs_are_cut_or_left_out(draw: Draw) -> None:
    steps = [step("charge-1", 1, 2, output="x" * 100)]
    assert '    └── output "xxxxxxxxx[...output truncated]' in draw(steps, output_chars_max=10)
    assert not [line for line in draw(steps, has_output=False) if "output" in line]


def test_piped_there_is_no_colour_and_a_line_stays_a_line(draw: Draw) -> None:
    (line,) = [line for line in draw([step("charge-1", 1, 2, output=["y z"] * 500)]) if "output" in line]
    assert line.endswith('"y z"]')
    assert "\x1b" not in "".join(draw([]))


def test_a_narrow_terminal_is_kept_to(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")
    lines = draw([step("a rather long name of a step-1", 1, 2, output=["y z"] * 50, attempts=[attempt(1, 2, DOWN)])])
    assert "\x1b[" in "".join(lines)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) <= 50


def test_what_user_code_named_cannot_drive_the_terminal(draw: Draw) -> None:
    evil = "\x1b[31m[bold]x\n"
    error = {"name": evil, "message": evil}
    text = "\n".join(
        draw([step(evil, 1, 2, output=evil, success=False, status="errored", attempts=[attempt(1, 2, error)])])
    )
    assert "\x1b" not in text
    assert text.count("\\x1b[31m[bold]x\\n") >= 3


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (0, "0 ms"),
        (-5, "0 ms"),
        (999, "999 ms"),
        (1000, "1 s"),
        (2403, "2.4 s"),
        (59_990, "60 s"),
        (60_000, "1 min"),
        (185_000, "3 min 5 s"),
        (7_800_000, "2 h 10 min"),
        (30 * 24 * 3600 * 1000, "30 d"),
    ],
)
def test_durations_are_short(duration_ms: int, text: str) -> None:
    assert duration_text(duration_ms) == text


def test_one_is_one() -> None:
    assert (plural(1, "step"), plural(1200, "step")) == ("1 step", "1,200 steps")
