"""What can be wrong with a record: the hosted service's four kinds of errors, read from what msgspec reports.

Source: spec "Pipelines" 1.4 and 5.4; the names are Arroyo's, crates/arroyo-formats/src/de.rs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

ErrorKind: TypeAlias = Literal["missing_field", "type_mismatch", "parse_failure", "null_value", "unknown_field"]
"""The first four as hosted; `unknown_field` is an error only where the stream has `extra_fields = "reject"`."""

PATH_CHARS_MAX = 120
REMEMBERED_CHARS_MAX = 500
"""Of a report that is remembered; a longer one holds a key that nobody sends twice."""


class Finding(NamedTuple):
    """What is wrong, without values of the record."""

    kind: ErrorKind
    path: str
    """`$` is the record itself: `$.md.tags[2]`."""
    message: str


def finding_in(report: str) -> Finding:
    """The text of msgspec's ValidationError in our words. It holds names of types and keys, never values."""
    return _remembered(report) if len(report) <= REMEMBERED_CHARS_MAX else _parsed(report)


def shortened(path: str) -> str:
    return path if len(path) <= PATH_CHARS_MAX else path[:PATH_CHARS_MAX] + "..."


_KEYS: tuple[tuple[str, ErrorKind, str], ...] = (
    ("Object missing required field `", "missing_field", "A required field is missing."),
    ("Object contains unknown field `", "unknown_field", "The schema has no such field."),
)


def _parsed(report: str) -> Finding:
    for begin, kind, message in _KEYS:  # before anything else is looked for: a sender's key may be any text
        if report.startswith(begin):
            key, is_inside, path = report[len(begin) :].rpartition("` - at `$")
            path = f"${path[:-1]}.{key}" if is_inside else f"$.{report[len(begin) : -1]}"
            return Finding(kind, shortened(path), message)
    what, is_inside, path = report.rpartition(" - at `$")
    what, path = (what, f"${path[:-1]}") if is_inside else (report, "$")
    kind = "type_mismatch"
    if what.startswith("Invalid "):
        kind = "parse_failure"
    elif what.endswith("got `null`") and path != "$":
        kind = "null_value"
    return Finding(kind, shortened(path), f"{_WORD.sub(_in_words, what)}.")


_remembered = lru_cache(maxsize=1024)(_parsed)

_WORD = re.compile(r"`([^`]*)`")
_WORDS = {
    "str": "string",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "bytes": "base64 text",
    "datetime": "RFC 3339 text",
}
"""msgspec's names of types, as a sender of JSON knows them."""


def _in_words(match: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(word, word) for word in match[1].split(" | "))
