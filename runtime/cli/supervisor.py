"""Several processes of one server: started, kept running, stopped together.

The parent forks before any loop or thread exists, so a child starts with the config already read, and one that dies is
replaced at once. The parent only waits.

- start: a child writes one byte when it answers requests; the parent announces the server when all have.
- a child dies: replaced, at most RESTARTS_MAX times in RESTART_WINDOW_SECONDS, then everything stops with exit 1.
- SIGTERM, SIGINT or SIGHUP to the parent: passed on as SIGTERM, the children drain; who is late, or at a second signal
  all, are killed.
- the parent dies: its end of a pipe closes, the children see that and drain.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import EdgeError
from .stop_signals import STOPPING, is_under_nohup

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ..core.host import Logger

RESTARTS_MAX = 10
RESTART_WINDOW_SECONDS = 60.0
FOR_ALL = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends these to every process; the parent passes them on."""


@dataclass(frozen=True, slots=True)
class Process:
    """What a child is told."""

    slot: int
    ready_fd: int
    """Write one byte when requests are answered."""
    parent_fd: int
    """Readable (at its end) when the parent is gone."""
    is_replacement: bool = False

    def tell_ready(self) -> None:
        with suppress(BrokenPipeError):  # nobody waits for a replacement
            os.write(self.ready_fd, b"1")
        os.close(self.ready_fd)


def supervise(
    run: Callable[[Process], None],
    *,
    count: int,
    log: Logger,
    on_ready: Callable[[], None],
    stop_within_s: float,
) -> None:
    """Run `run` in `count` processes until a signal comes; returns when all have ended well.

    Raises:
        EdgeError: a process did not start, or kept dying.
    """
    _Supervisor(run, log, stop_within_s).supervise(count, on_ready)


class _Supervisor:
    def __init__(self, run: Callable[[Process], None], log: Logger, stop_within_s: float) -> None:
        self._run = run
        self._log = log
        self._stop_within_s = stop_within_s
        self._slots: dict[int, int] = {}
        """Process id -> slot."""
        self._is_stopping = False
        self._deaths: deque[float] = deque(maxlen=RESTARTS_MAX)
        self._lifeline = os.pipe()

    def supervise(self, count: int, on_ready: Callable[[], None]) -> None:
        for number in STOPPING:
            if not is_under_nohup(number):
                signal.signal(number, self._on_stop)
        signal.signal(signal.SIGALRM, self._on_late)
        ready = [self._start(slot) for slot in range(count)]
        failure = None
        are_ready = [_is_told_ready(fd) for fd in ready]
        if all(are_ready):
            on_ready()
        elif not self._is_stopping:
            failure = "A process of edge serve did not start; its reason is above."
            self._stop()
        failure = self._wait() or failure
        signal.alarm(0)
        if failure:
            raise EdgeError(failure)

    def _start(self, slot: int, *, is_replacement: bool = False) -> int:
        """Fork a child; returns where it says that it is ready."""
        ready, told = os.pipe()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # none between fork and note
        child = os.fork()
        if child == 0:
            os.close(ready)
            os.close(self._lifeline[1])
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for number in FOR_ALL:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self._be_child(Process(slot, told, self._lifeline[0], is_replacement))
        self._slots[child] = slot
        os.close(told)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return ready

    def _be_child(self, process: Process) -> None:
        """Never returns: nothing of the parent's stack may run twice."""
        status = 1
        try:
            self._run(process)
            status = 0
        except BaseException as error:  # noqa: BLE001 - the border of a process
            self._log.error("process_failed", slot=process.slot, exc_info=error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _wait(self) -> str | None:
        """Until no child is left; says what went wrong, if anything did."""
        failure = None
        while self._slots:
            child, status = os.waitpid(-1, 0)
            slot = self._slots.pop(child, None)
            if slot is None or self._is_stopping:
                continue
            code = os.waitstatus_to_exitcode(status)
            self._log.error("process_died", slot=slot, pid=child, **_how(code))
            if self._may_restart():
                os.close(self._start(slot, is_replacement=True))
                self._log.info("process_restarted", slot=slot)
            else:
                failure = (
                    f"Processes of edge serve died {RESTARTS_MAX + 1} times within {RESTART_WINDOW_SECONDS:.0f} s."
                )
                self._stop()
        return failure

    def _may_restart(self) -> bool:
        now = time.monotonic()
        if len(self._deaths) == RESTARTS_MAX and now - self._deaths[0] < RESTART_WINDOW_SECONDS:
            return False
        self._deaths.append(now)
        return True

    def _stop(self) -> None:
        self._is_stopping = True
        self._send(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, self._stop_within_s)

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_stopping:
            self._stop()
        elif number != signal.SIGHUP:  # a terminal that is closed sends it, and so does its shell
            self._send(signal.SIGKILL)

    def _on_late(self, _number: int, _frame: FrameType | None) -> None:
        self._log.warning("processes_killed", after_s=self._stop_within_s)
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for child in tuple(self._slots):
            os.kill(child, number)  # not reaped yet, so the id is still its own


def _is_told_ready(fd: int) -> bool:
    try:
        return os.read(fd, 1) == b"1"
    finally:
        os.close(fd)


def _how(code: int) -> dict[str, Any]:
    return {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}
