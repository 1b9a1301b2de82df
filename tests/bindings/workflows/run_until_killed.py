"""A process that runs orders until it is killed, or until all are complete.

    run_until_killed.py STATE_FOLDER LEDGER COUNT [--forget] [--no-fence] [--lease-s S] [--work-s S]

What user code sees is written to the ledger, a file outside, one line each, by `tell` (see `ledger.py`). Two controls:
`--forget` is an engine that loses what it was told, for its state is removed at the start; `--no-fence` is one that
lets anybody write who once held an instance.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.bindings.workflows.definition import Definition
from edge.bindings.workflows.engine.doorbell import Doorbells
from edge.bindings.workflows.engine.runner import LEASE_SECONDS, WorkflowRunner
from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.journal.records import Status
from edge.bindings.workflows.journal.sqlite_journal import SqliteJournal, open_journal
from edge.bindings.workflows.workflow import Workflow, WorkflowTools
from edge.runtime.core.entrypoints import WorkflowEntrypoint
from edge.runtime.core.env import Env
from edge.runtime.core.worker import Worker
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.live_worker import Generation, LiveWorker
from edge.runtime.plain_answer import plain_answer
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 3
NAP_MS = 4
EVENTS = 2
KILLS_MAX = 1_000_000
"""Kills are the test's doing, not an order's: none of them is to be parked for it."""
AT_MOST_ONCE = {"semantics": "at_most_once", "retries": {"limit": 2, "delay": 1}}


class Order(WorkflowEntrypoint):
    async def run(self, event: dict[str, Any], step: Any) -> int:
        order, tell = event["instanceId"], self.env.TELL
        for number in range(STEPS):

            async def work(ctx: dict[str, Any], number: int = number) -> str:
                tell("start", order, f"work{number}", ctx["attempt"])
                await asyncio.sleep(self.env.WORK_S / 2)
                tell("halfway", order, f"work{number}")
                await asyncio.sleep(self.env.WORK_S / 2)
                return f"{os.getpid()}-{time.monotonic_ns()}"

            tell("done", order, f"work{number}", await step.do("work", work))
            tell("sleep", order, f"nap{number}", time.time_ns() + NAP_MS * 1_000_000)
            await step.sleep("nap", NAP_MS)
            tell("woke", order, f"nap{number}", time.time_ns())

        async def charge(ctx: dict[str, Any]) -> str:
            tell("once", order, "charge", ctx["attempt"])
            await asyncio.sleep(self.env.WORK_S)
            return "charged"

        with suppress(Exception):  # each attempt may have been interrupted
            await step.do("charge", charge, config=AT_MOST_ONCE)
        for number in range(EVENTS):
            payload = (await step.wait_for_event("wait", "go"))["payload"]
            tell("took", order, f"wait{number}", payload)
        tell("end", order)
        return STEPS


async def main(options: argparse.Namespace, before: set[str]) -> None:
    out = os.open(options.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(*words: object) -> None:
        os.write(out, f"{os.getpid()} {' '.join(map(str, words))}\n".encode())

    host = LocalMachine(options.state, RecordingLog())
    live = LiveWorker(host, plain_answer)
    generation = Generation(Env({"TELL": tell, "WORK_S": options.work_s}), host)
    generation.worker = Worker("x.py", "class", {}, {"Order": Order})
    live.swap(generation)
    async with open_journal(options.state / "workflows.sqlite") as journal:
        if options.no_fence:
            write_without_fence(journal, options.state / "workflows.sqlite")
        doorbells = Doorbells(options.state / "runners")
        definition = Definition("orders", "Order")
        runner = WorkflowRunner(
            journal, [definition], live, host, doorbells, crash_count_max=KILLS_MAX, lease_s=options.lease_s
        )
        workflow = Workflow(definition, WorkflowTools(journal, host, runner.tell))
        running = host.spawn(runner.run(), name="runner")
        for number in range(options.count):
            await place(workflow, f"o{number}", tell, before)
        tell("placed")
        for number in range(options.count):
            instance = await workflow.get(f"o{number}")
            while (await instance.status())["status"] != "complete":  # noqa: ASYNC110 - a user has nothing else
                await asyncio.sleep(0.005)
        while runner._passes:  # noqa: ASYNC110 - one that was stalled may still try to write
            await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def place(workflow: Workflow, order: str, tell: Callable[..., None], before: set[str]) -> None:
    """Create an order, and send it each event that nobody is known to have sent."""
    with suppress(WorkflowError):
        await workflow.create(id=order)
        tell("created", order)
    for number in range(EVENTS):
        if f"{order} {number}" not in before:
            payload = f"{number}.{os.getpid()}"
            tell("sending", order, payload)
            await (await workflow.get(order)).send_event({"type": "go", "payload": payload})
            tell("sent", order, payload)


def write_without_fence(journal: SqliteJournal, path: Path) -> None:
    """The control: a lease that was lost counts as much as the one that holds."""
    save = journal.save

    async def saved(lease: Any, *arguments: Any) -> Any:
        with closing(sqlite3.connect(path)) as connection:
            (fence,) = connection.execute("SELECT fence FROM instance WHERE number = ?", (lease.number,)).fetchone()
        return await save(lease._replace(fence=fence), *arguments)

    async def held(_: Any) -> Status:
        return Status.RUNNING

    journal.save = saved  # type: ignore[method-assign]
    journal.held_status = held  # type: ignore[method-assign]


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=Path)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--forget", action="store_true")
    parser.add_argument("--no-fence", action="store_true")
    parser.add_argument("--lease-s", type=float, default=LEASE_SECONDS)
    parser.add_argument("--work-s", type=float, default=0.0)
    return parser.parse_args()


def sent_before(ledger: Path) -> set[str]:
    """`ORDER NUMBER` of every event that was accepted."""
    lines = (line.split() for line in ledger.read_text().splitlines())
    return {f"{words[2]} {words[3].partition('.')[0]}" for words in lines if words[1] == "sent"}


if __name__ == "__main__":
    chosen = read_options()
    if chosen.forget:
        shutil.rmtree(chosen.state, ignore_errors=True)
    chosen.state.mkdir(exist_ok=True)
    is_begun = (chosen.state / "workflows.sqlite").exists() and chosen.ledger.exists()
    asyncio.run(main(chosen, sent_before(chosen.ledger) if is_begun else set()))
