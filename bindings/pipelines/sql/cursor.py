"""A place in a list of tokens, moved forward by the parsers; knows how to complain about where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sql_error import SqlError, error_at
from .tokens import Token, tokenize

if TYPE_CHECKING:
    from collections.abc import Collection

DEPTH_MAX = 100
"""Parentheses, sub-selects and right sides inside each other: more is a mistake, or an attack on the stack."""
CHAIN_MAX = 200
"""Operators in a row, `a OR b OR c ...`: each makes the tree one deeper."""


class Cursor:
    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0
        self.chain = 0
        self._tokens = tokenize(text)
        self._at = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    @property
    def next(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    @property
    def is_at_end(self) -> bool:
        return self.token.kind == "end"

    @property
    def last_end(self) -> int:
        """Where the token before this one ends."""
        return self._tokens[self._at - 1].end if self._at else 0

    def mark(self) -> int:
        return self._at

    def reset(self, mark: int) -> None:
        """Back to where `mark()` was called."""
        self._at = mark

    def take(self) -> Token:
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def at_word(self, *words: str) -> bool:
        return self.token.kind == "word" and self.token.value in words

    def at_symbol(self, *symbols: str) -> bool:
        return self.token.kind == "symbol" and self.token.value in symbols

    def accept_word(self, *words: str) -> bool:
        if not self.at_word(*words):
            return False
        self.take()
        return True

    def accept_symbol(self, symbol: str) -> bool:
        if not self.at_symbol(symbol):
            return False
        self.take()
        return True

    def skip_past(self, symbol: str) -> None:
        """On behind the next one of these, or to the end, out of whatever was begun."""
        self.depth = self.chain = 0
        while not self.is_at_end and not self.accept_symbol(symbol):
            self.take()

    def expect_word(self, word: str) -> Token:
        if not self.at_word(word):
            raise self.expected(word.upper())
        return self.take()

    def expect_symbol(self, symbol: str) -> Token:
        if not self.at_symbol(symbol):
            raise self.expected(repr(symbol))
        return self.take()

    def expect_name(self, what: str, reserved: Collection[str] = ()) -> str:
        if self.token.kind not in ("word", "quoted") or self.at_word(*reserved):
            raise self.expected(what)
        return self.take().value

    def expected(self, what: str) -> SqlError:
        found = "the text ends" if self.token.kind == "end" else f"{self.text[self.token.start : self.token.end]!r} is"
        is_reserved_word = self.token.kind == "word" and what == "an expression"
        hint = f' A column of this name is quoted: "{self.token.value}".' if is_reserved_word else ""
        return self.refuse(f"Expected {what}, but {found} here.{hint}")

    def refuse(self, message: str, offset: int | None = None) -> SqlError:
        return error_at(self.text, self.token.start if offset is None else offset, message)

    def refuse_prefix(self, prefix: str) -> None:
        """Raise for any name that begins with `prefix`."""
        for token in self._tokens:
            if token.kind in ("word", "quoted") and token.value.lower().startswith(prefix):
                raise self.refuse(f"Names that begin with {prefix} are Edge's own.", token.start)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise self.refuse(f"Nested more than {DEPTH_MAX} deep: split it with WITH.")

    def longer(self) -> None:
        self.chain += 1
        if self.chain > CHAIN_MAX:
            raise self.refuse(f"More than {CHAIN_MAX} operators in a row: use IN, or split it with WITH.")
