"""Resources shared by key within one process, closed when the last holder leaves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable
    from contextlib import AbstractAsyncContextManager


@dataclass(slots=True)
class _Shared:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    manager: AbstractAsyncContextManager[Any] | None = None
    resource: Any = None
    holder_count: int = 0


class Leases:
    """One open resource per key, whoever asks first opens it, whoever leaves last closes it."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, _Shared] = {}

    @asynccontextmanager
    async def lease(
        self, key: Hashable, open_resource: Callable[[], AbstractAsyncContextManager[Any]]
    ) -> AsyncIterator[Any]:
        shared = self._by_key.setdefault(key, _Shared())
        async with shared.lock:
            if shared.manager is None:
                manager = open_resource()
                shared.resource = await manager.__aenter__()
                shared.manager = manager
            shared.holder_count += 1
        try:
            yield shared.resource
        finally:
            async with shared.lock:
                shared.holder_count -= 1
                if shared.holder_count == 0:
                    manager, shared.manager, shared.resource = shared.manager, None, None
                    assert manager is not None, "a held resource is open"
                    await manager.__aexit__(None, None, None)
