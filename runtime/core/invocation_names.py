"""Names of `workers` that mean the invocation they are used in: env, wait_until, fetch, import_from_javascript.

They work in handlers, in work given to `waitUntil`, and while the user's modules are imported.
Source: spec "Handler-side contract", 2.4 and 2.5.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from .context import current_invocation
from .errors import HandlerError
from .fetch_errors import AbortError, JsRangeError, JsTypeError
from .request import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from .context import Invocation
    from .response import Response

F = TypeVar("F", bound="Callable[..., Any]")

_CLOUDFLARE_ONLY = frozenset(
    f"cloudflare:{name}"
    for name in ("ai", "email", "images", "node", "pipelines", "sockets", "vectorize", "workflows", "workers-ai")
)
"""Source: cloudflare/workerd src/cloudflare."""

_patched: ContextVar[Mapping[str, Any]] = ContextVar("edge_patched_env", default={})  # noqa: B039 - replaced, never changed


class CurrentEnv:
    """`workers.env`: the bindings of the Worker that runs."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        patched = _patched.get()
        if name in patched:
            return patched[name]
        if name.startswith("__"):  # what inspect and copy ask of any object
            raise AttributeError(name)
        return getattr(_require_invocation(f"workers.env.{name}").env, name)

    def __setattr__(self, name: str, _value: object) -> None:
        msg = f"env is read-only; env.{name} cannot be set. For tests there is workers.patch_env()."
        raise AttributeError(msg)

    def __repr__(self) -> str:
        invocation = current_invocation.get()
        return "env of no Worker" if invocation is None else repr(invocation.env)


env = CurrentEnv()


@contextmanager
def patch_env(d: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None, **names: Any) -> Iterator[None]:
    """Inside the block, `workers.env` has these names over its own; for tests.

    Example: `with patch_env(KV=FakeKV()): ...`
    """
    token = _patched.set({**_patched.get(), **dict(d or {}), **names})
    try:
        yield
    finally:
        _patched.reset(token)


def wait_until(awaitable: Awaitable[Any]) -> None:
    """`ctx.waitUntil` of the running invocation.

    Raises:
        TypeError: not awaitable.
        HandlerError: no invocation runs.
    """
    _require_invocation("workers.wait_until()").ctx.waitUntil(awaitable)


waitUntil = wait_until  # noqa: N816 - Cloudflare's other spelling


async def fetch(resource: Any, **options: Any) -> Response:
    """Send a request to the internet.

    Args:
        resource: an absolute URL, a Request or a js.Request.
        options: as Request takes them; `fetcher` (a function of one Request) answers in place of the internet.

    Raises:
        AbortError: a bad URL, or no answer; the message says why. An OSError.
        TypeError: a body of another type; Cloudflare sends a dict as "[object Object]", which nobody means.
    """
    fetcher = options.pop("fetcher", None)
    request = _request_of(resource, options)
    if fetcher is not None:
        answer: Response = await fetcher(request)
        return answer
    host = _require_invocation("workers.fetch()").host
    try:
        return await host.fetch(request)
    except AbortError:
        raise
    except OSError as error:
        raise AbortError(str(error)) from error


def _request_of(resource: Any, options: dict[str, Any]) -> Request:
    wrapped = getattr(resource, "wrapped_request", resource)
    if isinstance(wrapped, Request) and not options:
        return wrapped
    try:
        return Request(wrapped, **options)
    except (JsTypeError, JsRangeError) as error:
        raise AbortError(error.message) from error


def import_from_javascript(module_name: str) -> ModuleType:
    """`cloudflare:workers` as a module with env, waitUntil and the entrypoint classes.

    Raises:
        ImportError: any other module; the text says whether Cloudflare has it.
    """
    if module_name in _CLOUDFLARE_ONLY:
        msg = f"Failed to import '{module_name}': Cloudflare has this module, and Edge does not have it yet."
        raise ImportError(msg, name=module_name)
    if module_name != "cloudflare:workers":
        msg = f"Failed to import '{module_name}': there is no such module, and Edge runs no JavaScript of its own."
        raise ImportError(msg, name=module_name)
    from .entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint  # noqa: PLC0415 - few call this

    module = ModuleType(module_name)
    module.__dict__.update(
        env=env,
        waitUntil=wait_until,
        WorkerEntrypoint=WorkerEntrypoint,
        WorkflowEntrypoint=WorkflowEntrypoint,
        DurableObject=DurableObject,
    )
    return module


def handler(function: F) -> F:
    """Decorator of `on_fetch` and the like. Edge passes Python objects anyway, so it changes nothing."""
    return function


def _require_invocation(name: str) -> Invocation:
    invocation = current_invocation.get()
    if invocation is None:
        msg = f"{name} was used outside a Worker: it works in handlers and while edge loads the Worker's modules."
        raise HandlerError(msg)
    return invocation
