"""How processes on one state folder wake each other: a named pipe per runner.

Ringing writes a byte. Nobody reads the pipe of a runner whose process died, which the kernel says at once: that is
also how a dead runner is told from one that is only slow. A pipe that is missing says nothing: whoever cleans up the
folder removes those of live runners, too, so each runner looks after its own.
"""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class Heard(Enum):
    """What came of ringing."""

    YES = auto()
    NOBODY = auto()
    """Its process died."""
    UNKNOWN = auto()
    """There is no doorbell: its runner has stopped, or it was removed under a live one."""


class Doorbells:
    """The doorbells of all runners that share a journal, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def listen(self, owner: str, on_ring: Callable[[], None]) -> AbstractContextManager[Callable[[], None]]:
        """Call `on_ring` whenever somebody rings for this owner, until the block ends.

        Gives a function that makes the doorbell again when it was removed; `on_ring` is called then, for whoever did
        not find it. It raises OSError when the disk does not let it.
        """
        return _listen(self._folder / owner, on_ring)

    def ring(self, owner: str) -> Heard:
        """Wake a runner."""
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
def _listen(path: Path, on_ring: Callable[[], None]) -> Iterator[Callable[[], None]]:
    loop = asyncio.get_running_loop()

    def hang() -> int:
        pipe = _made_pipe(path)

        def rung() -> None:
            with suppress(BlockingIOError):
                os.read(pipe, 4096)
            on_ring()

        loop.add_reader(pipe, rung)
        return pipe

    pipe = hang()

    def mend() -> None:
        nonlocal pipe
        if not path.exists():
            removed, pipe = pipe, hang()
            _close(removed, loop)
            on_ring()

    try:
        yield mend
    finally:
        _close(pipe, loop)
        path.unlink(missing_ok=True)


def _made_pipe(path: Path) -> int:
    """It gets its name when it is read: else who rings meanwhile takes its process for dead."""
    for folder in (path.parent.parent, path.parent):  # one call would give its mode to the last folder alone
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unread = path.with_name(f"{path.name}.new")
    unread.unlink(missing_ok=True)
    os.mkfifo(unread, 0o600)
    pipe = os.open(unread, os.O_RDWR | os.O_NONBLOCK)  # also for writing: else it ends when a ringer closes it
    unread.rename(path)
    return pipe


def _close(pipe: int, loop: asyncio.AbstractEventLoop) -> None:
    loop.remove_reader(pipe)
    os.close(pipe)


def _ring(path: Path) -> Heard:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return Heard.UNKNOWN
    except OSError as error:
        if error.errno == errno.ENXIO:
            return Heard.NOBODY
        raise
    try:
        with suppress(BlockingIOError):  # full: it has been rung often enough
            os.write(pipe, b"!")
    finally:
        os.close(pipe)
    return Heard.YES
