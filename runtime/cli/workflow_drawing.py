"""An instance and its steps, drawn as a tree that is read at a glance.

On a terminal there is colour, and what is too long for it goes on below. Piped, it is plain text, a line each: rich
writes no colour then, and the lines of the tree are ASCII where the encoding has nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...bindings.workflows.durations import parse_duration_ms
from ...bindings.workflows.engine.retries import retry_wait_ms
from ...bindings.workflows.rest.json_values import json_text, json_value, time_text
from ..hosts.logs import printable
from .workflow_text import duration_text, plural, time_of_day

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.tree import Tree

    from ...bindings.workflows.answers import InstanceDetail

NAME_CHARS_MAX = 40
"""Longer names of steps stand out of their column."""
ATTEMPTS_MAX = 10
"""Of a step, the last ones; `--json` has them all."""
BESIDE_NAME_CHARS = 46
"""Of a line: the tree, the mark, start, duration and a word."""
PIPED_WIDTH = 1_000_000
DYNAMIC = "[dynamic]"
"""As `config` shows a delay that a function gives."""
TRUNCATED = "[...output truncated]"
"""Source: wrangler 4.86.0 `workflows instances describe`."""

_STYLES = {
    "complete": "green",
    "errored": "red",
    "terminated": "red",
    "rollingBack": "yellow",
    "paused": "yellow",
    "waitingForPause": "yellow",
    "waiting": "cyan",
    "running": "cyan",
    "queued": "dim",
}


class _Mark(NamedTuple):
    """How a step stands, as a sign, the same in ASCII, and its colour."""

    sign: str
    plain: str
    style: str


_DONE = _Mark("✓", "+", "green")
_FAILED = _Mark("✗", "x", "red")
_RUNNING = _Mark("▸", ">", "cyan")
_WAITING = _Mark("…", ".", "cyan")
_PAUSED = _Mark("‖", "=", "yellow")
_CUT_OFF = _Mark("┄", "-", "yellow")
_MARKS = {
    "complete": _DONE,
    "errored": _FAILED,
    "running": _RUNNING,
    "waiting": _WAITING,
    "paused": _PAUSED,
    "terminated": _CUT_OFF,
}
"""Of a step's status. What was going on when its instance ended was cut off."""


def draw_instance(detail: InstanceDetail, now_ms: int, *, has_output: bool, output_chars_max: int) -> None:
    """Write an instance to standard output; no output is shown of more than so many characters."""
    from rich.console import Console  # noqa: PLC0415 - only who draws needs it

    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    _Drawing(console, now_ms, output_chars_max, has_output=has_output).draw(detail)


class _Drawing:
    def __init__(self, console: Console, now_ms: int, output_chars_max: int, *, has_output: bool) -> None:
        from rich.text import Text  # noqa: PLC0415 - only who draws needs it

        self._console = console
        self._now_ms = now_ms
        self._output_chars_max = output_chars_max
        self._has_output = has_output
        self._text = Text

    def draw(self, detail: InstanceDetail) -> None:
        from rich.tree import Tree  # noqa: PLC0415 - only who draws needs it

        self._head(detail)
        if detail.instance.ended_ms is not None:
            self._now_ms = detail.instance.ended_ms
        tree = Tree(self._text("Steps", "bold") if detail.steps else self._text("No step was called yet."))
        room = min(NAME_CHARS_MAX, max(self._console.width - BESIDE_NAME_CHARS, 0))
        width = min(max((len(_name(step)) for step in detail.steps), default=0), room)
        for step in detail.steps:
            self._step(tree, step, width)
        self._console.print(tree)

    def _head(self, detail: InstanceDetail) -> None:
        instance, status = detail.instance, str(detail.instance.status)
        fields: list[tuple[str, str | None, str]] = [
            ("Workflow", instance.workflow, ""),
            ("Instance", instance.id, "bold"),
            ("Status", status, _STYLES.get(status, "")),
            ("Trigger", str(instance.trigger) + (f" {instance.fire.cron}" if instance.fire else ""), ""),
            ("Queued", time_text(instance.created_ms), ""),
        ]
        if instance.version:
            fields.insert(2, ("Version", instance.version, ""))
        if instance.started_ms is not None:
            end_ms = instance.ended_ms or self._now_ms
            took = duration_text(end_ms - instance.started_ms)
            fields.append(("Started", time_text(instance.started_ms), ""))
            fields.append(("Ended", time_text(instance.ended_ms), ""))
            fields.append(("Took" if instance.ended_ms else "Runs for", took, ""))
        fields.append(("Params", self._cut(detail.params), ""))
        if detail.output is not None:
            fields.append(("Output", self._cut(detail.output), ""))
        if instance.error is not None:
            fields.append(("Error", _error_text(instance.error._asdict()), "red"))
        if detail.rollback is not None:
            outcome, error = detail.rollback["outcome"], detail.rollback.get("error")
            text = f"{outcome}: {_error_text(error)}" if error else outcome
            fields.append(("Rollback", text, "red" if error else ""))
        for name, value, style in fields:
            if value:
                self._console.print(self._text.assemble((f"{name:<9} ", "dim"), (printable(value), style)))

    def _step(self, tree: Tree, step: Mapping[str, Any], width: int) -> None:
        mark = _FAILED if step["type"] == "termination" else _MARKS[step["status"]]
        start_ms, end_ms = step.get("start"), step.get("end")
        is_going_on = mark not in {_DONE, _FAILED}
        line = self._text.assemble(
            (mark.sign if self._console.encoding.startswith("utf") else mark.plain, mark.style),
            f" {_name(step):<{width}}",
            (f"  {'' if start_ms is None else time_of_day(start_ms):<12}", "dim"),
            f"  {self._took(start_ms, end_ms):>8}",
            (f"  {_what(step)}", mark.style if is_going_on else ""),
        )
        line.rstrip()
        node = tree.add(line)
        if "child" in step:
            if step["status"] == "errored":
                node.add(self._text(_error_text(step["attempts"][-1]["error"]), "red"))
        elif any(one["error"] for one in step.get("attempts", ())):
            self._attempts(node, step)
        elif step.get("error"):
            node.add(self._text(_error_text(step["error"]), "red"))
        if self._has_output and step.get("output") is not None:
            node.add(self._text.assemble(("output ", "dim"), self._cut(step["output"])))

    def _attempts(self, node: Tree, step: Mapping[str, Any]) -> None:
        retries, attempts = step["config"]["retries"], step["attempts"]
        hidden_count = max(len(attempts) - ATTEMPTS_MAX, 0)
        if hidden_count:
            node.add(self._text(f"{plural(hidden_count, 'earlier attempt')}", "dim"))
        for number, attempt in enumerate(attempts[hidden_count:], start=hidden_count + 1):
            start_ms, end_ms, error = attempt["start"], attempt["end"], attempt["error"]
            told = _error_text(error) if error else "done" if attempt["success"] else _NOW[step["status"]]
            took = f"  {self._took(start_ms, end_ms):>8}  "
            line = self._text.assemble((f"attempt {number}", "dim"), took, (told, "red" if error else ""))
            if number == len(attempts) and step["status"] == "waiting" and end_ms is not None:
                line.append(self._next_attempt(retries, end_ms, number), "yellow")
            node.add(line)
        delay, timeout = _span_text(retries["delay"]), _span_text(step["config"].get("timeout"))
        text = f"{retries['limit']} retries, delay {delay}, {retries.get('backoff', 'exponential')}"
        node.add(self._text(f"{text}; timeout {timeout}" if timeout else text, "dim"))

    def _next_attempt(self, retries: Mapping[str, Any], end_ms: int, failed_count: int) -> str:
        """When a failed step is tried again; nobody knows that of a delay that a function gives."""
        if retries["delay"] == DYNAMIC:
            return ""
        delay_ms = parse_duration_ms(retries["delay"], "The delay")
        at_ms = end_ms + retry_wait_ms(retries.get("backoff", "exponential"), delay_ms, failed_count)
        left = f", in {duration_text(at_ms - self._now_ms)}" if at_ms > self._now_ms else ""
        return f"; again at {time_of_day(at_ms)}{left}"

    def _took(self, start_ms: int | None, end_ms: int | None) -> str:
        return "" if start_ms is None else duration_text((end_ms or self._now_ms) - start_ms)

    def _cut(self, value: Any) -> str:
        text = printable(json_text(json_value(value)))
        return text if len(text) <= self._output_chars_max else text[: self._output_chars_max] + TRUNCATED


def _what(step: Mapping[str, Any]) -> str:
    """What kind of step it is, where that is not plain, and what it does now."""
    if step["type"] == "termination":
        return f"by {step['trigger']['source']}"
    status, now = step["status"], _NOW.get(step["status"], "")
    if step["type"] == "sleep":
        return {"complete": "slept", "waiting": "sleeping"}.get(status, now)
    if step["type"] == "waitForEvent" or "child" in step:
        is_child = "child" in step
        what = printable(step["child"] if is_child else f"event {step['event_type']}")
        if status == "complete" and not is_child:
            return what
        waits = "waits" if status in {"waiting", "paused"} else "waited"
        return f"{waits} for {what}" + (f", {now}" if status in {"paused", "terminated"} else "")
    parts = ["rollback"] if step["type"] == "rollback" else []
    if len(step["attempts"]) > 1:
        parts.append(f"{len(step['attempts'])} attempts")
    return ", ".join([*parts, now] if now else parts)


_NOW = {"running": "running", "waiting": "is tried again", "paused": "paused", "terminated": "cut off"}
"""What is said of a step that is not over."""


def _name(step: Mapping[str, Any]) -> str:
    return printable(str(step.get("name") or step["type"]))


def _error_text(error: Mapping[str, Any]) -> str:
    return printable(f"{error['name']}: {error['message']}")


def _span_text(span: Any) -> str:
    return duration_text(span) if isinstance(span, int | float) else printable(str(span or ""))
