"""What a user's function takes. Nearly all are plain functions, whose code says it 20 times as fast as `inspect`."""

from __future__ import annotations

import inspect
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXT = "ctx"
"""The parameter that gets a step's context."""


def parameter_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Of every parameter, in order."""
    code = _plain_code(function)
    if code is not None and not code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(inspect.signature(function).parameters)


def takes_argument(function: Callable[..., Any]) -> bool:
    """A parameter with a default is the function's own, as in `lambda name=name: ...`, unless it is called `ctx`."""
    code = _plain_code(function)
    if code is not None:
        own_count = len(function.__defaults__ or ())
        is_open = bool(code.co_flags & inspect.CO_VARARGS)
        return is_open or code.co_argcount > own_count or CONTEXT in code.co_varnames[: code.co_argcount]
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin without a signature
        return False
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    own = inspect.Parameter.empty
    return any(
        p.kind is p.VAR_POSITIONAL or (p.kind in kinds and (p.default is own or p.name == CONTEXT)) for p in parameters
    )


def _plain_code(function: Callable[..., Any]) -> CodeType | None:
    """The code of a function whose parameters are those it was written with."""
    is_plain = type(function) is FunctionType and not hasattr(function, "__wrapped__")
    return function.__code__ if is_plain and not hasattr(function, "__signature__") else None
