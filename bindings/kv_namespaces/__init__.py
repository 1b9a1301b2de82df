"""Workers KV: a key-value store with metadata, expiration and prefix lists.

Public page: Cloudflare docs, "Workers KV".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..spec import BindingSpec


@dataclass(frozen=True, slots=True)
class KVNamespaceEntry:
    """One `[[kv_namespaces]]`. Without `id` the namespace is called as the binding."""

    PHRASES: ClassVar[dict[str, str]] = {"id": "should have a"}

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

    def as_preview(self) -> KVNamespaceEntry:
        """The entry as `edge dev` opens it: on `preview_id` where there is one."""
        return replace(self, id=self.preview_id or self.id)


SPEC = BindingSpec(title="KV Namespace", entry=KVNamespaceEntry)
