"""Finds what must not be kept inside a text: addresses, card numbers, tokens.

Every pattern is bounded, so that no text makes one search long. A pattern proposes, a check decides: a card number
passes Luhn's sum, an address is one for the standard library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CARD_DIGITS_MIN, CARD_DIGITS_MAX = 13, 19
PHONE_DIGITS_MIN, PHONE_DIGITS_MAX = 10, 15
"""Digits of a number with its area. Source: ITU-T E.164 for the most; shorter ones are too often something else."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What to look for. `group` is the part of a match that is hidden."""

    name: str
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool] = lambda _: True
    group: int = 0
    hint: str | None = None
    """Found in the JSON of every record that holds one, if no character of it is escaped: a look before decoding."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in the text, from left to right."""
        return [match.span(self.group) for match in self.pattern.finditer(text) if self.is_one(match[self.group])]


def custom(pattern: str) -> Detector:
    """A detector of the user's own.

    Raises:
        ValueError: it is no regular expression, or it matches the empty text.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}.") from error
    if compiled.match(""):
        raise ValueError(f"{pattern!r} matches the empty text, so it would be found everywhere.")
    return Detector("custom", compiled)


def passes_luhn(digits: str) -> bool:
    """Luhn's sum of a card number, spaces and dashes left out. Source: ISO/IEC 7812-1, annex B."""
    numbers = [int(digit) for digit in digits if digit.isdigit()]
    if not CARD_DIGITS_MIN <= len(numbers) <= CARD_DIGITS_MAX or len(set(numbers)) == 1:
        return False
    doubled = [number * 2 - 9 if number > 4 else number * 2 for number in numbers[-2::-2]]
    return (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    digit_count = sum(map(str.isdigit, text))
    has_form = text.startswith(("+", "00", "(")) or any(mark in text for mark in " -.")
    return PHONE_DIGITS_MIN <= digit_count <= PHONE_DIGITS_MAX and has_form and not _is_address(text)


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = rf"(?<![\w.]){_OCTET}(?:\.{_OCTET}){{3}}(?!\.?\w)"
_IPV6 = r"(?<![\w:.])(?=[0-9A-Fa-f:.]{0,45}:)[0-9A-Fa-f:.]{2,45}(?<![.])(?![\w:])"

DETECTORS = {
    detector.name: detector
    for detector in (
        Detector(
            "email",
            re.compile(
                r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[^\W_](?:[\w-]{0,62}\.){1,8}[^\W\d_][\w-]{1,62}(?![\w-])"
            ),
            hint="@",
        ),
        Detector(
            "card",
            re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d])", re.ASCII),
            passes_luhn,
            hint=r"\d(?:[ -]?\d){12}",
        ),
        Detector(
            "ip",
            re.compile(f"{_IPV4}|{_IPV6}", re.ASCII),
            _is_address,
            hint=r"\d\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]|::",
        ),
        Detector(
            "phone",
            re.compile(r"(?<![\w.+-])(?:\+|00)?\(?\d[\d ().-]{8,20}\d(?![\w:-])", re.ASCII),
            _is_phone,
            hint=r"\d[\d ().-]{8}",
        ),
        Detector("jwt", re.compile(r"(?<![\w-])eyJ[\w-]{5,4096}\.[\w-]{5,16384}\.[\w-]{0,4096}"), hint="eyJ"),
        Detector(
            "bearer", re.compile(r"(?i)\bbearer\s{1,8}([\w.~+/=-]{8,16384})"), group=1, hint="[Bb][Ee][Aa][Rr][Ee][Rr]"
        ),
    )
}
