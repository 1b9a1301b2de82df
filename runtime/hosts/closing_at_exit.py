"""Close the HTTP sessions that are still open when the interpreter ends, before aiohttp complains of them.

A Lambda process, or a script that calls a handler, ends without anybody closing its machine: nothing is wrong then.
"""

from __future__ import annotations

import asyncio
import atexit
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import aiohttp

CLOSE_SECONDS_MAX = 1.0

_loops: WeakKeyDictionary[aiohttp.ClientSession, asyncio.AbstractEventLoop] = WeakKeyDictionary()


def close_at_exit(session: aiohttp.ClientSession) -> None:
    """Remember a session of the running loop; one that is closed or gone by then is left alone."""
    _loops[session] = asyncio.get_running_loop()


@atexit.register
def _close_all() -> None:
    for session, loop in list(_loops.items()):
        if session.closed:
            continue
        if loop.is_running():  # in a thread that still lives
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(session.close(), loop).result(CLOSE_SECONDS_MAX)
        elif loop.is_closed():  # its sockets are closed; this only marks the session, and awaits nothing
            with suppress(StopIteration):
                session.close().send(None)
        else:
            loop.run_until_complete(session.close())
