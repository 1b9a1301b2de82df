"""An instance and its steps, drawn as a tree that is read at a glance.

On a terminal there is colour, and what is too long for it goes on below. Piped, it is plain text, a line each: rich
writes no colour then, and the lines of the tree are ASCII where the encoding has nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ...bindings.workflows.durations import parse_duration_ms
from ...bindings.workflows.engine.retries import retry_wait_ms
from ...bindings.workflows.rest_values import json_text, json_value, time_text
from ..hosts.logs import printable
from .workflow_text import duration_text, time_of_day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.tree import Tree

    from ...bindings.workflows.answers import InstanceDetail

NAME_CHARS_MAX = 40
"""Longer names of steps stand out of their column."""
BESIDE_NAME_CHARS = 46
"""Of a line: the tree, the mark, start, duration and a word."""
PIPED_WIDTH = 1_000_000
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


def draw_instance(detail: InstanceDetail, now_ms: int, *, has_output: bool, output_chars_max: int) -> None:
    """Write an instance to standard output; no output is shown of more than so many characters."""
    from rich.console import Console  # noqa: PLC0415 - only who draws needs it

    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    _Drawing(console, now_ms, output_chars_max if has_output else 0).draw(detail)


class _Drawing:
    def __init__(self, console: Console, now_ms: int, output_chars_max: int) -> None:
        from rich.text import Text  # noqa: PLC0415 - only who draws needs it

        self._console = console
        self._now_ms = now_ms
        self._output_chars_max = output_chars_max
        self._text = Text

    def draw(self, detail: InstanceDetail) -> None:
        from rich.tree import Tree  # noqa: PLC0415 - only who draws needs it

        self._head(detail)
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
        attempts: Sequence[Mapping[str, Any]] = step.get("attempts") or ()
        mark = _mark(step)
        start_ms, end_ms = _ms(step.get("start")), _ms(step.get("end"))
        line = self._text.assemble(
            (mark.sign if self._console.encoding.startswith("utf") else mark.plain, mark.style),
            (f" {_name(step):<{width}}", "bold" if mark is _FAILED else ""),
            (f"  {'' if start_ms is None else time_of_day(start_ms):<12}", "dim"),
            f"  {self._took(start_ms, end_ms):>8}",
            (f"  {_what(step)}".rstrip(), mark.style if mark in {_RUNNING, _WAITING} else ""),
        )
        line.rstrip()
        node = tree.add(line)
        failures = [one for one in attempts if one.get("error")]
        if failures:
            self._attempts(node, step, attempts)
        if step.get("error") and not failures:
            node.add(self._text(_error_text(step["error"]), "red"))
        if self._output_chars_max and step.get("output") is not None:
            node.add(self._text.assemble(("output ", "dim"), self._cut(step["output"])))

    def _attempts(self, node: Tree, step: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]]) -> None:
        retries = (step.get("config") or {}).get("retries") or {}
        for number, attempt in enumerate(attempts, start=1):
            start_ms, end_ms = _ms(attempt.get("start")), _ms(attempt.get("end"))
            error = attempt.get("error")
            told = _error_text(error) if error else "done" if attempt.get("success") else "running"
            line = self._text.assemble(
                (f"attempt {number}", "dim"), f"  {self._took(start_ms, end_ms):>8}  ", (told, "red" if error else "")
            )
            if error and end_ms is not None and step.get("success") is None and number == len(attempts):
                line.append(self._next_attempt(retries, end_ms, number), "yellow")
            node.add(line)
        if retries:
            limit, delay, backoff = retries.get("limit"), retries.get("delay"), retries.get("backoff")
            delay = duration_text(delay) if isinstance(delay, int | float) else delay
            text = f"{limit} retries, delay {delay}, {backoff}"
            node.add(self._text(f"{text}; timeout {_timeout_text(step)}" if _timeout_text(step) else text, "dim"))

    def _next_attempt(self, retries: Mapping[str, Any], end_ms: int, failed_count: int) -> str:
        """When a failed step is tried again; a delay that a function gives is not known."""
        if retries.get("delay") in {None, "[dynamic]"}:
            return "; is tried again"
        delay_ms = parse_duration_ms(retries["delay"], "The delay")
        at_ms = end_ms + retry_wait_ms(retries.get("backoff", "exponential"), delay_ms, failed_count)
        left_ms = at_ms - self._now_ms
        return f"; is tried again at {time_of_day(at_ms)}" + (f", in {duration_text(left_ms)}" if left_ms > 0 else "")

    def _took(self, start_ms: int | None, end_ms: int | None) -> str:
        return "" if start_ms is None else duration_text((end_ms or self._now_ms) - start_ms)

    def _cut(self, value: Any) -> str:
        text = printable(json_text(json_value(value)))
        limit = self._output_chars_max
        return text if len(text) <= limit or not limit else text[:limit] + TRUNCATED


def _mark(step: Mapping[str, Any]) -> _Mark:
    if step["type"] == "termination":
        return _FAILED
    if step.get("error") and step.get("success") is not None:
        return _FAILED
    is_over = step.get("finished") if step["type"] in {"sleep", "waitForEvent"} else step.get("success")
    if step.get("error") and step["type"] in {"sleep", "waitForEvent"}:
        return _FAILED
    if is_over:
        return _DONE
    if is_over is False and step["type"] in {"step", "rollback"}:
        return _FAILED
    return _WAITING if step["type"] in {"sleep", "waitForEvent"} else _RUNNING


def _what(step: Mapping[str, Any]) -> str:
    """What kind of step it is, where that is not plain, and how it stands."""
    kind, attempts = step["type"], step.get("attempts") or ()
    if kind == "sleep":
        return "slept" if step.get("finished") else "sleeping"
    if kind == "waitForEvent":
        told = "event" if step.get("finished") and not step.get("error") else "waits for event"
        return f"{told} {printable(str(step.get('event_type')))}"
    if kind == "termination":
        return f"by {step['trigger']['source']}"
    told = "rollback" if kind == "rollback" else ""
    if len(attempts) > 1:
        told = f"{told}, {len(attempts)} attempts".removeprefix(", ")
    if step.get("success") is None:
        told = f"{told}, running".removeprefix(", ")
    return told


def _name(step: Mapping[str, Any]) -> str:
    return printable(str(step.get("name") or step["type"]))


def _error_text(error: Mapping[str, Any]) -> str:
    return printable(f"{error['name']}: {error['message']}")


def _timeout_text(step: Mapping[str, Any]) -> str:
    timeout = (step.get("config") or {}).get("timeout")
    return duration_text(timeout) if isinstance(timeout, int | float) else str(timeout or "")


def _ms(time: str | None) -> int | None:
    """Milliseconds of a time as the REST API writes it."""
    if time is None:
        return None
    return round(datetime.fromisoformat(time).astimezone(UTC).timestamp() * 1000)
