"""Is this body JSON whose records every later reader can take? Found out without keeping a single value.

msgspec passes over values without building them, so a body of 100 records costs 11 us (measured). What it does not see
then is asked here: text that is not UTF-8, deep nesting, numbers of a million digits, objects of a million keys. Each
of these first has a question that costs next to nothing and that ordinary records pass.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from ..records import DEPTH_MAX
from .refusal import InvalidJsonError, NotObjectsError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS_MAX = 10_000
"""Of one object. Source: spec "Reliability", section 4."""
DIGITS_MAX = 4300
"""In a row: what Python makes an integer of. Source: Python docs, "Integer string conversion length limitation"."""


class _AnyObject(msgspec.Struct, gc=False):
    """A JSON object of which nothing is kept."""


_objects = msgspec.json.Decoder(list[_AnyObject])
_records = msgspec.json.Decoder(list[msgspec.Raw])
_values = msgspec.json.Decoder(float_hook=float)
_INDEX = re.compile(r"\$\[(\d+)\]")
_HALF_PAIR = re.compile(
    rb"(?<!\\)(?:\\\\)*\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])", re.DOTALL
)
_DIGITS = re.compile(rb"[0-9]*")
_LONG_DIGITS = re.compile(rb"[0-9]{%d}" % (DIGITS_MAX + 1))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def count_records(body: bytes) -> int:
    """How many objects the JSON array has.

    Raises:
        InvalidJsonError: not JSON in UTF-8, or more than later readers can take.
        NotObjectsError: JSON, but no array of objects.
    """
    try:
        count = len(_objects.decode(body))
    except msgspec.ValidationError as error:
        require_text(body)
        index = item_index(error)
        found = "The body is no array" if index is None else f"Item {index} is no object"
        raise NotObjectsError(f"{found}. Send a JSON array of objects, one for each record.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidJsonError(why_not_json(body, error)) from error
    require_harmless(body, count)
    return count


def item_index(error: msgspec.ValidationError) -> int | None:
    """Of an array's first item that is no object; None when there is no array."""
    where = _INDEX.search(str(error))
    return int(where[1]) if where else None


def require_harmless(body: bytes, record_count: int) -> None:
    """Refuse bombs in a JSON array of `record_count` objects.

    Raises:
        InvalidJsonError: it says what there is too much of.
    """
    require_text(body)
    opened_count = body.count(b"{") + body.count(b"[")
    # Beside the array and one object a record, fewer brackets than DEPTH_MAX cannot be nested deeper.
    if opened_count - record_count >= DEPTH_MAX and _is_deep(body):
        raise InvalidJsonError(f"A record is nested more than {DEPTH_MAX} levels deep. Send flatter records.")
    if len(body) > DIGITS_MAX and _has_long_number(body):
        raise InvalidJsonError(f"A number has more than {DIGITS_MAX:,} digits. Send it as a string.")
    if len(body) > 4 * KEYS_MAX and body.count(b":") > KEYS_MAX and _has_many_keys(body):
        raise InvalidJsonError(f"An object has more than {KEYS_MAX:,} keys. Send an array of pairs instead.")


def require_text(body: bytes) -> None:
    """
    Raises:
        InvalidJsonError: this is not UTF-8.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidJsonError(f"The body is not UTF-8: byte {error.start} is {error.reason}.") from error


def why_not_json(body: bytes, error: Exception, which: str = "") -> str:
    """A sentence for a body that msgspec does not decode.

    Args:
        which: of several bodies, with a space before it: " (line 3)".
    """
    if isinstance(error, RecursionError):
        return f"A record is nested more than {DEPTH_MAX} levels deep{which}. Send flatter records."
    if b"\\u" in body and _HALF_PAIR.search(body):  # msgspec says that the data ends early
        return f"A text holds half a surrogate pair (\\ud800 to \\udfff), which is no Unicode character{which}."
    return f"The body is not JSON{which}: {str(error).removeprefix('JSON is malformed: ')}."


def _is_deep(body: bytes) -> bool:
    """Whether a value is nested deeper than DEPTH_MAX inside the outer array.

    Brackets alone are looked at first: each round takes the innermost pairs away, so what is left after as many rounds
    as there may be levels is deeper. Brackets inside text can only mislead this to "maybe", which is then found out.
    """
    brackets = body.translate(_AS_ONE_KIND, _NO_BRACKETS)
    for _ in range(DEPTH_MAX + 1):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    return any(depth > DEPTH_MAX for depth, _ in enumerate(_levels(_values.decode(body)), 1))


def _has_long_number(body: bytes) -> bool:
    """Looks at one byte in many: a run of so many digits covers one of those, and half of its digits follow."""
    step = DIGITS_MAX // 2
    suspects = (at * step for at, byte in enumerate(body[::step]) if 48 <= byte <= 57)
    if not any(_DIGITS.match(body, at).end() - at >= step for at in suspects):  # type: ignore[union-attr]  # it matches anything
        return False
    if _LONG_DIGITS.search(body) is None:
        return False
    try:
        _values.decode(body)  # digits inside text are no number
    except ValueError:
        return True
    return False


def _has_many_keys(body: bytes) -> bool:
    """Builds the values of large records, which takes ten times their size for a moment; one request at a time."""
    large = (record for record in map(bytes, _records.decode(body)) if record.count(b":") > KEYS_MAX)
    return any(
        type(one) is dict and len(one) > KEYS_MAX
        for record in large
        for level in _levels([_values.decode(record)])
        for one in level
    )


def _levels(records: list[Any]) -> Iterator[list[dict[str, Any] | list[Any]]]:
    """The objects and arrays of each level of nesting, the records first."""
    level = records
    while level := [item for item in level if isinstance(item, (dict, list))]:
        yield level
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
