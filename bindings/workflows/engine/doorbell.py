"""How processes on one state folder wake each other: a named pipe per runner.

Ringing writes a byte. Nobody reads the pipe of a runner whose process died, which the kernel says at once: that is
also how a dead runner is told from one that is only slow.
"""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class Doorbells:
    """The doorbells of all runners that share a journal, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def listen(self, owner: str, on_ring: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `on_ring` whenever somebody rings for this owner, until the block ends."""
        return _listen(self._folder / owner, on_ring)

    def ring(self, owner: str) -> bool:
        """Wake a runner; False when there is none any more."""
        return _ring(self._folder / owner)

    def ring_all(self) -> None:
        """Wake whoever listens."""
        if self._folder.is_dir():
            for doorbell in self._folder.iterdir():
                _ring(doorbell)

    def forget(self, owner: str) -> None:
        """Remove what a killed runner left."""
        (self._folder / owner).unlink(missing_ok=True)


@contextmanager
def _listen(path: Path, on_ring: Callable[[], None]) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.mkfifo(path, 0o600)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # also for writing: else it ends when a ringer closes it
    loop = asyncio.get_running_loop()

    def rung() -> None:
        with suppress(BlockingIOError):
            os.read(pipe, 4096)
        on_ring()

    loop.add_reader(pipe, rung)
    try:
        yield
    finally:
        loop.remove_reader(pipe)
        os.close(pipe)
        path.unlink(missing_ok=True)


def _ring(path: Path) -> bool:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENOENT}:
            return False
        raise
    try:
        with suppress(BlockingIOError):  # full: it has been rung often enough
            os.write(pipe, b"!")
    finally:
        os.close(pipe)
    return True
