"""Edge: Cloudflare's Workers programming model in Python. Loads the standard library only."""

from .runtime.core.entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint
from .runtime.core.request import Request
from .runtime.core.response import Response

__all__ = ["DurableObject", "Request", "Response", "WorkerEntrypoint", "WorkflowEntrypoint"]
