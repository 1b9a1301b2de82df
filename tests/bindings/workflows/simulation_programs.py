"""Random workflows: what `run(event, step)` does in a simulation, drawn from a seed.

A program's outcome does not depend on when or how often it is interrupted, but for what it tells: each successful
attempt of a step returns a token of its own, so a step that ran again, or whose result was forgotten, is seen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from .simulation_promises import Promises

EVENT_TYPES = ("approved", "paid")
NAPS_MS = (5, 300, 900, 2_000, 12_000)
WORK_MS = (0, 0, 0, 3, 40, 700)


@dataclass(frozen=True, slots=True)
class Do:
    """A step whose first attempts fail; more of them than `limit`, and it fails for good."""

    name: str
    work_ms: int = 0
    failing_count: int = 0
    limit: int = 3
    delay_ms: int = 0
    timeout_ms: int = 600_000
    is_at_most_once: bool = False
    has_rollback: bool = False
    inner: str | None = None
    """A step that its callback calls."""

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "retries": {"limit": self.limit, "delay": self.delay_ms, "backoff": "linear"},
            "timeout": self.timeout_ms,
        }
        return {**config, "semantics": "at_most_once"} if self.is_at_most_once else config


@dataclass(frozen=True, slots=True)
class Sleep:
    name: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    name: str
    type: str
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Together:
    branches: tuple[tuple[Op, ...], ...]


@dataclass(frozen=True, slots=True)
class Fail:
    """An error that nobody catches."""

    message: str


Op = Do | Sleep | Wait | Together | Fail


def draw_program(chance: Random) -> tuple[Op, ...]:
    """A program of one seed."""
    ops = [*_draw_ops(chance, chance.randint(2, 7), ""), *[Do("again")] * chance.choice((0, 0, 3))]
    if chance.random() < 0.2:
        ops.append(Fail("the order is refused"))
    return tuple(ops)


def steps_of(program: Sequence[Op]) -> list[str]:
    """The names of steps that a restart may begin from."""
    return [op.name for op in program if isinstance(op, Do)]


async def run_program(ops: Sequence[Op], event: dict[str, Any], step: Any, promises: Promises) -> list[Any]:
    """What `run` does."""
    told = _Teller(step, promises)
    return await told.run(ops)


def _draw_ops(chance: Random, op_count: int, prefix: str) -> list[Op]:
    ops: list[Op] = []
    for number in range(op_count):
        name = f"{prefix}{number}"
        kind = chance.choices(("do", "sleep", "wait", "together"), (6, 2, 2, 0 if prefix else 1))[0]
        if kind == "do":
            ops.append(_draw_do(chance, name, may_roll_back=not prefix))
        elif kind == "sleep":
            ops.append(Sleep(name, chance.choice(NAPS_MS)))
        elif kind == "wait":
            # One branch alone waits for a type: which of two branches calls first may differ between passes.
            ops.append(Wait(name, EVENT_TYPES[0] if not prefix else f"for-{prefix}", chance.choice((800, 20_000))))
        else:
            branches = (tuple(_draw_ops(chance, chance.randint(1, 3), f"{name}{letter}")) for letter in "abc")
            ops.append(Together(tuple(branches)))
    return ops


def _draw_do(chance: Random, name: str, *, may_roll_back: bool) -> Do:
    limit = chance.choice((0, 1, 3))
    return Do(
        name,
        work_ms=chance.choice(WORK_MS),
        failing_count=chance.choice((0, 0, 0, 1, limit, limit + 1)),
        limit=limit,
        delay_ms=chance.choice((0, 30, 1_500)),
        timeout_ms=chance.choice((600_000, 600_000, 500)),
        is_at_most_once=chance.random() < 0.15,
        has_rollback=may_roll_back and chance.random() < 0.4,
        inner=f"{name}-inner" if chance.random() < 0.1 else None,
    )


class _Teller:
    """Runs a program and tells what it sees."""

    def __init__(self, step: Any, promises: Promises) -> None:
        self._step = step
        self._promises = promises
        self._pass = step._pass
        self._counts: dict[str, int] = {}

    async def run(self, ops: Sequence[Op]) -> list[Any]:
        outcomes: list[Any] = []
        for op in ops:
            match op:
                case Do():
                    outcomes.append(await self._do(op))
                case Sleep():
                    await self._sleep(op)
                case Wait():
                    outcomes.append(await self._wait(op))
                case Together():
                    outcomes.append(await asyncio.gather(*(self.run(branch) for branch in op.branches)))
                case Fail():
                    raise ValueError(op.message)
        return outcomes

    async def _do(self, op: Do) -> Any:
        key = self._key(op.name)
        self._promises.called(self._pass, key)

        async def work(ctx: dict[str, Any]) -> Any:
            self._promises.started(self._pass, key, ctx["attempt"], is_once=op.is_at_most_once)
            inner = None if op.inner is None else await self._do(Do(op.inner))
            await asyncio.sleep(op.work_ms / 1000)
            if ctx["attempt"] <= op.failing_count:
                raise ValueError("not this time")
            return [self._promises.token(), inner]

        async def undo(_: dict[str, Any]) -> None:
            await asyncio.sleep(0.01)
            self._promises.undone(self._pass, key)

        try:
            rollback = undo if op.has_rollback else None
            found = await self._step.do(op.name, work, config=op.config, rollback=rollback)
        except Exception as error:  # noqa: BLE001 - as a user's code may
            found = f"{type(error).__name__}: {error}"
        self._promises.returned(self._pass, key, found)
        return found

    async def _sleep(self, op: Sleep) -> None:
        key = self._key(op.name)
        self._promises.fell_asleep(self._pass, key, op.duration_ms)
        await self._step.sleep(op.name, op.duration_ms)
        self._promises.woke(self._pass, key)

    async def _wait(self, op: Wait) -> Any:
        key = self._key(op.name)
        try:
            found = (await self._step.wait_for_event(op.name, op.type, timeout=op.timeout_ms))["payload"]
        except Exception as error:  # noqa: BLE001 - as a user's code may
            found = f"{type(error).__name__}: {error}"
        self._promises.returned(self._pass, key, found)
        return found

    def _key(self, name: str) -> str:
        self._counts[name] = self._counts.get(name, 0) + 1
        return f"{name}-{self._counts[name]}"
