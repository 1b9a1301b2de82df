"""The source that delivers: in one process at a time, every INSERT of every pipeline, from the log to its sink.

It follows the catalogue: a new pipeline is started, an edited one goes on at its committed offsets, a removed one lets
go of the log. What fails, fails alone: the others run on, and what failed is tried again.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ....runtime.core.errors import BackendError, EdgeError
from ..extras import needing
from ..sinks.sink import SinkSite
from ..stream_log.disk import Disk
from .feed import StreamFeed
from .insert_runner import InsertParts, InsertRunner
from .lease import RunnerLease
from .opening import Opener
from .plan import InsertPlan, decide_plan
from .store import DeliveryStore, FencedError
from .succession import Succession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from pathlib import Path

    from ....runtime.core.host import LocalHost
    from ..catalogue import Catalogue
    from ..objects import StreamObject
    from ..processing.processor import Processor
    from ..stream_log.stream_folders import StreamFolders

T = TypeVar("T")

FOLLOW_S = 0.5
"""How often the catalogue is asked for changes."""
TRIM_S = 30.0
"""How often logs are looked at that nothing is delivered from: retention ends there too."""
THREADS = 3
"""Blocking work of all INSERTs together: reading, SQL, writing files. The libraries let go of the interpreter."""
SHUTDOWN_S = 8.0
"""For the last rolls of a shutdown; what they do not reach stays in the log for the next start."""
THREADS_END_S = 1.0
"""For what blocks when a shutdown cuts it: a sink that hangs is not waited for any longer."""
INTERVAL_S = 10.0
"""Rolling interval of `edge dev` where a sink says nothing. `edge serve`: SERVE_INTERVAL_S."""
SERVE_INTERVAL_S = 300.0
"""Source: Cloudflare docs, Pipelines "Sinks" (roll interval)."""


@dataclass(slots=True)
class _Running:
    plan: InsertPlan
    runner: InsertRunner
    task: asyncio.Task[None]


class PipelineRunner:
    """The Source. `run` waits until this process may lead, then delivers until it is cancelled."""

    def __init__(
        self,
        host: LocalHost,
        catalogue: Catalogue,
        folders: StreamFolders,
        *,
        config_folder: Path,
        default_interval_s: float = INTERVAL_S,
        processor_of: Callable[[StreamObject], Processor | None] = lambda _: None,
        disk: Disk | None = None,
    ) -> None:
        self._host = host
        self._catalogue = catalogue
        self._folders = folders
        self._site = SinkSite(host, config_folder, default_interval_s)
        self._disk = disk or Disk()
        self._store = DeliveryStore(host.state_dir)
        self._folder = host.state_dir / "pipelines"
        self._staging = self._folder / "staging"
        self._running: dict[str, _Running] = {}
        self._feeds: dict[str, StreamFeed] = {}
        self._fence = 0
        self._opener = Opener(
            self._site,
            self._store,
            self._staging,
            disk=self._disk,
            now=host.now,
            processor_of=processor_of,
        )
        self._executor: ThreadPoolExecutor | None = None
        self._in_threads: set[Future[Any]] = set()

    async def run(self) -> None:
        """Deliver. Nothing is opened or loaded before there is something to do."""
        await self._wait_for_work()
        lease = RunnerLease(DeliveryStore(self._host.state_dir), self._folder, self._host)
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="pipelines")
        try:
            while True:
                self._fence = await lease.acquire()
                self._host.log.debug("pipelines_led", fence=self._fence)
                try:
                    await self._lead(lease)
                except FencedError as error:
                    self._host.log.warning("pipelines_taken_over", fence=self._fence, reason=str(error))
        finally:
            lease.close()
            await self._end_threads()

    async def _wait_for_work(self) -> None:
        """Return once something is to run, or to be let go of: what is no more since nobody ran holds its log."""
        version = -1
        while True:
            if (found := self._catalogue.version()) != version:
                version = found
                with closing(DeliveryStore(self._host.state_dir)) as store:
                    if decide_plan(self._catalogue) or store.inserts():
                        return
            await self._host.sleep(FOLLOW_S)

    async def _lead(self, lease: RunnerLease) -> None:
        keeping = self._host.spawn(lease.keep(), name="pipelines-lease")
        following = self._host.spawn(self._follow(), name="pipelines-follow")
        try:
            await asyncio.wait({keeping, following}, return_when=asyncio.FIRST_COMPLETED)
            for task in (keeping, following):
                if task.done():
                    task.result()  # raises
        finally:
            following.cancel()
            await asyncio.wait({following})
            await self._stop(list(self._running))
            keeping.cancel()
            await asyncio.wait({keeping})
            with suppress(BackendError):
                await asyncio.to_thread(lease.release)

    async def _follow(self) -> None:
        """Keep what runs as the catalogue says."""
        version, trim_at = -1, 0.0
        while True:
            is_ending = any(one.plan.is_ending for one in self._running.values())
            if (found := self._catalogue.version()) != version or is_ending:
                await self._apply(decide_plan(self._catalogue))
                version = found
            for one in list(self._running.values()):
                if one.task.done():  # its end is a fence that passed on, or a defect
                    one.task.result()
            if (now := self._host.now()) >= trim_at:
                trim_at = now + TRIM_S
                await self._in_thread(self._trim, now)
            await self._host.sleep(FOLLOW_S)

    async def _apply(self, plans: dict[str, InsertPlan]) -> None:
        await self._stop(
            [key for key, one in self._running.items() if not one.plan.is_ending and plans.get(key) != one.plan]
        )
        succession = Succession(
            self._fence,
            self._catalogue,
            self._store,
            self._folders,
            staging=self._staging,
            disk=self._disk,
            log=self._host.log,
        )
        due = await self._in_thread(succession.decide_due, plans)
        await self._stop([key for key, one in self._running.items() if due.get(key) != one.plan])
        for stream_id in {plan.key.stream_id for plan in due.values()}:
            feed = self._feeds.setdefault(stream_id, StreamFeed(self._folders.folder(stream_id)))
            feed.consumer_count = sum(plan.key.stream_id == stream_id for plan in plans.values())
        await self._in_thread(succession.settle, due, plans)
        for key, plan in due.items():
            if key not in self._running:
                self._start(plan)

    def _start(self, plan: InsertPlan) -> None:
        fence = self._fence

        def open_parts() -> InsertParts:
            with needing("Pipelines need"):
                return self._opener.open(plan, self._feeds[plan.key.stream_id], fence)

        runner = InsertRunner(
            plan.key,
            plan.name,
            open_parts,
            host=self._host,
            store=self._store,
            fence=fence,
            disk=self._disk,
            in_thread=self._in_thread,
            is_ending=plan.is_ending,
            moved_from=plan.sink.name if plan.is_moved and plan.sink else None,
        )
        task = self._host.spawn(runner.run(), name=f"pipeline-{plan.name}")
        self._running[plan.key.id] = _Running(plan, runner, task)

    async def _stop(self, keys: Iterable[str]) -> None:
        """Let INSERTs finish what they have, for SHUTDOWN_S at most."""
        stopping = [self._running.pop(key) for key in keys]
        if not stopping:
            return
        for one in stopping:
            one.runner.stop()
        tasks = {one.task for one in stopping}
        late: set[asyncio.Task[None]] = set()
        try:
            _, late = await asyncio.wait(tasks, timeout=SHUTDOWN_S)
        finally:
            for task in late or {task for task in tasks if not task.done()}:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _trim(self, now: float) -> None:
        for stream in self._catalogue.streams():
            folder = self._folders.folder(stream.id)
            if folder.path.is_dir():
                with suppress(OSError, EdgeError):  # shown where the stream is read
                    for partition in folder.partitions():
                        folder.trim(partition, self._disk, written_before=now - stream.retention.seconds)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        assert self._executor is not None, "the runner runs"
        future = self._executor.submit(work, *arguments)
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)
        return await asyncio.wrap_future(future)

    async def _end_threads(self) -> None:
        """Close the store behind the last of the threads, which may go on after who asked them was cancelled."""
        assert self._executor is not None, "the runner runs"
        self._executor.shutdown(wait=False, cancel_futures=True)
        try:
            if working := self._in_threads.copy():
                await asyncio.to_thread(wait, working, THREADS_END_S)
        finally:
            self._store.close()
