"""A loaded handler file, seen as what the platform calls: fetch, scheduled, queue ...

Three spellings come in, one Worker comes out:

- `class Default(WorkerEntrypoint)`: a new instance per event, `ctx` and `env` on self; handlers get None for both,
  as on Cloudflare, and `fetch` only as many arguments as it takes.
- module-level `fetch(request, env[, ctx])`, `scheduled`, ...: Edge's short form; gets the real env and ctx.
- module-level `on_fetch(request, env, ctx)`, ...: Cloudflare before compatibility date 2025-08-14.

Source: spec "Handler-side contract", 1.1-1.5; decisions 6, 9a.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol

from .edge_only import EdgeOnly, is_strict
from .entrypoints import WorkerEntrypoint, WorkflowEntrypoint
from .errors import HandlerError
from .fetch_errors import JsTypeError
from .response import FetchResponse, wire_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from .context import Context
    from .env import Env
    from .request import Request
    from .response import Response

HANDLER_NAMES = ("fetch", "scheduled", "queue", "email", "tail", "trace", "lambda_event")
_RUNTIME = __package__.rpartition(".")[0]
GLOBAL_HANDLERS_UNTIL = "2025-08-14"
"""Compatibility date from which `on_*` functions are ignored (flag python_no_global_handlers)."""

USED_BODY = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."
"""Source: cloudflare/workerd src/workerd/api/http.c++."""


class Fetcher(Protocol):
    """Anything that answers a Request: the user's Worker, a binding's door, the REST API."""

    async def fetch(self, request: Request) -> Response: ...


class Worker:
    """The handlers of one loaded file. `describe` says where they came from, for error texts."""

    __slots__ = ("_calls", "file", "style", "workflows")

    def __init__(
        self,
        file: str,
        style: str,
        calls: Mapping[str, Callable[[Any, Env, Context], Any]],
        workflows: Mapping[str, type[WorkflowEntrypoint]] | None = None,
    ) -> None:
        self.file = file
        self.style = style
        self.workflows = dict(workflows or {})
        """Their classes, by name."""
        runs = {f"{name}.run": _workflow_call(cls) for name, cls in self.workflows.items()}
        self._calls = {**calls, **runs}

    @property
    def handlers(self) -> tuple[str, ...]:
        """Names of the events this Worker has a handler for."""
        return tuple(self._calls)

    async def fetch(self, request: Request, env: Env, ctx: Context) -> Response:
        """Answer a request.

        Raises:
            TypeError: no fetch handler, its answer is no Response, or its body was read or returned before (the texts
                are Cloudflare's).
            Exception: whatever the handler raised.
        """
        call = self._calls.get("fetch")
        if call is None:
            raise self._missing("fetch")
        answer = call(request, env, ctx)
        if not isinstance(answer, FetchResponse):
            if hasattr(answer, "__await__"):
                answer = await answer
            if not isinstance(answer, FetchResponse):
                raise _no_response(answer)
        body = wire_body(answer)
        if body is not None:
            if body.is_used or body.is_answered:
                raise JsTypeError(USED_BODY)
            body.is_answered = True
        return answer  # type: ignore[return-value]  # doorways send any FetchResponse

    async def call(self, handler: str, event: object, env: Env, ctx: Context) -> Any:
        """Deliver any other event; returns what the handler returned."""
        call = self._calls.get(handler)
        if call is None:
            raise self._missing(handler)
        answer = call(event, env, ctx)
        return await answer if hasattr(answer, "__await__") else answer

    def _missing(self, handler: str) -> TypeError:
        if self.style == "on_*":
            return TypeError(f'Python entrypoint "{self.file}" does not export a handler named "on_{handler}"')
        return TypeError(f"Method {handler} does not exist")


def worker_of(
    module: ModuleType, *, compatibility_date: str | None = None, compatibility_flags: tuple[str, ...] = ()
) -> Worker:
    """Find the handlers of a loaded module.

    Raises:
        HandlerError: no handler at all, `Default` beside module-level handlers, `on_*` after its compatibility date, or
            what works on Edge only under `--compat strict`.
    """
    file = getattr(module, "__file__", None) or module.__name__
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    default = public.get("Default")
    if not (inspect.isclass(default) and issubclass(default, WorkerEntrypoint)):
        default = None
    workflows = {name: value for name, value in public.items() if _is_workflow(value)}
    short = {name: public[name] for name in HANDLER_NAMES if _is_users(public.get(name))}
    legacy = {name: public[f"on_{name}"] for name in HANDLER_NAMES if _is_users(public.get(f"on_{name}"))}
    style = require_style(
        file,
        has_default=default is not None,
        short=tuple(short),
        legacy=tuple(legacy),
        has_workflows=bool(workflows),
        legacy_allowed=legacy_allowed(compatibility_date, compatibility_flags),
    )
    if is_strict():
        _refuse_edge_only(file, short if default is None else {}, workflows)
    if default is not None:
        calls = {name: _class_call(default, name) for name in HANDLER_NAMES if callable(getattr(default, name, None))}
    else:
        functions = {"function": short, "on_*": legacy}.get(style, {})
        calls = {name: _function_call(function) for name, function in functions.items()}
    return Worker(file, style, calls, workflows)


def require_style(
    file: str,
    *,
    has_default: bool,
    short: Sequence[str],
    legacy: Sequence[str],
    has_workflows: bool,
    legacy_allowed: bool,
) -> str:
    """Which spelling of handlers counts, of those a file has: "class", "function" or "on_*".

    Args:
        short: handlers at module level, as "fetch".
        legacy: handlers that have `on_` before their name, as "fetch" of `on_fetch`.

    Raises:
        HandlerError: none does.
    """
    if has_default:
        if "fetch" in short:
            msg = f"{file} defines both class Default and a module-level fetch(): keep the one that answers."
            raise HandlerError(msg)
        if legacy and legacy_allowed:
            raise HandlerError("TypeError: Cannot define multiple default entrypoints")
        return "class"
    if short:
        return "function"
    if legacy and legacy_allowed:
        return "on_*"
    if legacy:
        msg = (
            f"{file} defines on_{legacy[0]}(), which Cloudflare ignores from compatibility date "
            f"{GLOBAL_HANDLERS_UNTIL} on. Write class Default(WorkerEntrypoint) with a {legacy[0]} method, "
            f'or add the flag "disable_python_no_global_handlers".'
        )
        raise HandlerError(msg)
    if has_workflows:
        return "class"
    msg = (
        f"{file} has no handler. Write async def fetch(request, env, ctx), or class Default(WorkerEntrypoint) "
        f"with a fetch method (from workers import WorkerEntrypoint)."
    )
    raise HandlerError(msg)


def legacy_allowed(date: str | None, flags: Sequence[str]) -> bool:
    """Whether `on_*` functions are handlers."""
    if "disable_python_no_global_handlers" in flags:
        return True
    return "python_no_global_handlers" not in flags and date is not None and date < GLOBAL_HANDLERS_UNTIL


def _refuse_edge_only(file: str, short: Mapping[str, Any], workflows: Mapping[str, type[WorkflowEntrypoint]]) -> None:
    if short:
        raise HandlerError(f"{file}, {next(iter(short))}(): {EdgeOnly.MODULE_HANDLER.refusal}")
    for name, cls in workflows.items():
        if cls.stored_types:
            raise HandlerError(f"{file}, class {name}: {EdgeOnly.STORED_TYPES.refusal}")


def _is_users(value: object) -> bool:
    """A handler is a function that is not one of our own objects: `from workers import fetch` is no handler."""
    if not callable(value) or inspect.isclass(value):
        return False
    return not str(getattr(value, "__module__", "")).startswith(f"{_RUNTIME}.")


def _is_workflow(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, WorkflowEntrypoint) and value is not WorkflowEntrypoint


def _workflow_call(entrypoint: type[Any]) -> Callable[[Any, Env, Context], Any]:
    """The event is the pair of what `run` gets: the workflow's event, and its steps."""
    return lambda event, env, ctx: entrypoint(ctx, env).run(*event)


def _function_call(function: Callable[..., Any]) -> Callable[[Any, Env, Context], Any]:
    count = _positional_count(function)
    if count >= 3:
        return function
    if count == 2:
        return lambda event, env, _ctx: function(event, env)
    if count == 1:
        return lambda event, _env, _ctx: function(event)
    return lambda _event, _env, _ctx: function()


def _class_call(entrypoint: type[WorkerEntrypoint], name: str) -> Callable[[Any, Env, Context], Any]:
    # Only fetch drops surplus arguments; scheduled, queue ... must accept three (spec 1.3).
    count = _positional_count(getattr(entrypoint, name)) - 1 if name == "fetch" else 3
    arguments = (None, None)[: max(count - 1, 0)]

    if count == 0:
        return lambda _event, env, ctx: getattr(entrypoint(ctx, env), name)()

    def call(event: Any, env: Env, ctx: Context) -> Any:
        return getattr(entrypoint(ctx, env), name)(event, *arguments)

    return call


def _positional_count(function: Callable[..., Any]) -> int:
    """How many positional arguments a function takes, at most 4 (self and three)."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 4
    return min(sum(p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} for p in parameters), 4)


def _no_response(answer: object) -> TypeError:
    if isinstance(answer, (tuple, bytearray)):
        return TypeError(f"{type(answer)} cannot be sent over RPC.")
    return TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.")
