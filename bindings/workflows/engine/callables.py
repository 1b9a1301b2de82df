"""What a user's function takes. Nearly all are plain functions, whose code says it 20 times as fast as `inspect`."""

from __future__ import annotations

import inspect
from enum import Enum
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


class Takes(Enum):
    """How a function gets a step's context."""

    NAMED = "as ctx="
    POSITIONAL = "as its first argument"
    NOTHING = "not at all"


def takes_context(function: Callable[..., Any]) -> Takes:
    """By the name `ctx`, or first; a parameter with a default is the function's own, as in `lambda n=n: ...`."""
    code = _plain_code(function)
    if code is not None:
        if CONTEXT in code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]:
            return Takes.NAMED
        own_count = len(function.__defaults__ or ())
        is_open = bool(code.co_flags & inspect.CO_VARARGS)
        return Takes.POSITIONAL if is_open or code.co_argcount > own_count else Takes.NOTHING
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a builtin without a signature
        return Takes.NOTHING
    if CONTEXT in parameters and parameters[CONTEXT].kind in _NAMED:
        return Takes.NAMED
    return Takes.POSITIONAL if any(map(_is_open, parameters.values())) else Takes.NOTHING


_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def _is_open(parameter: inspect.Parameter) -> bool:
    """Whether a first argument may go there."""
    is_first = parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    return parameter.kind is parameter.VAR_POSITIONAL or (is_first and parameter.default is parameter.empty)


def _plain_code(function: Callable[..., Any]) -> CodeType | None:
    """The code of a function whose parameters are those it was written with."""
    is_plain = type(function) is FunctionType and not hasattr(function, "__wrapped__")
    return function.__code__ if is_plain and not hasattr(function, "__signature__") else None
