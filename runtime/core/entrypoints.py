"""Base classes a Worker subclasses. The runtime makes a new instance per event (Durable Objects persist).

Source: spec "Handler-side contract", 1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .context import Context
    from .env import Env


class _Entrypoint:
    def __init__(self, ctx: Context, env: Env) -> None:
        self.ctx = ctx
        self.env: Any = env


class WorkerEntrypoint(_Entrypoint):
    """A Worker as a class: define `fetch`, `scheduled`, `queue` ...; other public methods are RPC."""


class WorkflowEntrypoint(_Entrypoint):
    """A Workflow: define `async def run(self, event, step)`."""

    strict_replay: bool = False
    """Edge only: end an instance whose run differs from what is recorded, in place of a warning."""
    stored_types: tuple[type, ...] = ()
    """Edge only: dataclasses and pydantic models that steps may return; they come back as what they were."""


class DurableObject(_Entrypoint):
    """A Durable Object: `ctx` is its state."""
