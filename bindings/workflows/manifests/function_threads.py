"""Threads for the functions of manifests that are not `async`: theirs alone.

asyncio's own are a few that everything in the process shares, so some slow functions would hold up every other one, and
every product that reads a disk. These are as many as the functions that run, up to a bound; none is kept. They are
daemons: a thread cannot be stopped, and a function that never ends must not keep the process from ending.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS_MAX = 256
"""At once in the process: eight steps with `for_each` at the `max_parallel` they have when they name none."""


async def run_in_thread(function: Callable[..., Any], /, *positional: Any, **named: Any) -> Any:
    """What the function returned, called with the context variables of the caller; raises what it raised."""
    job = _Job(Future(), partial(copy_context().run, function, *positional, **named))
    _threads.run(job)
    return await asyncio.wrap_future(job.future)


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return  # its step timed out before a thread was free
        try:
            self.future.set_result(self.call())
        except BaseException as error:  # noqa: BLE001 - the border of the user's code; it is raised where it is awaited
            self.future.set_exception(error)


class _Threads:
    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[_Job] = deque()
        self._count = 0

    def run(self, job: _Job) -> None:
        """In a thread of its own, or in the first one that is free when there are as many as may be."""
        with self._lock:
            if self._count >= THREADS_MAX:
                self._waiting.append(job)
                return
            self._count += 1
        Thread(target=self._work, args=(job,), name="workflow_function", daemon=True).start()

    def _work(self, job: _Job | None) -> None:
        while job is not None:
            job.run()
            with self._lock:
                job = self._waiting.popleft() if self._waiting else None
                if job is None:
                    self._count -= 1


_threads = _Threads()
