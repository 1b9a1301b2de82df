"""Ctrl-C, SIGTERM and a terminal that is closed: the first asks to stop, the second stops at once, and so does time."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 2.0
"""How long closing may take after draining; then the process ends as it is. What was acknowledged is on disk."""


def is_under_nohup(number: signal.Signals) -> bool:
    """Whether this is SIGHUP, in a process that was started to outlive its terminal."""
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


class StopSignals:
    """A context manager in a running loop; `wait` returns when the process was asked to stop.

    Plain handlers, not the loop's: they also run while the loop is held by a debugger, or a handler that never awaits.
    """

    def __init__(self, drain_seconds: float, *, ignored: tuple[signal.Signals, ...] = ()) -> None:
        self.drain_seconds = drain_seconds
        self._ignored = ignored
        self._numbers = [number for number in STOPPING if not is_under_nohup(number)]
        self._asked = asyncio.Event()
        self._is_asked = False
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> StopSignals:
        for number in self._numbers:
            signal.signal(number, signal.SIG_IGN if number in self._ignored else self._on_signal)
        signal.signal(signal.SIGALRM, self._on_late)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (*self._numbers, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)

    async def wait(self) -> None:
        await self._asked.wait()

    def ask(self) -> None:
        """As a first signal does."""
        self._is_asked = True
        _leave_closed_terminal()
        signal.setitimer(signal.ITIMER_REAL, self.drain_seconds + GRACE_SECONDS)
        self._loop.call_soon_threadsafe(self._asked.set)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._is_asked:
            if number == signal.SIGHUP:  # a terminal that is closed sends it, and so does its shell
                return
            os._exit(128 + number)
        self.ask()  # first: a second signal may come while this runs
        if number == signal.SIGINT:
            os.write(2, b"\nStopping: what runs may finish. Press Ctrl-C again to stop at once.\n")

    def _on_late(self, _number: int, _frame: FrameType | None) -> None:
        os.write(2, b"Stopped before everything had finished: something holds the event loop.\n")
        os._exit(1)


def _leave_closed_terminal() -> None:
    """Print to nowhere from now on: writing to a closed terminal is an error, in the user's code as well."""
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
