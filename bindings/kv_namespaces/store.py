"""The port: where the keys of all namespaces are kept. Rules about keys and values are in `namespace.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Entry:
    """What is stored under a key."""

    value: bytes
    metadata: str | None = None
    """JSON text."""
    expires_at: float | None = None
    """Unix seconds; from then on the key is absent."""


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key without its value."""

    name: bytes
    metadata: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Keys in order, and whether there are more behind the last."""

    keys: Sequence[ListedKey]
    has_more: bool


def is_live(expires_at: float | None, now: float) -> bool:
    """Whether a key is still there at `now`."""
    return expires_at is None or expires_at > now


class KVStore(Protocol):
    """Names of keys are UTF-8. `now` is Unix seconds: a store has no clock, and an expired key is absent from then on.

    Every call may raise BackendError; then nothing was acknowledged and it is safe to call again.
    """

    async def get(self, namespace: str, keys: Sequence[bytes], now: float) -> Sequence[Entry | None]:
        """One result per key, in their order; None where the key is absent. `keys` are 1 to 100, each once."""

    async def put(self, namespace: str, key: bytes, entry: Entry) -> None:
        """Replace the whole entry; durable on return. Of two puts that overlap in time, one stays whole."""

    async def delete(self, namespace: str, key: bytes) -> None:
        """Make the key absent, also when it is; durable on return."""

    async def list(self, namespace: str, *, prefix: bytes, after: bytes, limit: int, now: float) -> Page:
        """The first `limit` live keys that start with `prefix` and are greater than `after`, in byte order.

        `after` is a position, not necessarily a key. A key that stays live while pages are read is listed once.
        """
