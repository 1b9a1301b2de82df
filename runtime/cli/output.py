"""How commands say what they found, and ask before something is gone."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import EdgeError
from ..hosts.logs import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_DELETED = "Nothing was deleted: there is no terminal to ask on. Pass -y to delete it."


def confirm(question: str, *, is_sure: bool, otherwise: str = NOT_DELETED) -> None:
    """Ask before something is done that cannot be undone; `otherwise` is said where there is nobody to ask.

    Raises:
        EdgeError: there is nobody to ask.
        click.Abort: the answer is no.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise EdgeError(f"{question}\n{otherwise}")
    click.confirm(question, abort=True, err=True)


def say_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell; names cannot drive the terminal."""
    lines = [head, *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def say_fields(fields: Sequence[tuple[str, str]]) -> None:
    """`name: value` lines, values below each other; a value of several lines is indented."""
    width = max(len(name) for name, _ in fields) + 1
    for name, value in fields:
        text = "\n".join(map(printable, value.split("\n"))).replace("\n", "\n" + " " * (width + 1))
        click.echo(f"{f'{name}:':<{width}} {text}")
