"""Values against types, in wrangler's words.

    Expected "compatibility_flags" to be of type string array but got "x".
    Expected "assets.html_handling" field to be one of ["auto-trailing-slash",...] but got "foo".
    "migrations[0].tag" is a required field.

A shape is a TypedDict: its annotations say what a member may be, and `Required` that it must be there. This is not
pydantic for two reasons: every message is wrangler's own, and every start of `edge dev` would pay 110 ms to import and
build it (measured; this costs 2).
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

from .known_keys import nearest
from .parse import echo, line_and_column

if TYPE_CHECKING:
    from .diagnostics import Diagnostics
    from .parse import Located


def check_members(value: Located, shape: type, report: Diagnostics) -> None:
    """Report members of an object that have the wrong type, that lack, or that `shape` does not know."""
    hints = type_hints(shape)
    for key, hint in hints.items():
        if key in value:
            check(value.member(key), hint, report)
        elif get_origin(hint) is Required:
            report.error(f'"{value.member(key).name}" is a required field.', value.at)
    warn_of_unknown(value, frozenset(hints), report)


def check(value: Located, hint: Any, report: Diagnostics) -> None:
    """Report what keeps a value from being a `hint`; the first problem of each member."""
    hint = plain(hint)
    if is_typeddict(hint):
        if isinstance(value.value, dict):
            check_members(value, hint, report)
        else:
            report.error(expected(value, "object"), value.at)
    elif get_origin(hint) is list and is_typeddict(get_args(hint)[0]):
        if not isinstance(value.value, list):
            report.error(expected(value, "array"), value.at)
        for item in value.items():
            check(item, get_args(hint)[0], report)
    elif not fits(value.value, hint):
        report.error(expected_one_of(value, hint) if choices(hint) else expected(value, word(hint)), value.at)


def fits(value: Any, hint: Any) -> bool:
    """Is this JSON value of a type that `word` can name? An absent optional is None, a JSON null never fits."""
    kind = plain(hint)
    if kind is Any:
        return True
    if options := choices(kind):
        return value in options and type(value) in map(type, options)
    if kind is float or kind is int:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if get_origin(kind) in (list, tuple):
        return isinstance(value, list) and all(fits(item, get_args(kind)[0]) for item in value)
    return isinstance(value, get_origin(kind) or kind)


def word(hint: Any) -> str:
    """What wrangler calls a type."""
    kind = plain(hint)
    if get_origin(kind) in (list, tuple):
        item = get_args(kind)[0]
        return "array" if item is Any else f"{word(item)} array"
    return _WORDS.get(get_origin(kind) or kind, "object")


_WORDS = {str: "string", bool: "boolean", int: "number", float: "number"}


def expected(value: Located, what: str) -> str:
    return f'Expected "{value.name}" to be of type {what} but got {value.echo}.'


def expected_one_of(value: Located, hint: Any) -> str:
    return f'Expected "{value.name}" field to be one of {echo(list(choices(hint)))} but got {value.echo}.'


def warn_of_unknown(
    value: Located,
    known: frozenset[str],
    report: Diagnostics,
    *,
    name: str | None = None,
    elsewhere: frozenset[str] = frozenset(),
    other_file: str = "",
) -> None:
    """One warning for all members that are not known, with the nearest known name of each.

    Keys in `elsewhere` are known in `other_file`, and the warning says so.
    """
    unknown = [member for key, member in value.members() if key not in known]
    if not unknown:
        return
    keys = [str(member.at[-1]) for member in unknown]
    text = f"Unexpected fields found in {name or value.name} field: {','.join(map(echo, keys))}"
    for member, key in zip(unknown, keys, strict=True):
        line, _ = line_and_column(report.document.text, report.document.offset(member.at))
        if key in elsewhere:
            text += f'\n"{key}" in line {line} belongs in {other_file}.'
        elif meant := nearest(key, known):
            text += f'\nDid you mean "{meant}" instead of "{key}" in line {line}?'
    report.warning(text, unknown[0].at)


def type_hints(shape: Any) -> dict[str, Any]:
    """Member -> annotation, of a TypedDict or a dataclass. `Required` stays, as it says what must be there."""
    return get_type_hints(shape, include_extras=True)


def plain(hint: Any) -> Any:
    """`X | None` and `Required[X]` -> X."""
    if get_origin(hint) is Required:
        return get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        return next(arg for arg in get_args(hint) if arg is not NoneType)
    return hint


def choices(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal, else nothing."""
    kind = plain(hint)
    return get_args(kind) if get_origin(kind) is Literal else ()
