"""A process that runs orders until it is killed, or until all are complete.

    run_until_killed.py STATE_FOLDER LEDGER COUNT [--forget]

Each step writes a line to the ledger, a file outside: `start ID STEP` before its work, `done ID STEP` when user code
has its result, `end ID` at the end; `sent ID` is written once its event was accepted, and it is never sent again.
`--forget` is the control: an engine that loses what it was told, for its state is
removed at the start.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.bindings.workflows.definition import Definition
from edge.bindings.workflows.engine.doorbell import Doorbells
from edge.bindings.workflows.engine.runner import WorkflowRunner
from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.journal.sqlite_journal import open_journal
from edge.bindings.workflows.workflow import Workflow, WorkflowTools
from edge.runtime.core.entrypoints import WorkflowEntrypoint
from edge.runtime.core.env import Env
from edge.runtime.core.worker import Worker
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.live_worker import Generation, LiveWorker
from edge.runtime.plain_answer import plain_answer
from edge.runtime.testing.fake_host import RecordingLog

STEPS = 5
KILLS_MAX = 10_000
"""Kills are the test's doing, not an order's: none of them is to be parked for it."""


class Order(WorkflowEntrypoint):
    async def run(self, event: dict[str, Any], step: Any) -> int:
        instance, write = event["instanceId"], self.env.WRITE
        for number in range(STEPS):

            async def work(number: int = number) -> int:
                write(f"start {instance} {number}")
                await asyncio.sleep(0)
                return number

            assert await step.do("work", work) == number
            write(f"done {instance} {number}")
            await step.sleep("nap", 2)
        payload = (await step.wait_for_event("wait", "go"))["payload"]
        assert payload == instance
        write(f"end {instance}")
        return STEPS


async def main(state: Path, ledger: Path, count: int, before: set[str]) -> None:
    out = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    host = LocalMachine(state, RecordingLog())
    live = LiveWorker(host, plain_answer)
    generation = Generation(Env({"WRITE": lambda line: os.write(out, f"{line}\n".encode())}), host)
    generation.worker = Worker("x.py", "class", {}, {"Order": Order})
    live.swap(generation)
    async with open_journal(state / "workflows.sqlite") as journal:
        definition = Definition("orders", "Order")
        runner = WorkflowRunner(
            journal, [definition], live, host, Doorbells(state / "runners"), crash_count_max=KILLS_MAX
        )
        workflow = Workflow(definition, WorkflowTools(journal, host, runner.tell))
        running = host.spawn(runner.run(), name="runner")
        for number in range(count):
            with suppress(WorkflowError):
                await workflow.create(id=f"o{number}")
            if f"sent o{number}" not in before:
                await (await workflow.get(f"o{number}")).send_event({"type": "go", "payload": f"o{number}"})
                os.write(out, f"sent o{number}\n".encode())
        os.write(1, b"ready\n")
        for number in range(count):
            instance = await workflow.get(f"o{number}")
            while (await instance.status())["status"] != "complete":  # noqa: ASYNC110 - a user has nothing else
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if "--forget" in sys.argv:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    told = Path(sys.argv[2])
    lines = set(told.read_text().splitlines()) if (folder / "workflows.sqlite").exists() else set()
    asyncio.run(main(folder, told, int(sys.argv[3]), lines))
