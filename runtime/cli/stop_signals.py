"""Ctrl-C and SIGTERM: the first asks to stop, the second stops at once."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A context manager in a running loop; `wait` returns when the process was asked to stop.

    Plain handlers, not the loop's: they also run while the loop is held by a debugger, or a handler that never awaits.
    """

    def __init__(self, *, ignored: tuple[signal.Signals, ...] = ()) -> None:
        self._ignored = ignored
        self._asked = asyncio.Event()
        self._is_asked = False
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> StopSignals:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in self._ignored else self._on_signal)
        return self

    def __exit__(self, *_error: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    async def wait(self) -> None:
        await self._asked.wait()

    def ask(self) -> None:
        """As a first signal does; call it in the loop."""
        self._is_asked = True
        self._asked.set()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._is_asked:
            os._exit(128 + number)  # what was acknowledged is on disk: there is nothing to save
        self._is_asked = True
        if number == signal.SIGINT:
            os.write(2, b"\nStopping: what runs may finish. Press Ctrl-C again to stop at once.\n")
        self._loop.call_soon_threadsafe(self._asked.set)
