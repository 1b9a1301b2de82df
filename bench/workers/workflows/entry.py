"""Workflows to be timed from inside: what a step costs is known where it is called."""

import asyncio
import time
from urllib.parse import parse_qsl, urlsplit

from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

TEXT = "x" * 280
"""A step's result: 300 bytes of JSON."""
BATCH = 100
YEAR_MS = 365 * 24 * 60 * 60 * 1000

finished = asyncio.Queue()
late_s = []
"""How long after its time each sleeper woke."""


class Steps(WorkflowEntrypoint):
    async def run(self, event, step):
        asked = event["payload"]
        took_s = []
        start = time.perf_counter()
        for number in range(asked["steps"]):
            if asked["every_s"]:
                await asyncio.sleep(max(start + (number + asked["phase"]) * asked["every_s"] - time.perf_counter(), 0))

            @step.do(f"step {number}")
            async def work():
                return {"number": number, "text": TEXT}  # noqa: B023 - it is called in this turn

            called = time.perf_counter()
            await work()
            took_s.append(time.perf_counter() - called)
        finished.put_nowait(took_s)


class Sleepers(WorkflowEntrypoint):
    async def run(self, event, step):
        due_ms = event["payload"]["due_ms"]
        await step.sleep_until("until its time", due_ms)
        late_s.append(time.time() - due_ms / 1000)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        asked = urlsplit(request.url)
        options = {name: float(value) for name, value in parse_qsl(asked.query)}
        return Response.json(await getattr(self, asked.path.strip("/"))(**options))

    async def steps(self, instances, steps, every_s=0.0):
        """Run instances to their end: seconds, and what each step took."""
        start = time.perf_counter()
        made = [
            {"params": {"steps": int(steps), "every_s": every_s, "phase": number / instances}}
            for number in range(int(instances))
        ]
        for first in range(0, len(made), BATCH):
            await self.env.STEPS.create_batch(made[first : first + BATCH])
        took_s = [took_s for _ in made for took_s in await finished.get()]
        return {"seconds": time.perf_counter() - start, "took_s": sorted(took_s)}

    async def create(self, count, at_once):
        """Create one-step instances, so many callers at a time: seconds until the last is durable."""
        left = iter(range(int(count)))

        async def create_some():
            for _ in left:
                await self.env.STEPS.create({"params": {"steps": 1, "every_s": 0, "phase": 0}})

        start = time.perf_counter()
        await asyncio.gather(*(create_some() for _ in range(int(at_once))))
        seconds = time.perf_counter() - start
        for _ in range(int(count)):
            await finished.get()
        return {"seconds": seconds, "finished_seconds": time.perf_counter() - start}

    async def sleepers(self, count, waking_in_s=0.0, per_s=1.0):
        """Create sleepers: one after another from that many seconds on, or for a year."""
        now_ms = time.time() * 1000
        for first in range(0, int(count), BATCH):
            await self.env.SLEEPERS.create_batch(
                [
                    {
                        "params": {
                            "due_ms": now_ms + (waking_in_s + n / per_s) * 1000
                            if waking_in_s
                            else now_ms + YEAR_MS - 60_000
                        }
                    }
                    for n in range(first, first + BATCH)
                ]
            )
        return {"first_due_s": now_ms / 1000 + waking_in_s}

    async def woken(self):
        return {"count": len(late_s), "latest_s": max(late_s, default=0.0), "earliest_s": min(late_s, default=0.0)}
