"""Hides values in records: redacted, cut to their end, hashed with a key, or removed. What is found in a key too.

A record is searched as text first: only one in which a detector could find something is decoded. A text with an escape
(`\\u0040` is an at sign) could hide anything, so it is decoded too.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .detectors import DETECTORS, Detector, custom
from .record_path import find, parse_path, put, remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from .declared import MaskStep

DEPTH_MAX = 64
KEYS_REMEMBERED_MAX = 1024
"""Records have the same keys again and again."""
REMEMBERED_CHARACTERS_MAX = 100
_ESCAPE = r"\\u"
_NUMBER_DETECTORS = frozenset({"card", "phone"})


class Mask:
    """One mask step, ready to work on records."""

    def __init__(self, step: MaskStep) -> None:
        """Raises ValueError for a step that hides nothing, or that lacks what its action needs."""
        if not (step.paths or step.detectors or step.pattern):
            raise ValueError('A mask step hides nothing without "paths", "detectors" or "pattern".')
        if step.action == "hmac" and not step.key:
            raise ValueError('A mask step with action = "hmac" needs a "key", given as { env = "NAME" }.')
        if step.keep < 0:
            raise ValueError(f'"keep" is {step.keep}; it counts characters, so it is 0 or more.')
        self._step = step
        self._paths = tuple(map(parse_path, step.paths))
        self._detectors = tuple(DETECTORS[name] for name in step.detectors)
        if step.pattern:
            self._detectors += (custom(step.pattern),)
        self._hide: Callable[[str, str], str] = getattr(self, f"_{step.action}")
        self._remembered = lru_cache(maxsize=KEYS_REMEMBERED_MAX)(self._masked_text)
        self.hint = None if self._paths else _hint(self._detectors)
        """Matches the JSON of every record that holds something to hide; None where only decoding can tell."""
        self._look = re.compile(self.hint.encode()) if self.hint else None

    def concerns(self, line: bytes) -> bool:
        """Whether this record, as JSON text, may hold something to hide; True in doubt."""
        return self._look is None or self._look.search(line) is not None

    def apply(self, record: Any) -> Any:
        """The record with its secrets hidden; changed in place where that is possible."""
        if isinstance(record, dict):
            for path in self._paths:
                self._mask_path(record, path)
        return self._masked(record, 0) if self._detectors else record

    def _mask_path(self, record: dict[str, Any], path: tuple[str, ...]) -> None:
        value = find(record, path)
        if value is None:
            return
        if self._step.action == "remove":
            remove(record, path)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            put(record, path, self._hide(str(value), "value"))
        else:
            put(record, path, "[redacted]")  # an object or an array has no end to keep and no one form to hash

    def _masked(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._masked_text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return self._masked_number(value)
        if depth >= DEPTH_MAX and isinstance(value, (dict, list)):
            return "[redacted]"  # nobody looked inside
        if isinstance(value, dict):
            for key, item in value.items():
                value[key] = self._masked(item, depth + 1)
            self._mask_keys(value)
        elif isinstance(value, list):
            value[:] = [self._masked(item, depth + 1) for item in value]
        return value

    def _mask_keys(self, record: dict[str, Any]) -> None:
        """A key is a text too: {"ada@example.com": 3}. Where two become the same, the later ones get a number."""
        masked = {key: name for key in record if (name := self._masked_key(key)) != key}
        if not masked:
            return
        items = list(record.items())
        taken = record.keys() - masked.keys()
        counts: Counter[str] = Counter()
        record.clear()
        for key, item in items:
            name = masked.get(key, key)
            while key in masked and name in taken:
                counts[masked[key]] += 1
                name = f"{masked[key]} {counts[masked[key]] + 1}"
            taken.add(name)
            record[name] = item

    def _masked_key(self, key: str) -> str:
        return self._remembered(key) if len(key) <= REMEMBERED_CHARACTERS_MAX else self._masked_text(key)

    def _masked_text(self, text: str) -> str:
        for detector in self._detectors:
            for start, end in reversed(detector.spans(text)):
                text = text[:start] + self._hide(text[start:end], detector.name) + text[end:]
        return text

    def _masked_number(self, number: int) -> int | str:
        """A card number may come as a number; masked it is a text."""
        text = str(number)
        for detector in self._detectors:
            if detector.name in _NUMBER_DETECTORS and detector.spans(text) == [(0, len(text))]:
                return self._hide(text, detector.name)
        return number

    def _redact(self, _text: str, name: str) -> str:
        return "[redacted]" if name in {"value", "custom"} else f"[redacted:{name}]"

    def _keep_last(self, text: str, _name: str) -> str:
        kept = self._step.keep
        return "*" * max(0, len(text) - kept) + (text[-kept:] if 0 < kept < len(text) else "")

    def _hmac(self, text: str, _name: str) -> str:
        assert self._step.key is not None, "checked when the step was made"
        return hmac.digest(self._step.key.encode(), text.encode("utf-8", "surrogatepass"), "sha256").hex()

    def _remove(self, _text: str, _name: str) -> str:
        return ""


def _hint(detectors: tuple[Detector, ...]) -> str | None:
    """A pattern for both `re` and RE2, without a false "no"."""
    hints = [detector.hint for detector in detectors]
    return "|".join([*filter(None, hints), _ESCAPE]) if all(hints) else None
