"""Ctrl-C and SIGTERM: the first asks to stop, the second stops at once, and so does time."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 2.0
"""How long closing may take after draining; then the process ends as it is. What was acknowledged is on disk."""


class StopSignals:
    """A context manager in a running loop; `wait` returns when the process was asked to stop.

    Plain handlers, not the loop's: they also run while the loop is held by a debugger, or a handler that never awaits.
    """

    def __init__(self, drain_seconds: float, *, ignored: tuple[signal.Signals, ...] = ()) -> None:
        self._seconds = drain_seconds + GRACE_SECONDS
        self._ignored = ignored
        self._asked = asyncio.Event()
        self._is_asked = False
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> StopSignals:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in self._ignored else self._on_signal)
        signal.signal(signal.SIGALRM, self._on_late)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (*SIGNALS, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)

    async def wait(self) -> None:
        await self._asked.wait()

    def ask(self) -> None:
        """As a first signal does."""
        self._is_asked = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        self._loop.call_soon_threadsafe(self._asked.set)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._is_asked:
            os._exit(128 + number)
        self.ask()  # first: a second signal may come while this runs
        if number == signal.SIGINT:
            os.write(2, b"\nStopping: what runs may finish. Press Ctrl-C again to stop at once.\n")

    def _on_late(self, _number: int, _frame: FrameType | None) -> None:
        os.write(2, b"Stopped before everything had finished: something holds the event loop.\n")
        os._exit(1)
