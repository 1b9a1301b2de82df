"""Random graphs, with a crash at a random point: each step runs after what it needs, and is recorded once."""

from __future__ import annotations

import importlib
import json
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WORK = """
    import asyncio

    log = []

    async def work(name, turns, got):
        log.append(("start", name))
        for _ in range(turns):
            await asyncio.sleep(0)
        log.append(("end", name))
        return {"name": name, "got": got}

    def in_a_thread(name, turns, got):
        log.append(("start", name))
        log.append(("end", name))
        return {"name": name, "got": got}
"""


class Dag(NamedTuple):
    """`needs` has what each step comes after, by name; a reference says so for some, `needs` for the others."""

    text: str
    needs: Mapping[str, Sequence[str]]
    calls: int


def random_dag(chance: Random) -> Dag:
    names = [f"s{n}" for n in range(chance.randint(1, 9))]
    needs = {name: [one for one in names[:index] if chance.random() < 0.35] for index, name in enumerate(names)}
    written = names.copy()
    chance.shuffle(written)
    steps: dict[str, Any] = {}
    calls = 0
    for name in written:
        referred = [one for one in needs[name] if chance.random() < 0.5]
        got = [f"${{steps.{one}.out.name | default('{one}')}}" for one in referred]
        step: dict[str, Any] = {
            "uses": f"./dag_work.py:{chance.choice(['work', 'work', 'in_a_thread'])}",
            "needs": [one for one in needs[name] if one not in referred],
            "with": {"name": name, "turns": chance.randint(0, 30), "got": got},
        }
        count = 1
        if chance.random() < 0.2:
            count = chance.randint(0, 4)
            step |= {"for_each": list(range(count)), "max_parallel": chance.randint(1, 3)}
            step["with"]["name"] = f"{name}/${{item}}"
            got.clear()
            step["needs"] = needs[name]
        elif chance.random() < 0.15:
            step["if"] = False
            count = 0
        steps[name] = step
        calls += count
    # What refers to a list has no name in it; such a graph is made again without references.
    lists = {name for name, step in steps.items() if "for_each" in step}
    for name, step in steps.items():
        if lists & set(needs[name]):
            step["with"]["got"], step["needs"] = [], needs[name]
    output = {name: f"${{steps.{name}.skipped}}" for name in names}
    return Dag(json.dumps({"kind": "Workflow/v1", "steps": steps, "output": output}), needs, calls)


def violations(log: Sequence[tuple[str, str]], needs: Mapping[str, Sequence[str]], ran: set[str]) -> list[str]:
    """Starts of a step before the end of one that it needs, and that runs at all."""
    ended: set[str] = set()
    found = []
    for what, call in log:
        name = call.partition("/")[0]
        if what == "end":
            ended.add(name)
        found += [f"{call} before {one}" for one in needs[name] if what == "start" and one in ran and one not in ended]
    return found


async def run_with_a_crash(serve: Callable[..., Any], log: list[Any], dag: Dag, chance: Random) -> Any:
    site = await serve(dag.text)
    instance = await site.create()
    crash_after = chance.randint(0, 2 * dag.calls)
    await site.until(lambda: len(log) >= crash_after)
    await site.crash()
    site.start()
    output = await site.output(instance)
    steps = await site.steps(instance)
    await site.stop()
    return output, steps


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(n, marks=pytest.mark.slow) for n in range(12, 400))])
async def test_each_step_runs_after_what_it_needs_over_a_crash(
    serve: Callable[..., Any], write: Callable[[str, str], None], seed: int
) -> None:
    write("dag_work.py", WORK)
    log = importlib.import_module("dag_work").log
    chance = Random(seed)
    dag = random_dag(chance)
    output, steps = await run_with_a_crash(serve, log, dag, chance)
    ran = {call.partition("/")[0] for _, call in log}
    assert violations(log, dag.needs, ran) == []
    assert len(steps) == dag.calls, "every call is recorded, once"
    assert len({call for what, call in log if what == "end"}) == dag.calls
    assert set(output) == set(dag.needs)


def test_the_control_finds_a_step_that_ran_too_early() -> None:
    log = [("start", "a"), ("start", "b"), ("end", "a"), ("end", "b")]
    assert violations(log, {"a": [], "b": ["a"]}, {"a", "b"}) == ["b before a"]
