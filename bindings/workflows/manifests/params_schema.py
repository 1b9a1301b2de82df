"""The part of JSON Schema that `params.schema` takes, checked without a library.

The subset is what describes an object of parameters; a keyword outside of it is refused when the manifest is read, so
none is silently without effect. `jsonschema` would do all of it and bring four packages, one of them compiled; pydantic
checks classes and not schemas. `default` fills in a member that is not given.
Source: json-schema.org, draft 2020-12, "Validation".
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .problems import did_you_mean, echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .node import Node
    from .problems import Problems

TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": lambda value: _is_number(value),  # noqa: PLW0108 - it is defined below
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_ANNOTATIONS = frozenset({"title", "description", "examples", "default", "$schema", "$comment"})
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (operator.lt, "at least"),
    "maximum": (operator.gt, "at most"),
    "exclusiveMinimum": (operator.le, "more than"),
    "exclusiveMaximum": (operator.ge, "less than"),
}
"""When a value is out of it, and what it should have been."""
_SCHEMAS = ("properties", "items", "additionalProperties")
KEYWORDS = frozenset(
    {"type", "enum", "const", "required", "pattern", "uniqueItems", *_COUNTS, *_BOUNDS, *_SCHEMAS, *_ANNOTATIONS}
)
PROBLEMS_MAX = 20
"""Told of one value."""


@dataclass(frozen=True, slots=True)
class ParamsSchema:
    """A schema that was read without problems."""

    schema: Any

    def problems(self, value: Any) -> list[str]:
        """What is wrong with a value: `params.key: ...`."""
        found: list[str] = []
        for text in _problems(self.schema, value, "params"):
            found.append(text)
            if len(found) == PROBLEMS_MAX:
                break
        return found

    def with_defaults(self, value: Any) -> Any:
        """The value with the defaults of members that are not there."""
        return _filled(self.schema, value)


def read_schema(node: Node, problems: Problems) -> ParamsSchema:
    """Check a schema itself; what is wrong with it goes to `problems`."""
    _check(node, problems)
    return ParamsSchema(node.plain())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(node: Node, problems: Problems) -> None:
    if isinstance(node.value, bool):
        return
    if not isinstance(node.value, dict):
        problems.add(node.place, f"A schema is a map, or true or false, got {node.kind}.")
        return
    for keyword, item in node.value.items():
        if keyword not in KEYWORDS:
            text = f'"{keyword}" is no keyword that params.schema takes.{did_you_mean(keyword, KEYWORDS)}'
            problems.add(node.keys[keyword], text)
        elif (wanted := _wrong(keyword, item)) is not None:
            problems.add(item.place, f'"{keyword}" is {wanted}, got {echo(item.plain())}.')
        elif keyword in {"items", "additionalProperties"}:
            _check(item, problems)
        elif keyword == "properties":
            for member in item.value.values():
                _check(member, problems)


def _wrong(keyword: str, item: Node) -> str | None:
    """What a keyword's value should have been; None when it is that."""
    value = item.plain()
    if keyword == "type":
        words = value if isinstance(value, list) else [value]
        is_good = bool(words) and all(isinstance(word, str) and word in TYPES for word in words)
        return None if is_good else f"one of {', '.join(TYPES)}, or a list of them"
    if keyword == "properties":
        return None if isinstance(value, dict) else "a map of schemas"
    if keyword in _COUNTS:
        return None if type(value) is int and value >= 0 else "a whole number from 0"
    if keyword in _BOUNDS:
        return None if _is_number(value) else "a number"
    if keyword == "required":
        is_good = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return None if is_good else "a list of names"
    if keyword == "enum":
        return None if isinstance(value, list) and value else "a list of values"
    if keyword == "uniqueItems":
        return None if isinstance(value, bool) else "true or false"
    return _wrong_pattern(value) if keyword == "pattern" else None


def _wrong_pattern(value: Any) -> str | None:
    try:
        re.compile(value)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        return f"a regular expression ({error})"
    return None


def _problems(schema: Any, value: Any, where: str) -> Iterator[str]:
    if isinstance(schema, bool):
        if not schema:
            yield f"{where}: nothing is allowed here, got {echo(value)}."
        return
    words = schema.get("type", ())
    words = [words] if isinstance(words, str) else words
    if words and not any(TYPES[word](value) for word in words):
        yield f"{where}: expected {' or '.join(words)}, got {echo(value)}."
        return
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield f"{where}: expected one of {echo(schema['enum'])}, got {echo(value)}."
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{where}: expected {echo(schema['const'])}, got {echo(value)}."
    if _is_number(value):
        yield from _number_problems(schema, value, where)
    elif type(value) in _OF_A_TYPE:
        yield from _OF_A_TYPE[type(value)](schema, value, where)


def _text_problems(schema: Any, value: str, where: str) -> Iterator[str]:
    yield from _count_problems(schema, len(value), "Length", "characters", where)
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        yield f"{where}: {echo(value)} does not match {schema['pattern']}."


def _number_problems(schema: Any, value: float, where: str) -> Iterator[str]:
    for keyword, (is_out, words) in _BOUNDS.items():
        if keyword in schema and is_out(value, schema[keyword]):
            yield f"{where}: expected {words} {schema[keyword]}, got {value}."


def _list_problems(schema: Any, value: list[Any], where: str) -> Iterator[str]:
    yield from _count_problems(schema, len(value), "Items", "items", where)
    if schema.get("uniqueItems"):
        seen: set[str] = set()
        for index, item in enumerate(value):
            if (key := _canonical(item)) in seen:
                yield f"{where}[{index}]: {echo(item)} is there twice."
            seen.add(key)
    if "items" in schema:
        for index, item in enumerate(value):
            yield from _problems(schema["items"], item, f"{where}[{index}]")


def _object_problems(schema: Any, value: dict[str, Any], where: str) -> Iterator[str]:
    yield from _count_problems(schema, len(value), "Properties", "members", where)
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name}: is required, and is not there."
    for name, item in value.items():
        if name in known:
            yield from _problems(known[name], item, f"{where}.{name}")
        elif schema.get("additionalProperties", True) is False:
            yield f"{where}.{name}: is not known.{did_you_mean(str(name), known)}"
        else:
            yield from _problems(schema.get("additionalProperties", True), item, f"{where}.{name}")


_OF_A_TYPE: dict[type, Callable[[Any, Any, str], Iterator[str]]] = {
    str: _text_problems,
    list: _list_problems,
    dict: _object_problems,
}


def _count_problems(schema: Any, count: int, what: str, unit: str, where: str) -> Iterator[str]:
    if count < schema.get(f"min{what}", 0):
        yield f"{where}: expected at least {schema[f'min{what}']} {unit}, got {count}."
    if count > schema.get(f"max{what}", count):
        yield f"{where}: expected at most {schema[f'max{what}']} {unit}, got {count}."


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and true is not 1."""
    return _canonical(one) == _canonical(other)


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        members = sorted((repr(key), _canonical(item)) for key, item in value.items())
        return f"{{{members}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{type(value).__name__} {value!r}"


def _filled(schema: Any, value: Any) -> Any:
    if not isinstance(schema, dict):
        return value
    if isinstance(value, list) and "items" in schema:
        return [_filled(schema["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, member in schema.get("properties", {}).items():
        if name in filled:
            filled[name] = _filled(member, filled[name])
        elif isinstance(member, dict) and "default" in member:
            filled[name] = member["default"]
    return filled
