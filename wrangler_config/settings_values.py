"""Values of edge.toml against dataclasses, by pydantic, in the words that `shape.py` has for the wrangler file.

    Expected "limits.body_bytes" to be of type whole number but got "x".
    "sinks.far.path" is a required field.

Messages repeat a value as it is written: what a reference resolved to may be a secret.
"""

from __future__ import annotations

import json
import os
from collections import abc
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from .shape import choices, expected, expected_one_of, plain, type_hints, warn_of_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .diagnostics import Diagnostics
    from .parse import Located


def is_reference(value: Any) -> bool:
    """Is this `{ env = "NAME" }`?"""
    return isinstance(value, dict) and set(value) == {"env"} and isinstance(value["env"], str)


def resolved(
    value: Located, hint: Any, variables: Mapping[str, Any], references: dict[str, str], report: Diagnostics
) -> Any:
    """The value with each reference inside replaced, and noted in `references`: "aws.region" -> "MY_REGION".

    Args:
        hint: what is expected here: where any names may be given, `env` is one of them. None: nobody knows.
    """
    kind = _kind(hint, value)
    if isinstance(value.value, list):
        item = next(iter(get_args(kind)), None)
        return [resolved(one, item, variables, references, report) for one in value.items()]
    if not isinstance(value.value, dict):
        return value.value
    if is_reference(value.value) and "." in value.name and not _is_mapping(kind):
        name = value.value["env"]
        references[value.name] = name
        found = variables.get(name, os.environ.get(name))
        if found is None:
            report.error(
                f'"{value.name}" refers to the variable {name}, which is not set. '
                f"Add it to .dev.vars or .env, or set it in the environment of the process.",
                value.at,
            )
        return "" if found is None else str(found)
    return resolved_members(value, _member_hints(kind, value.value), variables, references, report)


def resolved_members(
    value: Located,
    hints: Mapping[str, Any],
    variables: Mapping[str, Any],
    references: dict[str, str],
    report: Diagnostics,
) -> dict[str, Any]:
    """The members of an object, each as `resolved` has it."""
    return {key: resolved(one, hints.get(key), variables, references, report) for key, one in value.members()}


def _member_hints(kind: Any, names: Iterable[str]) -> Mapping[str, Any]:
    if _is_mapping(kind):
        return dict.fromkeys(names, get_args(kind)[-1])
    return type_hints(kind) if is_dataclass(kind) else {}


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) is abc.Mapping


def validated(cls: type[Any], resolved_value: Any, value: Located, report: Diagnostics) -> Any:
    """The value as a `cls`; None when something in it has the wrong type, which is reported.

    Args:
        resolved_value: what is checked.
        value: the same as written, for messages.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - costs 110 ms; most projects have no edge.toml

    text = json.dumps(resolved_value, default=lambda date: {"date": date.text})
    try:
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        told: set[tuple[str | int, ...]] = set()
        for one in error.errors(include_url=False):
            found = _place(value, cls, one["loc"])
            if found is None or found[0].at in told:  # a union has a finding for each of its members
                continue
            located, hint = found
            told.add(located.at)
            if one["type"] == "missing" or (located.value is None and located.at[-1] == "type"):
                owner = value.at if len(located.at) <= len(value.at) + 1 else located.at[:-1]
                report.error(f'"{located.name}" is a required field.', owner)
            elif one["type"] == "value_error":
                report.error(f'"{located.name}": {one["ctx"]["error"]}', located.at)
            elif choices(hint):
                report.error(expected_one_of(located, hint), located.at)
            else:
                report.error(expected(located, _WORDS.get(one["type"], one["type"])), located.at)
        return None


def salvaged(cls: type[Any], refused_value: Any) -> tuple[Any, frozenset[tuple[str | int, ...]]]:
    """What is right of a value that `validated` refused: so that its other problems are told at once.

    Returns:
        The value without its wrong members, None when they are required; and where those members were. Of an array of
        objects the wrong ones are None, and the others keep their numbers.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - as above

    adapter = TypeAdapter(cls)
    text = json.dumps(refused_value, default=lambda date: {"date": date.text})
    try:
        return adapter.validate_json(text, strict=True), frozenset()
    except ValidationError as error:
        value = json.loads(text)
        places = [one["loc"] for one in error.errors(include_url=False)]
        gaps = {item for place in places if (item := _object_in_array(value, place)) is not None}
        wrong = frozenset({*gaps, *(_remove(value, place) for place in places if place[:2] not in gaps)})
    # An array with an item that is no object was taken out whole.
    arrays = {name: {number for array, number in gaps if array == name} for name, _ in gaps if name in value}
    for name, numbers in arrays.items():
        value[name] = [item for number, item in enumerate(value[name]) if number not in numbers]
    try:
        one = adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return None, wrong
    return replace(one, **{name: _with_gaps(getattr(one, name), numbers) for name, numbers in arrays.items()}), wrong


def _object_in_array(value: Any, place: tuple[int | str, ...]) -> tuple[str, int] | None:
    """Name and number of the `[[entry.name]]` that a place is in."""
    match place:
        case (str(name), int(number), *_) if isinstance(value, dict) and isinstance(value.get(name), list):
            return (name, number) if isinstance(value[name][number], dict) else None
    return None


def _with_gaps(items: Sequence[Any], numbers: set[int]) -> tuple[Any, ...]:
    """The items at the numbers they have with None at each of these."""
    rest = iter(items)
    return tuple(None if number in numbers else next(rest) for number in range(len(items) + len(numbers)))


def _remove(value: Any, loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Take a wrong member out, or the array that it is in, whose other items keep their numbers so."""
    place: list[int | str] = []
    for step in loc:
        if not isinstance(value, dict):
            break
        if step in value:
            place.append(step)
            if not isinstance(value[step], dict) or step == loc[-1]:
                value.pop(step)
                break
            value = value[step]
    return tuple(place)


def warn_of_unknown_inside(value: Located, hint: Any, report: Diagnostics) -> None:
    """A warning for each object below `value` with members that its dataclass does not have."""
    kind = _kind(hint, value)
    if is_dataclass(kind):
        warn_of_unknown(value, frozenset(f.name for f in fields(kind)), report)
        hints = type_hints(kind)
        for key, member in value.members():
            if key in hints:
                warn_of_unknown_inside(member, hints[key], report)
    elif get_origin(kind) is tuple:
        for item in value.items():
            warn_of_unknown_inside(item, get_args(kind)[0], report)


def refuse_written_secrets(value: Located, cls: Any, secrets: Iterable[str], report: Diagnostics) -> None:
    """An error for each text in these members of a `cls` that is no reference."""
    hints = type_hints(cls)
    found = [leaf for secret in secrets for leaf in _written_texts(value.member(secret), hints[secret])]
    for leaf in found:
        text = f'"{leaf.name}" is a secret and may not be written here. Write {{ env = "NAME" }}, and keep'
        report.error(f"{text} NAME=value in .dev.vars or .env, or set it in the environment.", leaf.at)


def refuse_secrets_inside(value: Located, hint: Any, report: Diagnostics) -> None:
    """The same of every object below `value` whose dataclass has SECRETS."""
    kind = _kind(hint, value)
    if is_dataclass(kind):
        refuse_written_secrets(value, kind, getattr(kind, "SECRETS", ()), report)
        hints = type_hints(kind)
        for key, member in value.members():
            if key in hints:
                refuse_secrets_inside(member, hints[key], report)
    elif get_origin(kind) is tuple:
        for item in value.items():
            refuse_secrets_inside(item, get_args(kind)[0], report)


def _written_texts(value: Located, hint: Any = None) -> Iterator[Located]:
    if isinstance(value.value, str):
        yield value
    elif _is_mapping(plain(hint)) or not is_reference(value.value):
        for part in (*(member for _, member in value.members()), *value.items()):
            yield from _written_texts(part)


def _place(value: Located, hint: Any, steps: tuple[int | str, ...]) -> tuple[Located, Any] | None:
    """Where pydantic's `loc` is in the file, and what is expected there; None when it is of no concern."""
    for step in steps:
        if tags := _tags(hint):
            chosen = _kind(hint, value)
            if chosen is None:  # no such tag: `type` itself is wrong
                return value.member("type"), Literal[tuple(tags)]
            if step != chosen.__name__:
                return None  # a finding about another member of the union
            hint = chosen
            continue
        kind = _kind(hint, value)
        if is_dataclass(kind) and step in (hints := type_hints(kind)):
            hint = hints[step]
        elif get_origin(kind) is not None and get_args(kind):
            hint = get_args(kind)[0] if get_origin(kind) is tuple else get_args(kind)[-1]
        else:
            break  # a step that names a member of a union of plain types, not of the file
        value = value.member(step) if isinstance(step, str) else list(value.items())[step]
    if _tags(hint) and isinstance(value.value, dict):
        return value.member("type"), Literal[tuple(_tags(hint))]
    return value, hint


def _kind(hint: Any, value: Located) -> Any:
    """What is expected, without its wrapping; of dataclasses that differ in `type` the one that `value` names."""
    if tags := _tags(hint):
        tag = value.value.get("type") if isinstance(value.value, dict) else None
        return tags.get(tag) if isinstance(tag, str) else None
    return plain(hint)


def _tags(hint: Any) -> dict[str, Any]:
    """Of a union of dataclasses, each with a `type: Literal[...]`: tag -> dataclass. Empty for every other hint."""
    members = [one for one in get_args(hint) if one is not NoneType]
    if get_origin(hint) not in (Union, UnionType) or len(members) < 2 or not all(map(is_dataclass, members)):
        return {}
    return {tag: one for one in members for tag in choices(type_hints(one)["type"])}


_WORDS = {
    "string_type": "string",
    "bool_type": "boolean",
    "int_type": "whole number",
    "int_from_float": "whole number",
    "int_parsing_size": "whole number",
    "float_type": "number",
    "finite_number": "number",
    "tuple_type": "array",
    "dict_type": "object",
    "dataclass_type": "object",
}
"""pydantic's error types that our dataclasses can cause -> what was expected."""
