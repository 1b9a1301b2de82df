"""One machine with a disk: the host of `edge dev` and `edge serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .leases import Leases
from .machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from ..core.host import Logger

T = TypeVar("T")


class LocalMachine(Machine):
    """The LocalHost."""

    def __init__(self, state_dir: Path, log: Logger, *, process_slot: int = 0) -> None:
        super().__init__(log)
        self.state_dir = state_dir
        self.process_slot = process_slot
        self._leases = Leases()

    def lease(
        self, key: Hashable, open_resource: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AbstractAsyncContextManager[T]:
        return self._leases.lease(key, open_resource)
