"""What a refused SQL text is answered with: what is wrong, and where."""

from __future__ import annotations

from ....runtime.core.errors import EdgeError


class SqlError(EdgeError):
    """Raised when a pipeline's SQL cannot be used. `line` and `column` count from 1 in the text that was given."""

    http_status = 400

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{message} (line {line}, column {column})")
        self.message = message
        self.line = line
        self.column = column


class UnknownTableError(SqlError):
    """Raised when the SQL names a stream or a sink that is not there."""


def error_at(text: str, offset: int, message: str, kind: type[SqlError] = SqlError) -> SqlError:
    """The error for the place `offset` characters into the text."""
    before = text[:offset]
    return kind(message, before.count("\n") + 1, offset - before.rfind("\n"))
