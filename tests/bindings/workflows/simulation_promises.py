"""The seven promises of workflows as a plain model that watches a simulation: what user code saw, and what was
committed.

Source: spec "Workflows", 8.1.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.bindings.workflows import values
from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.journal.records import Status, StepState

if TYPE_CHECKING:
    from collections.abc import Callable

    from .simulation_world import World


@dataclass
class Known:
    """What is known of one instance, by its number in the journal."""

    generation: int = 1
    results: dict[str, Any] = field(default_factory=dict)
    """What user code got from a step or a wait, by `name-occurrence`."""
    attempts: dict[tuple[int, str, int], int] = field(default_factory=lambda: defaultdict(int))
    due_ms: dict[str, float] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    mailbox: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    outputs: dict[int, Any] = field(default_factory=dict)


class Promises:
    """Whatever is broken is kept in `broken`, as `promise N: what happened`."""

    def __init__(self, world: World) -> None:
        self.broken: list[str] = []
        self.known: dict[int, Known] = defaultdict(Known)
        self.created: dict[str, int] = defaultdict(int)
        """How often a `create` was answered as done, by id."""
        self._world = world
        self._token_count = 0

    def breaks(self, promise: int, what: str) -> None:
        self.broken.append(f"promise {promise}: {what}")
        self._world.tell("broken", promise, what)

    # Told by user code.

    def token(self) -> int:
        """Never the same twice."""
        self._token_count += 1
        return self._token_count

    def called(self, pass_: Any, key: str) -> None:
        known = self._of(pass_)
        if known is not None and key not in known.order:
            known.order.append(key)

    def started(self, pass_: Any, key: str, attempt: int, *, is_once: bool) -> None:
        self._world.tell("started", pass_.instance.id, key, attempt)
        known = self.known[pass_.lease.number]
        times = known.attempts[pass_.instance.generation, key, attempt] = (
            1 + known.attempts[pass_.instance.generation, key, attempt]
        )
        if is_once and times > 1:
            self.breaks(2, f"attempt {attempt} of at-most-once step {key} began {times} times")
        # A process that was stalled past its lease may begin an attempt before it learns of it: it cannot record it.
        if key in known.results and self._is_current(pass_):
            self.breaks(1, f"step {key} of {pass_.instance.id} began again after user code had its result")

    def returned(self, pass_: Any, key: str, found: Any) -> None:
        self._world.tell("returned", pass_.instance.id, key, found)
        known = self._of(pass_)
        if known is not None and known.results.setdefault(key, found) != found:
            self.breaks(1, f"{key} of {pass_.instance.id} gave {known.results[key]!r}, then {found!r}")

    def fell_asleep(self, pass_: Any, key: str, duration_ms: int) -> None:
        known = self._of(pass_)
        if known is not None:
            due_ms = self._world.wall_s() * 1000 + duration_ms
            known.due_ms[key] = min(known.due_ms.get(key, due_ms), due_ms)  # the clock may have gone back meanwhile

    def woke(self, pass_: Any, key: str) -> None:
        self._world.tell("woke", pass_.instance.id, key)
        known = self._of(pass_)
        if known is not None and known.due_ms[key] - self._world.latest_wall_s * 1000 > 1:
            early_ms = known.due_ms[key] - self._world.latest_wall_s * 1000
            self.breaks(5, f"sleep {key} of {pass_.instance.id} ended {early_ms:.0f} ms early")

    def clock_went_back(self, by_ms: float) -> None:
        """What is called and not recorded yet, as while a pause holds it, sleeps by the clock there will be then."""
        for number, known in self.known.items():
            recorded = self._steps(number)
            for key in known.due_ms.keys() - recorded:
                known.due_ms[key] -= by_ms

    def undone(self, pass_: Any, key: str) -> None:
        known = self._of(pass_)
        if known is None or key in known.undone:
            return
        if known.undone and known.order.index(key) > known.order.index(known.undone[-1]):
            self.breaks(6, f"{key} of {pass_.instance.id} was rolled back after {known.undone[-1]}")
        known.undone.append(key)

    def ended(self, pass_: Any, output: Any) -> None:
        known = self._of(pass_)
        if known is not None and known.outputs.setdefault(pass_.instance.generation, output) != output:
            self.breaks(
                1, f"{pass_.instance.id} returned {known.outputs[pass_.instance.generation]!r}, then {output!r}"
            )

    # Told by the store, around each commit.

    def commit(self, job: str, arguments: tuple[Any, ...], apply: Callable[[], Any]) -> Any:
        """Apply a job of the journal, and compare what it did with the model."""
        number = self._number(job, arguments)
        before = self._row(number)
        outcome = apply()
        after = self._row(number)
        if number is None or before is None:
            return outcome
        known = self.known[number]
        if job == "send_event" and outcome is not None and not Status(before[0]).is_final:
            known.mailbox[arguments[2]].append(arguments[3].payload)
        if job == "take_event" and outcome is not None:
            self._took(known, outcome)
        if after is None or Status(after[0]).is_final:
            known.mailbox.clear()
        elif after[1] != known.generation:
            self._began_again(number, known, after[1], is_from_top=_needs_no_step(arguments[2]))
        return outcome

    def finished(self, instance_id: str, number: int, output: Any) -> None:
        """At the end of all: an instance is complete."""
        known = self.known[number]
        if known.outputs.get(known.generation) != output:
            self.breaks(1, f"{instance_id} is complete with {output!r}, not {known.outputs.get(known.generation)!r}")

    def _took(self, known: Known, outcome: Any) -> None:
        mailbox = known.mailbox[outcome.event_type]
        if outcome.state is StepState.FAILED and mailbox:
            self.breaks(3, f"wait {outcome.key.name} timed out while an event lay ready")
        if outcome.state is StepState.DONE:
            payload = values.decode(outcome.result)["payload"]
            if not mailbox or values.decode(mailbox[0]) != payload:
                self.breaks(3, f"wait {outcome.key.name} took {payload!r}, next are {mailbox!r}")
            else:
                mailbox.pop(0)

    def _began_again(self, number: int, known: Known, generation: int, *, is_from_top: bool) -> None:
        """After a restart: what the journal forgot, user code may see anew."""
        kept = self._steps(number)
        if is_from_top:
            known.mailbox.clear()
        known.generation = generation
        known.undone.clear()
        known.results = {key: found for key, found in known.results.items() if key in kept}
        known.due_ms = {key: due for key, due in known.due_ms.items() if key in kept}
        known.order = [key for key in known.order if key in kept]

    def _steps(self, number: int) -> set[str]:
        """What is recorded."""
        rows = self._world.connection.execute("SELECT name, count FROM step WHERE instance = ?", (number,)).fetchall()
        return {f"{name}-{count}" for name, count in rows}

    def _of(self, pass_: Any) -> Known | None:
        """What is known of a pass's instance; None for one of an earlier generation, which nobody listens to."""
        known = self.known[pass_.lease.number]
        return known if known.generation == pass_.instance.generation else None

    def _is_current(self, pass_: Any) -> bool:
        row = self._row(pass_.lease.number)
        return row is not None and row[2] == pass_.lease.fence and row[1] == pass_.instance.generation

    def _number(self, job: str, arguments: tuple[Any, ...]) -> int | None:
        if job in {"save", "take_event", "release", "finish"}:
            number: int = arguments[0].number
            return number
        if job not in {"act", "send_event", "delete"}:
            return None
        row = self._world.connection.execute("SELECT number FROM instance WHERE id = ?", (arguments[1],)).fetchone()
        return None if row is None else row[0]

    def _row(self, number: int | None) -> tuple[str, int, int] | None:
        """Status, generation, fence."""
        query = "SELECT status, generation, fence FROM instance WHERE number = ?"
        row: tuple[str, int, int] | None = self._world.connection.execute(query, (number,)).fetchone()
        return row


def _needs_no_step(decide: Callable[..., Any]) -> bool:
    """Of what restarts an instance: whether it begins from the top, and not from a step."""
    try:
        decide(None, ())
    except WorkflowError:
        return False
    return True
