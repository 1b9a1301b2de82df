"""Functions in threads: those that are slow hold up nobody, and what a caller knows they know."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.manifests import function_threads
from edge.bindings.workflows.manifests.function_threads import run_in_thread
from edge.bindings.workflows.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASYNCIO_THREADS_MAX = 32
"""Of the pool that asyncio makes itself, on any machine."""


@pytest.fixture
def opened() -> Iterator[threading.Event]:
    """What `block` waits for; the functions are let go in the end."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_slow_functions_hold_up_no_other_workflow_and_nothing_else(
    serve: Callable[..., Any], write: Callable[[str, str], None], opened: threading.Event
) -> None:
    write(
        "work.py", "began = []\n\ndef block(i):\n    began.append(i)\n    gate.wait()\n\ndef quick(): return 'done'\n"
    )
    work: Any = importlib.import_module("work")
    work.gate = opened
    count = ASYNCIO_THREADS_MAX + 1
    site = await serve(
        f"""
        kind: Workflow/v1
        steps:
          block:
            uses: ./work.py:block
            for_each: {list(range(count))}
            max_parallel: {count}
            with: ["${{item}}"]
        """,
        {"quick": 'kind: Workflow/v1\nsteps: {quick: {uses: "./work.py:quick"}}\noutput: "${steps.quick.out}"'},
    )
    slow = await site.create()
    await site.until(lambda: len(work.began) == count)
    quick = await Workflow(site.runner.definitions["quick"], site.workflow._tools).create()
    assert await site.output(quick) == "done"
    assert await asyncio.to_thread(lambda: "asyncio's own are free") == "asyncio's own are free"
    opened.set()
    await site.output(slow)


async def test_a_function_sees_the_context_of_its_caller() -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("ada")

    def told(greeting: str, *, mark: str) -> str:
        seen = f"{greeting} {name.get()}{mark}"
        name.set("bob")
        return seen

    assert await run_in_thread(told, "hello", mark="!") == "hello ada!"
    assert name.get() == "ada"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
async def test_what_a_function_raises_is_raised(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await run_in_thread(fail)
    assert caught.value is error


async def test_past_the_bound_functions_wait_for_a_thread_and_one_that_was_given_up_is_not_run(
    monkeypatch: pytest.MonkeyPatch, opened: threading.Event
) -> None:
    monkeypatch.setattr(function_threads, "THREADS_MAX", 1)
    monkeypatch.setattr(function_threads, "_threads", function_threads._Threads())
    ran: list[str] = []

    def block() -> None:
        opened.wait()

    first = asyncio.create_task(run_in_thread(block))
    given_up = asyncio.create_task(run_in_thread(ran.append, "given up"))
    last = asyncio.create_task(run_in_thread(ran.append, "last"))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert not last.done()
    opened.set()
    await asyncio.gather(first, last)
    assert ran == ["last"]


ENDLESS = """
import asyncio, threading
from edge.bindings.workflows.manifests.function_threads import run_in_thread

async def main():
    began = threading.Event()
    def block():
        began.set()
        threading.Event().wait()
    task = asyncio.create_task(run_in_thread(block))
    while not began.is_set():
        await asyncio.sleep(0)
    task.cancel()

asyncio.run(main())
print("over")
"""


def test_a_function_that_never_ends_does_not_keep_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("over\n", "")
