"""Workers KV: a key-value store with metadata, expiration and prefix lists.

Public page: Cloudflare docs, "Workers KV".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...wrangler_config.section import Problem
from ..spec import BindingSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


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

    def problems(self, name: str, got: str) -> Iterator[Problem]:
        if self.id == "":
            yield Problem(f'"{name}" bindings should have a string "id" field but got {got}.', field="id")


SPEC = BindingSpec(title="KV Namespace", entry=KVNamespaceEntry)
