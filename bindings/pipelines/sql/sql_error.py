"""What a refused SQL text is answered with, what is wrong and where; and what a query that ran may end in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


class SqlError(EdgeError):
    """Raised when a pipeline's SQL cannot be used. `line` and `column` count from 1 in the text that was given."""

    http_status = 400

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{message} (line {line}, column {column})")
        self.message = message
        self.line = line
        self.column = column
        self.others: tuple[SqlError, ...] = ()
        """What else is wrong with the text, in its order."""

    @property
    def all(self) -> tuple[SqlError, ...]:
        return (self, *self.others)


class UnknownTableError(SqlError):
    """Raised when the SQL names a stream or a sink that is not there."""


class TooMuchMadeError(BackendError):
    """Raised when a query makes more of many records together than memory should hold: run it on fewer of them."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"The SQL makes too much of the records up to offset {offset} to hold it at once.")
        self.offset = offset
        """Of the first record that was too much; what is made of those before it is not."""


def error_at(text: str, offset: int, message: str, kind: type[SqlError] = SqlError) -> SqlError:
    """The error for the place `offset` characters into the text."""
    before = text[:offset]
    return kind(message, before.count("\n") + 1, offset - before.rfind("\n"))


def joined(errors: Iterable[SqlError]) -> SqlError:
    """Several errors, at least one, as one to raise: the first of the text, which knows the others."""
    first, *others = sorted(errors, key=lambda one: (one.line, one.column))
    first.others = tuple(others)
    return first


def unknown_table(text: str, name: str, at: int, known: Collection[str], what: str) -> Iterator[SqlError]:
    """What is wrong with naming a stream or a sink at `at`: nothing when it is known."""
    if name in known:
        return
    message = f'There is no {what} "{name}".'
    same = next((each for each in known if each.lower() == name.lower()), None)
    if same is not None:
        message += f' Names fold to lower case unless quoted: write "{same}".'
    elif known:
        message += f" There is: {', '.join(sorted(known))}."
    yield error_at(text, at, message, UnknownTableError)
