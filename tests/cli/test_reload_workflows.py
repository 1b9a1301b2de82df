"""D8: saves while workflows sleep, wait and run. All of them finish, and no step runs twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

    Start = Callable[..., Server]

SAVES = 20
IDS = [f"{kind}{number}" for kind in ("sleeps", "waits", "runs") for number in range(3)]
CONFIG = ', "workflows": [{"binding": "JOBS", "name": "jobs", "class_name": "Job"}]'

FETCH = """
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, job = request.url.rsplit("/", 2)[1:]
        if what == "version":
            return Response(str(VERSION))
        if what == "create":
            await self.env.JOBS.create({"id": job})
        if what == "approve":
            await (await self.env.JOBS.get(job)).send_event({"type": "approved", "payload": job})
        return Response.json(await (await self.env.JOBS.get(job)).status())
"""

JOB = """
import asyncio
import json
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Job(WorkflowEntrypoint):
    async def run(self, event, step):
        job, results = event["instanceId"], []

        async def work(ctx):
            await asyncio.sleep(0.02)
            with open(LEDGER, "a") as ledger:
                ledger.write(json.dumps([job, ctx["step"]["count"]]) + "\\n")
            return ctx["step"]["count"]

        for _ in range(4):
            results.append(await step.do("work", work))
            if job.startswith("sleeps"):
                await step.sleep("nap", 1300)
            if job.startswith("runs"):
                results += [await step.do("work", work) for _ in range(50)]
        if job.startswith("waits"):
            results.append((await step.wait_for_event("wait", "approved"))["payload"])
        return results
"""

IN_MEMORY = """
import asyncio
from workers import Response, WorkerEntrypoint

class Jobs:
    def __init__(self):
        self.jobs, self.tasks = {}, []

    async def create(self, options):
        self.jobs[options["id"]] = self
        self.tasks.append(asyncio.create_task(asyncio.sleep(5)))

    async def get(self, job):
        return self.jobs.get(job)

JOBS = Jobs()
"""
"""The control: an engine that keeps its jobs in the module."""


class Saved:
    """A Worker that is saved again and again; each version answers its number."""

    def __init__(self, folder: Path, worker: Any, source: str) -> None:
        self._folder = folder
        self._worker = worker
        self._source = source
        self.version = 0
        worker.config(folder, CONFIG if "WorkflowEntrypoint" in source else "")
        self.save()

    def save(self) -> None:
        self.version += 1
        head = f"VERSION, LEDGER = {self.version}, {str(self._folder / 'ledger')!r}\n"
        self._worker.entry(self._folder, head + self._source)

    def steps(self) -> Counter[tuple[str, int]]:
        """How often each step of each job ran."""
        lines = (self._folder / "ledger").read_text().splitlines()
        return Counter(tuple(json.loads(line)) for line in lines)

    def save_and_wait(self, server: Server) -> None:
        self.save()
        while server.ask("/version/x") != (200, str(self.version)):
            pass


def test_twenty_saves_lose_no_job_and_run_no_step_twice(start: Start, project: Path, worker: Any) -> None:
    saved = Saved(project, worker, JOB + FETCH)
    server = start(project, "dev", "--log-level", "warning")
    for job in IDS:
        assert server.ask(f"/create/{job}")[0] == 200
    for _ in range(SAVES):
        saved.save_and_wait(server)
    for job in IDS:
        if job.startswith("waits"):
            assert json.loads(server.ask(f"/approve/{job}")[1])["status"] in {"waiting", "running", "complete"}
    outputs = {job: finished(server, job) for job in IDS}
    assert server.stop() == 0
    assert set(saved.steps().values()) == {1}
    assert outputs == {
        job: [*range(1, 1 + (204 if job.startswith("runs") else 4)), *([job] if job.startswith("waits") else [])]
        for job in IDS
    }


def test_control_jobs_in_the_module_are_seen_to_be_lost(start: Start, project: Path, worker: Any) -> None:
    fetch = FETCH.replace("self.env.JOBS", "JOBS").replace("(await JOBS.get(job)).status()", "status_of(job)")
    status_of = 'async def status_of(job):\n    return {"status": "running" if await JOBS.get(job) else "unknown"}\n'
    saved = Saved(project, worker, IN_MEMORY + status_of + fetch)
    server = start(project, "dev", "--log-level", "warning")
    assert server.ask("/create/runs0") == (200, '{"status": "running"}')
    saved.save_and_wait(server)
    with pytest.raises(AssertionError, match="unknown"):
        finished(server, "runs0")


def finished(server: Server, job: str) -> Any:
    """Its output, once it is complete."""
    while (told := json.loads(server.ask(f"/status/{job}")[1]))["status"] != "complete":
        assert told["status"] in {"running", "waiting", "queued"}, told
    return told["output"]
