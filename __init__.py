"""Edge: Cloudflare's Workers programming model in Python. Loads the standard library only."""

from typing import TYPE_CHECKING, Any

from .runtime.core.entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint
from .runtime.core.request import Request
from .runtime.core.response import FetchResponse, Response
from .runtime.core.workers_shim import resolve

if TYPE_CHECKING:
    from .runtime.core.blob import Blob, BlobEnding, File
    from .runtime.core.formdata import FormData
    from .runtime.core.invocation_names import (
        env,
        fetch,
        handler,
        import_from_javascript,
        patch_env,
        wait_until,
        waitUntil,
    )
    from .runtime.core.rpc_values import python_from_rpc, python_to_rpc
    from .runtime.core.type_names import (
        BlobValue,
        Body,
        Context,
        FetchKwargs,
        FormDataValue,
        Headers,
        JSBody,
        RequestInitCfProperties,
    )

__all__ = [
    "Blob",
    "BlobEnding",
    "BlobValue",
    "Body",
    "Context",
    "DurableObject",
    "FetchKwargs",
    "FetchResponse",
    "File",
    "FormData",
    "FormDataValue",
    "Headers",
    "JSBody",
    "Request",
    "RequestInitCfProperties",
    "Response",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "env",
    "fetch",
    "handler",
    "import_from_javascript",
    "patch_env",
    "python_from_rpc",
    "python_to_rpc",
    "waitUntil",
    "wait_until",
]


def __getattr__(name: str) -> Any:
    """Names that few Workers use load when they are first asked for."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = resolve(name)
    return value
