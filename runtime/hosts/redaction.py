"""Secrets do not pass: by the name of a key, and by value wherever it appears in text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REDACTED = "[redacted]"
SECRET_CHARACTERS_MIN = 4
"""A shorter secret would blacken ordinary words."""
DEPTH_MAX = 8
"""Values nested deeper are written as text."""

_SECRET_NAME = re.compile(
    r"authori[sz]ation|cookie|passw|secret|credential|private_?key|api_?key|access_?key|session_?id|signature"
    r"|(?<![a-z])tokens?(?![a-z])|(?<![a-z])jwt(?![a-z])|(?<![a-z])pwd(?![a-z])"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}")


class Redactor:
    """Knows which values are secret. Making one costs a little, asking it costs almost nothing."""

    __slots__ = ("_names_known", "_needles")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {spelling for secret in secrets for spelling in _spellings(str(secret))}
        self._needles = tuple(sorted(spellings, key=len, reverse=True))
        self._names_known: dict[str, bool] = {}

    def text(self, text: str) -> str:
        """`text` without secret values, however they were quoted, and without what follows Bearer or Basic."""
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, REDACTED)
        if "Bearer" in text or "Basic" in text:
            text = _CREDENTIALS.sub(rf"\1 {REDACTED}", text)
        return text

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by key, as plain data: a secret key's value is gone, the rest went through `text`."""
        return {key: self.value(key, value) for key, value in values.items()}

    def value(self, key: str, value: Any, depth: int = 0) -> Any:
        """One value as plain data."""
        if isinstance(value, (int, float)) or value is None:
            return REDACTED if value.__class__ is not bool and value is not None and self._is_secret(key) else value
        if self._is_secret(key):
            return REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (bytes, bytearray)):
            return self.text(bytes(value).decode("utf-8", "backslashreplace"))
        if depth < DEPTH_MAX and isinstance(value, dict):
            return {self.text(str(name)): self.value(str(name), item, depth + 1) for name, item in value.items()}
        if depth < DEPTH_MAX and isinstance(value, (list, tuple, set, frozenset)):
            return [self.value("", item, depth + 1) for item in value]
        return self.text(_shown(value))

    def _is_secret(self, key: str) -> bool:
        known = self._names_known.get(key)
        if known is None:
            known = is_secret_name(key)
            if len(self._names_known) < 1024:  # keys come from code; a map of user data must not grow this for ever
                self._names_known[key] = known
        return known


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret: apiKey, API_TOKEN, x-session-id ..."""
    return _SECRET_NAME.search(_CAMEL.sub("_", name).lower().replace("-", "_")) is not None


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a broken __str__ of the user's must not break the log
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _spellings(secret: str) -> set[str]:
    """The secret as text holds it: as it is, inside quotes of Python or JSON, in a URL, and each line of several."""
    lines = [line.strip() for line in secret.splitlines()]
    found = {secret, *(line for line in lines if len(line) >= 2 * SECRET_CHARACTERS_MIN)}
    for one in tuple(found):
        found |= {
            repr(one)[1:-1],
            json.dumps(one)[1:-1],
            json.dumps(one, ensure_ascii=False)[1:-1],
            quote(one, safe=""),
        }
    return {one for one in found if len(one) >= SECRET_CHARACTERS_MIN}
