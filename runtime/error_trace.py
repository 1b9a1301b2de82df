"""An exception as a person wants to read it: the user's frames with a caret, causes, nothing of the framework.

Python's own TracebackException has all that is needed; this file takes the framework's frames out of it.
"""

from __future__ import annotations

import importlib
import sysconfig
from pathlib import Path
from traceback import TracebackException
from typing import TYPE_CHECKING

from .core.errors import EdgeError, HandlerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from traceback import FrameSummary

_ROOMS = tuple(f"{Path(__file__).parent.parent}/{room}/" for room in ("runtime", "bindings", "wrangler_config"))
_IMPORTLIB = importlib.__file__
_LIBRARY = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def trace_of(error: BaseException, *, show_locals: bool = False) -> TracebackException:
    """What to show of an error, frames of the framework taken out of it and its causes.

    A HandlerError that wraps what the user's module raised at import is shown as that.
    """
    while isinstance(error, HandlerError) and error.__cause__ is not None:
        error = error.__cause__
    trace = TracebackException.from_exception(error, capture_locals=show_locals)
    for one in _all(trace):
        one.stack[:] = [frame for frame in one.stack if not is_framework(frame)]
    return trace


def format_error(error: BaseException) -> str:
    """A traceback as Python prints it, without the framework's frames and without a final newline.

    What Edge says on purpose (a config that cannot be used, no handler in the file) is its sentence alone: no line of
    the user's leads to it, at most a library's that a thread was started with.
    """
    trace = trace_of(error)
    is_the_users = any(map(is_users, trace.stack))
    is_said_on_purpose = isinstance(error, EdgeError) and error.__cause__ is None and not is_the_users
    return str(error) if is_said_on_purpose else text_of(trace)


def text_of(trace: TracebackException) -> str:
    """As Python prints it, without a final newline; without the heading where no frame is left to follow it."""
    text = "".join(trace.format()).rstrip("\n")
    return text if trace.stack else text.removeprefix("Traceback (most recent call last):\n")


def cause_of(trace: TracebackException) -> tuple[str, TracebackException] | None:
    """How the error came about: a heading and the earlier error, or None when it was the first."""
    if trace.__cause__ is not None:
        return "caused by", trace.__cause__
    if trace.__context__ is not None and not trace.__suppress_context__:
        return "raised while handling", trace.__context__
    return None


def name_of(trace: TracebackException) -> str:
    """The type's name, with its module where it is no builtin."""
    if hasattr(trace, "exc_type_str"):  # 3.13 and newer, where `exc_type` is deprecated
        return str(trace.exc_type_str)
    kind = trace.exc_type
    return (
        kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"
    )


def is_syntax_error(trace: TracebackException) -> bool:
    """Its file, line and offset are those of the source that cannot be parsed."""
    return hasattr(trace, "msg") and hasattr(trace, "offset")


def is_framework(frame: FrameSummary) -> bool:
    """A frame of Edge or of the import system."""
    return is_framework_file(frame.filename)


def is_framework_file(name: str) -> bool:
    """A file of Edge or of the import system."""
    return name == _IMPORTLIB or name.startswith((*_ROOMS, "<frozen importlib"))


def is_users(frame: FrameSummary) -> bool:
    """A frame of the user's own code, neither a library's nor the framework's."""
    return not (
        is_framework(frame) or frame.filename.startswith((*_LIBRARY, "<frozen")) or "/python_modules/" in frame.filename
    )


def _all(trace: TracebackException) -> Iterator[TracebackException]:
    yield trace
    for nested in (trace.__cause__, trace.__context__, *(trace.exceptions or ())):
        if nested is not None:
            yield from _all(nested)
