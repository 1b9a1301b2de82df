"""One runner among the processes of a state folder.

Every process that would run the pipelines has a lock file of its own, locked for as long as it lives, in which the one
that leads counts its heart beats. The delivery store names the leader's file and counts the leases: the fence.

    the leader's file can be locked    it died, the kernel let go: taken over at once
    its beats stand still for STALL_S  it is stopped or hangs: taken over, by the clock of the one who watches
    it leaves                          the store names nobody: taken over at once

A leader that was taken over need not know. It cannot do harm: an intent or a commit under its fence is refused, and a
roll whose intent stands is the same bytes under the same keys, whoever publishes it. No clocks are compared.
What SQLite cannot do: a leader that is stopped inside a transaction of the store (milliseconds of each roll) keeps the
file locked, and is taken over only once it wakes or dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ....runtime.core.host import LocalHost
    from .store import DeliveryStore, Lease

BEAT_S = 0.5
"""How often the leader shows that it lives, and sees whether it still leads."""
WATCH_S = 0.25
"""How often the others look."""
STALL_S = 3.5
"""Beats that stand still for so long are taken over. With WATCH_S below the 5 s that are promised."""
_PREFIX, _SUFFIX = "runner-", ".lock"


class RunnerLease:
    """This process's part in it. `acquire`, then `keep` beside the work, then `release`; `close` at the end."""

    def __init__(self, store: DeliveryStore, folder: Path, host: LocalHost) -> None:
        """`store` is this object's own: it is read from the event loop, which must not wait for a commit."""
        self._store = store
        self._folder = folder
        self._host = host
        self._descriptor: int | None = None
        self._name = ""
        self._beat = 0
        self._seen: tuple[Lease, bytes] | None = None
        self._seen_at = 0.0
        self.fence = 0

    async def acquire(self) -> int:
        """Wait until this process leads; returns the fence."""
        await asyncio.to_thread(self._open)
        while not await asyncio.to_thread(self._take):
            await self._host.sleep(WATCH_S)
        return self.fence

    async def keep(self) -> None:
        """Beat for as long as this process leads.

        Raises:
            FencedError: it was taken over.
        """
        while True:
            self.beat()
            await self._host.sleep(BEAT_S)

    def beat(self) -> None:
        """Show that this process lives; raises FencedError when another leads."""
        assert self._descriptor is not None, "a leader has its file"
        self._beat += 1
        os.pwrite(self._descriptor, b"%d" % self._beat, 0)
        self._store.require_fence(self.fence)

    def release(self) -> None:
        """Let another take over at once; nothing happens when one did."""
        self._store.release_lease(self.fence)

    def close(self) -> None:
        """Let go of the file and of the store."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            (self._folder / self._name).unlink(missing_ok=True)
            os.close(descriptor)
        self._store.close()

    def _open(self) -> None:
        if self._descriptor is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor, path = tempfile.mkstemp(_SUFFIX, _PREFIX, self._folder)
            self._name = os.path.basename(path)  # noqa: PTH119 - mkstemp gives text
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def _take(self) -> bool:
        lease = self._store.lease()
        if self._lives(lease):
            return False
        if (taken := self._store.take_lease(lease, self._name)) is None:
            return False
        self.fence = taken.fence
        self._remove_leftovers()
        return True

    def _lives(self, lease: Lease) -> bool:
        """Whether the leader is alive as far as can be seen; remembers its beats from call to call."""
        looked_at = self._host.now()  # before it looks: this process may be the one that stalls
        if not lease.holder or (beats := _beats_of_living(self._folder / lease.holder)) is None:
            return False
        if self._seen != (lease, beats) or looked_at < self._seen_at:  # or the clock was set back
            self._seen, self._seen_at = (lease, beats), self._host.now()
            return True
        return looked_at - self._seen_at < STALL_S

    def _remove_leftovers(self) -> None:
        """Files of processes that died. A living one's stays."""
        for path in self._folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if path.name != self._name and _beats_of_living(path) is None:
                with suppress(OSError):
                    path.unlink()


def _beats_of_living(path: Path) -> bytes | None:
    """The beats in a file, None when nobody holds its lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0)
    else:
        return None
    finally:
        os.close(descriptor)
