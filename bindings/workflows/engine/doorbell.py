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
    from pathlib import Path


@contextmanager
def open_doorbell(path: Path, on_ring: Callable[[], None]) -> Iterator[None]:
    """Call `on_ring` whenever somebody rings, until the block ends."""
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


def ring(path: Path) -> bool:
    """Wake a runner; False when there is none any more."""
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
