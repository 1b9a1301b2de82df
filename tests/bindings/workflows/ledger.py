"""What processes told in a file outside, compared with the promises of workflows (spec "Workflows", 8.1).

Each line is `PID WHAT ORDER [STEP] [VALUE]`: `created`, `sending`, `sent` of who places an order; `start`, `halfway`,
`done`, `sleep`, `woke`, `once`, `took` and `end` of the code of `run`, which tells them again in every pass.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ledger:
    """The lines of a file, in the order in which they were written."""

    def __init__(self, path: Path) -> None:
        self.lines = [line.split() for line in path.read_text().splitlines()]

    def told(self, what: str) -> list[list[str]]:
        """The words behind `what`, of each line that has it."""
        return [words[2:] for words in self.lines if words[1] == what]

    def broken(self, *, order_count: int, has_several_processes: bool = False) -> list[str]:
        """Every promise that was broken, as `promise N: what`; the orders have had time to end."""
        found = [*self._results(), *self._charges(), *self._events(), *self._naps()]
        if not has_several_processes:  # one that was stalled may begin a step before it learns that it lost the order
            found += self._repetitions()
        found += [f"promise 4: {one} was created {n} times" for (one,), n in self._counted("created").items() if n > 1]
        missing = {f"o{number}" for number in range(order_count)} - {order for (order,) in self.told("end")}
        return found + [f"promise 6: {order} never ended" for order in sorted(missing)]

    def _results(self) -> Iterator[str]:
        results: dict[tuple[str, str], str] = {}
        for order, step, value in self.told("done"):
            if results.setdefault((order, step), value) != value:
                yield f"promise 1: {step} of {order} gave {results[order, step]}, then {value}"

    def _repetitions(self) -> Iterator[str]:
        done: set[tuple[str, ...]] = set()
        for _, what, *words in self.lines:
            if what == "done":
                done.add(tuple(words[:2]))
            if what == "start" and tuple(words[:2]) in done:
                yield f"promise 1: {words[1]} of {words[0]} began again"

    def _charges(self) -> Iterator[str]:
        for (order, _, attempt), times in self._counted("once").items():
            if times > 1:
                yield f"promise 2: attempt {attempt} of the charge of {order} began {times} times"

    def _events(self) -> Iterator[str]:
        waits: dict[str, dict[str, str]] = defaultdict(dict)
        for order, wait, payload in self.told("took"):
            if waits[order].setdefault(wait, payload) != payload:
                yield f"promise 3: {wait} of {order} took {waits[order][wait]}, then {payload}"
        accepted = {(order, payload) for order, payload in self.told("sent")}
        for order, by_wait in waits.items():
            taken = [by_wait[wait] for wait in sorted(by_wait)]
            if len(set(taken)) < len(taken):
                yield f"promise 3: an event of {order} was taken twice"
            for sent in self._sent_by_each(order):  # of two senders nobody knows who came first
                of_one = [payload for payload in taken if payload in sent]
                before_last = sent[: 1 + max(map(sent.index, of_one), default=-1)]
                if [payload for payload in before_last if payload in of_one] != of_one:
                    yield f"promise 3: {order} took {of_one}, sent in the order {sent}"
                for payload in before_last:
                    if payload not in of_one and (order, payload) in accepted:
                        yield f"promise 3: {order} never got {payload}, which was accepted"

    def _sent_by_each(self, order: str) -> list[list[str]]:
        """The payloads for an order, in the order in which each process sent them."""
        sent: dict[str, list[str]] = defaultdict(list)
        for sender, what, *words in self.lines:
            if what == "sending" and words[0] == order:
                sent[sender].append(words[1])
        return list(sent.values())

    def _naps(self) -> Iterator[str]:
        due: dict[tuple[str, str], int] = {}
        for _, what, *words in self.lines:
            if what == "sleep":
                due.setdefault((words[0], words[1]), int(words[2]))
            if what == "woke" and int(words[2]) // 1_000_000 < due[words[0], words[1]] // 1_000_000:
                yield f"promise 5: {words[1]} of {words[0]} ended early"

    def _counted(self, what: str) -> Counter[tuple[str, ...]]:
        return Counter(tuple(words) for words in self.told(what))
