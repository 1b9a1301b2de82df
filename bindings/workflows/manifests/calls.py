"""Calls what a task `uses`, with the arguments of its `with`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ..engine.callables import CONTEXT
from .function_threads import run_in_thread
from .manifest import FileFunction
from .uses import check_call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .manifest import BindingMethod
    from .uses import Callables


async def call_uses(
    uses: FileFunction | BindingMethod, arguments: Any, callables: Callables, ctx: Mapping[str, Any]
) -> Any:
    """What it returns. A plain function runs in a thread, so that one that computes for long holds up nobody.

    A thread cannot be stopped: after a timeout it goes on, and what it returns is dropped.

    Raises:
        WorkflowFatalError: it does not take these arguments.
        BindingError: it is not there.
        Exception: what it raised.
    """
    function = callables.find(uses)
    positional = arguments if isinstance(arguments, list) else []
    named = {} if isinstance(arguments, list) else dict(arguments)
    if CONTEXT not in named and _takes_context(function):
        named[CONTEXT] = ctx
    check_call(uses, function, positional, named)
    if isinstance(uses, FileFunction) and not inspect.iscoroutinefunction(function):
        returned = await run_in_thread(function, *positional, **named)
    else:
        returned = function(*positional, **named)
    return await returned if inspect.isawaitable(returned) else returned


def _takes_context(function: Callable[..., Any]) -> bool:
    try:
        parameter = inspect.signature(function).parameters.get(CONTEXT)
    except ValueError:  # a builtin without a signature
        return False
    return parameter is not None and parameter.kind is not parameter.POSITIONAL_ONLY
