"""Ctrl-C while a step of a workflow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

ENTRY = """
import asyncio
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        async def work():
            print("begun", flush=True)
            await asyncio.sleep(3600)
        await step.do("long", work)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response((await self.env.ORDERS.create(id="a")).id)
"""


def test_a_step_that_outlasts_the_stop_is_named_and_waited_for_once(
    start: Callable[..., Server], project: Path, worker: Any
) -> None:
    (project / "edge.toml").write_text("[limits]\ndrain_seconds = 0.2\n")
    worker.config(project, ', "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}]')
    worker.entry(project, ENTRY)
    server = start(project, "dev")
    assert server.ask() == (200, "a")
    server.wait_for("^begun$")
    assert server.stop() == 0
    cut = [line.partition("] ")[2] for line in server.lines if "_cut" in line]
    assert cut == [
        "work_cut_at_shutdown after_s=0.2",
        "workflow_steps_cut workflow=orders instance=a steps=long-1",
    ]
