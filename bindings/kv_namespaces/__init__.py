"""Workers KV: a key-value store with metadata, expiration and prefix lists.

Public page: Cloudflare docs, "Workers KV".
"""

from __future__ import annotations

from dataclasses import dataclass

from ..spec import BindingSpec


@dataclass(frozen=True, slots=True)
class KVNamespaceEntry:
    """One `[[kv_namespaces]]`. Without `id` the namespace is called as the binding."""

    binding: str
    id: str | None = None
    preview_id: str | None = None
    remote: bool | None = None

    @property
    def env_name(self) -> str:
        return self.binding

    @property
    def namespace_id(self) -> str:
        return self.id or self.binding


SPEC = BindingSpec(title="KV Namespace", entry=KVNamespaceEntry)
