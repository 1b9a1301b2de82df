"""Replay divergence: what differs from the recorded run is told of, or ends a strict instance; nothing else is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOUR_S = 3601


async def run_twice(site: Any, host: FakeHost, params: Any) -> dict[str, Any]:
    """Its status at the end; the first pass hibernates for an hour."""
    instance = await site.create(params)
    await site.reach(instance, "waiting")
    await site.until(lambda: not site.runner._passes)
    await host.advance(HOUR_S)
    async with asyncio.timeout(60):
        while (found := await instance.status())["status"] not in {"complete", "errored"}:
            await host.advance(1)
    status: dict[str, Any] = found
    return status


def told(host: FakeHost) -> list[tuple[str, str]]:
    lines = [values for _, event, values in host.log.lines if event == "workflow_replay_diverged"]
    return [(values["recorded_step"], values["requested_step"]) for values in lines]


async def call(name: str, step: Any) -> None:
    if name == "nap":
        await step.sleep(name, "1 hour")
    elif name == "event":
        await step.wait_for_event(name, "never", timeout=1)
    else:
        await step.do(name, lambda: name)


def changing(first: list[str], then: list[str]) -> Any:
    """A run that calls some steps in its first pass, and others in the next ones."""
    passes: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        passes.append(1)
        for name in first if len(passes) == 1 else then:
            await call(name, step)

    return run


CHANGES = {
    "another branch": (["first", "nap"], ["second", "nap"], "first-1", "second-1"),
    "a step less": (["first", "nap"], ["nap"], "first-1", None),
    "fewer of one name": (["x", "x", "nap"], ["x", "nap"], "x-2", None),
    "another kind": (["first", "nap"], ["nap", "nap"], "first-1", "sleep nap-2"),
}


@pytest.mark.parametrize(("first", "then", "recorded", "requested"), CHANGES.values(), ids=CHANGES)
async def test_a_changed_run_is_told_of(
    start: Callable[..., Any], host: FakeHost, first: Any, then: Any, recorded: str, requested: str | None
) -> None:
    found = await run_twice(await start(changing(first, then)), host, {})
    assert found["status"] == "complete"
    assert (recorded, requested) in told(host)


@pytest.mark.parametrize(("first", "then", "recorded", "requested"), CHANGES.values(), ids=CHANGES)
async def test_a_changed_run_ends_a_strict_instance(
    start: Callable[..., Any], host: FakeHost, first: Any, then: Any, recorded: str, requested: str | None
) -> None:
    found = await run_twice(await start(changing(first, then), strict_replay=True), host, {})
    assert found["status"] == "errored"
    assert found["error"]["name"] == "NonDeterminismError"
    assert f'the finished step "{recorded}" again' in found["error"]["message"]
    if requested is not None and recorded != "first-1":
        assert requested in found["error"]["message"]


async def test_a_strict_run_cannot_swallow_its_end_and_runs_nothing_new(
    start: Callable[..., Any], host: FakeHost
) -> None:
    passes: list[int] = []
    calls: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        passes.append(1)
        name = "first" if len(passes) == 1 else "second"
        try:
            await step.do(name, lambda: calls.append(name))
            await step.sleep("nap", "1 hour")
        except Exception:  # noqa: BLE001 - what user code writes
            return "swallowed"

    site = await start(run)
    site.load(run, strict_replay=True)
    found = await run_twice(site, host, {})
    assert found["error"]["message"].startswith(
        'The run differs from what is recorded: it did not call the finished step "first-1" again, and called the new '
        'step "second-1".'
    )
    assert calls == ["first"]


async def test_nested_steps_are_no_divergence(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        async def race() -> int:
            inner: int = await step.do("inner", lambda: 1)
            return inner

        await step.do("outer", race)
        await step.sleep("nap", "1 hour")
        return "done"

    found = await run_twice(await start(run, strict_replay=True), host, {})
    assert found["output"] == "done"


Program = tuple[Any, ...]
"""("step", n) | ("fail", n) | ("turns", n) | ("nap", n) | ("seq", p...) | ("par", p...) | ("first", p...)"""


def programs() -> st.SearchStrategy[Program]:
    names = st.integers(0, 3)
    leaves = st.one_of(
        st.tuples(st.sampled_from(["step", "step", "fail", "nap"]), names), st.tuples(st.just("turns"), names)
    )
    return st.recursive(
        leaves,
        lambda inner: st.tuples(st.sampled_from(["seq", "par"]), st.lists(inner, min_size=1, max_size=4)).map(
            lambda found: (found[0], *found[1])
        ),
        max_leaves=12,
    )


async def play(program: Program, step: Any, path: str) -> Any:
    """Steps have a name of their own in each branch, or the order of branches would choose whose result is whose."""
    kind, *rest = program
    name = f"{path}{rest[0]}"
    if kind == "seq":
        return [await play(one, step, f"{path}{number}.") for number, one in enumerate(rest)]
    if kind == "par":
        return await asyncio.gather(*(play(one, step, f"{path}{number}.") for number, one in enumerate(rest)))
    if kind == "turns":
        for _ in range(rest[0]):
            await asyncio.sleep(0)
    elif kind == "nap":
        await step.sleep(name, [0.3, 0.5, "1 hour", "2 hours"][rest[0]])
    elif kind == "step":
        return await step.do(name, turning(rest[0]))
    else:
        try:
            await step.do(name, failing, config={"retries": {"limit": 1, "delay": 100 * rest[0]}})
        except ValueError:
            return await step.do(f"{name} mended", lambda: name)
    return None


def turning(count: int) -> Callable[[], Any]:
    async def callback() -> int:
        for _ in range(count):
            await asyncio.sleep(0)
        return count

    return callback


def failing() -> None:
    raise ValueError("no")


async def finish(folder: Path, run: Any, open_site: Any, **options: Any) -> tuple[dict[str, Any], FakeHost]:
    host = FakeHost(folder)
    async with open_site(host, run, **options) as site:
        instance = await site.create()
        async with asyncio.timeout(60):
            while (found := await instance.status())["status"] not in {"complete", "errored"}:
                await host.advance(3600 if found["status"] == "waiting" else 1)
    await host.aclose()
    return found, host


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[], Path]:
    made = iter(range(10_000))

    def folder() -> Path:
        path = tmp_path / str(next(made))
        path.mkdir()
        return path

    return folder


QUICK = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(program=programs())
@example(program=("seq", ("par", ("seq", ("step", 0), ("turns", 3), ("step", 2)), ("step", 1)), ("nap", 1), ("nap", 1)))
@example(program=("par", ("seq", ("nap", 0), ("step", 1)), ("seq", ("step", 3), ("nap", 1), ("fail", 1))))
async def test_a_run_that_does_not_change_is_never_suspected(
    program: Program, folders: Callable[[], Path], opening: Any
) -> None:
    async def run(self: Any, event: Any, step: Any) -> str:
        await play(program, step, "")
        return "done"

    found, host = await finish(folders(), run, opening, strict_replay=True)
    assert found == {"status": "complete", "output": "done"}
    assert told(host) == []


@QUICK
@given(program=programs())
async def test_a_run_gives_the_same_whether_it_stays_in_memory_or_not(
    program: Program, folders: Callable[[], Path], opening: Any
) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        return await play(program, step, "")

    resident, _ = await finish(folders(), run, opening)
    always, _ = await finish(folders(), run, opening, is_resident=False)
    assert resident == always
    assert resident["status"] == "complete"


@QUICK
@given(program=programs(), others=programs())
async def test_a_changed_branch_is_always_seen(
    program: Program, others: Program, folders: Callable[[], Path], opening: Any
) -> None:
    """It lost a step that was finished; everything beside it goes on as before."""
    passes: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> str:
        passes.append(1)

        async def changed() -> None:
            await step.do("changed" if len(passes) == 1 else "new", lambda: 1)
            await play(program, step, "a")

        await asyncio.gather(changed(), play(others, step, "b"))
        await step.sleep("last", "24 hours")
        return "done"

    found, _ = await finish(folders(), run, opening, strict_replay=True)
    assert found["error"]["name"] == "NonDeterminismError"
    assert '"changed-1"' in found["error"]["message"]
    assert '"new-1"' in found["error"]["message"]
