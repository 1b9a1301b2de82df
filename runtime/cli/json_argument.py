"""JSON that is given on a command line: read strictly, and refused with its place."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_NO_NUMBERS = {"NaN", "Infinity", "-Infinity"}
SHOWN_CHARS = 120
"""Of the line that is wrong."""


def parse_json(text: str, what: str) -> Any:
    """A value given on the command line.

    Raises:
        click.BadParameter: it is not JSON, or says something twice; the text says where.
    """
    try:
        value = json.loads(text)
        for at, problem in _oddities(text):
            raise json.JSONDecodeError(problem, text, at)
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1].expandtabs(1)
        start = max(0, error.colno - SHOWN_CHARS // 2)
        mark = f"  {line[start : start + SHOWN_CHARS]}\n  {' ' * (error.colno - 1 - start)}^"
        msg = f"not JSON, at line {error.lineno}, column {error.colno}: {error.msg}.\n{mark}"
        raise click.BadParameter(msg, param_hint=what) from error
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}.", param_hint=what) from error
    return value


def _oddities(text: str) -> Iterator[tuple[int, str]]:
    """What Python's parser takes and JSON has not, or nobody means: where it stands, and what it is."""
    open_keys: list[set[str] | None] = []
    before = ""
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word in "{[":
            open_keys.append(set() if word == "{" else None)
        elif word in "}]":
            open_keys.pop()
        elif word[0] == '"':
            keys = open_keys[-1] if open_keys and before in "{," else None
            key = word if keys is None else json.loads(word)
            if keys is not None and key in keys:
                yield match.start(), f"The key {word} is there already"
            if keys is not None:
                keys.add(key)
        elif word in _NO_NUMBERS:
            yield match.start(), f"{word} is no number of JSON"
        elif word[-1].isdigit() and not word.lstrip("-").isdigit() and math.isinf(float(word)):
            yield match.start(), f"{word} is no number that can be kept"
        before = word
