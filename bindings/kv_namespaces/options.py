"""The options of KV's calls, checked in Cloudflare's order with Cloudflare's texts.

Source: spec "Handler-side contract", 6.1; cloudflare/workers-sdk, packages/miniflare/src/workers/kv.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...runtime.core.errors import BindingError
from ...runtime.core.js_values import js_string, jsnull, utf8
from .values import to_json

KEY_BYTES_MAX = 512
CACHE_TTL_S_MIN = 30
EXPIRATION_TTL_S_MIN = 60
INTEGER_MAX = 2**53 - 1
"""The largest integer a JavaScript number holds exactly."""
METADATA_BYTES_MAX = 1024
LIST_COUNT_MAX = 1000
BULK_COUNT_MAX = 100


def failed(call: str, status: int, reason: str) -> BindingError:
    """What KV's service refused: call is GET, GET_BULK, PUT or DELETE."""
    return BindingError(f"KV {call} failed: {status} {reason}")


def key_bytes(key: Any, call: str) -> bytes:
    """The key's name in UTF-8.

    Raises:
        BindingError: empty, "." or "..", or too long.
    """
    name = _text(key)
    if not name:
        raise BindingError("Key name cannot be empty.", name="TypeError")
    if name in {".", ".."}:
        raise BindingError(f'"{name}" is not allowed as a key name.', name="TypeError")
    return _short(name, call)


def bulk_keys(keys: Sequence[Any], kind: str) -> dict[str, bytes]:
    """Name -> UTF-8, each once, in the order asked for.

    Raises:
        BindingError: too few or too many, a name that cannot be, or a type that bulk reads do not have.
    """
    if kind not in {"text", "json"}:
        raise failed("GET_BULK", 400, f'"{kind}" is not a valid type. Use "json" or "text"')
    if len(keys) > BULK_COUNT_MAX:
        raise failed("GET_BULK", 400, f"You can request a maximum of {BULK_COUNT_MAX} keys")
    if not keys:
        raise failed("GET_BULK", 400, "You must request a minimum of 1 key")
    names = [_text(key) for key in keys]
    for name in names:
        if not name:
            raise failed("GET_BULK", 400, "Key names must not be empty")
        if name in {".", ".."}:
            raise failed("GET_BULK", 400, f'Illegal key name "{name}". Please use a different name.')
    return {name: _short(name, "GET_BULK") for name in names}


def merged(options: Any, keywords: Mapping[str, Any]) -> Mapping[str, Any]:
    """A call's options object and keywords as one; None as a value means not given.

    Raises:
        BindingError: `options` is no object.
    """
    if options is None or options is jsnull:
        return keywords
    if not isinstance(options, Mapping):
        raise BindingError(f"Options must be an object, got {type(options).__name__}.", name="TypeError")
    return {**options, **keywords}


def get_kind(options: Any, keywords: Mapping[str, Any], call: str) -> str:
    """The type of a get; `options` may be that type.

    Raises:
        BindingError: cacheTtl is too small.
    """
    given = merged({"type": options} if isinstance(options, str) else options, keywords)
    if given.get("cacheTtl") is not None and (cache_ttl_s := _integer(given["cacheTtl"])) < CACHE_TTL_S_MIN:
        raise failed(call, 400, f"Invalid cache_ttl of {cache_ttl_s}. Cache TTL must be at least {CACHE_TTL_S_MIN}.")
    kind = given.get("type")
    return "text" if kind is None else js_string(kind)


@dataclass(frozen=True, slots=True)
class PutOptions:
    """What stands beside a value."""

    metadata: str | None
    expires_at: float | None


def put_options(options: Any, keywords: Mapping[str, Any], now: float) -> PutOptions:
    """The options of a put.

    Raises:
        BindingError: an expiration too near, or metadata too large.
    """
    given = merged(options, keywords)
    expires_at = _expires_at(given, now)
    metadata = given.get("metadata")
    if metadata is None or metadata is jsnull:
        return PutOptions(None, expires_at)
    text = to_json(metadata)
    if (size_bytes := len(text.encode())) > METADATA_BYTES_MAX:
        raise failed("PUT", 413, f"Metadata length of {size_bytes} exceeds limit of {METADATA_BYTES_MAX}.")
    return PutOptions(text, expires_at)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which keys to list."""

    prefix: bytes
    cursor: str
    limit: int


def list_options(options: Any, keywords: Mapping[str, Any]) -> ListOptions:
    """The options of a list.

    Raises:
        BindingError: the limit or the prefix is too large.
    """
    given = merged(options, keywords)
    limit = _integer(given["limit"]) if given.get("limit") is not None else LIST_COUNT_MAX
    if limit > LIST_COUNT_MAX:
        reason = f"Invalid key_count_limit of {limit}. Please specify an integer less than {LIST_COUNT_MAX}."
        raise failed("GET", 400, reason)
    return ListOptions(
        prefix=_short(_text(given["prefix"]), "GET") if given.get("prefix") is not None else b"",
        cursor=_text(given["cursor"]) if given.get("cursor") is not None else "",
        limit=limit if limit > 0 else LIST_COUNT_MAX,
    )


def _expires_at(given: Mapping[str, Any], now: float) -> float | None:
    if given.get("expirationTtl") is not None:
        ttl_s = _integer(given["expirationTtl"])
        invalid = f"Invalid expiration_ttl of {ttl_s}. "
        if ttl_s <= 0:
            raise failed("PUT", 400, f"{invalid}Please specify integer greater than 0.")
        if ttl_s < EXPIRATION_TTL_S_MIN:
            raise failed("PUT", 400, f"{invalid}Expiration TTL must be at least {EXPIRATION_TTL_S_MIN}.")
        if ttl_s > INTEGER_MAX:
            raise failed("PUT", 400, f"{invalid}Please specify integer up to {INTEGER_MAX}.")
        return math.ceil(now + ttl_s)  # whole seconds, as list shows them; never early
    if given.get("expiration") is not None:
        expiration = _integer(given["expiration"])
        invalid = f"Invalid expiration of {expiration}. "
        if expiration <= math.floor(now):
            at_least = "Please specify integer greater than the current number of seconds since the UNIX epoch."
            raise failed("PUT", 400, f"{invalid}{at_least}")
        if expiration < math.floor(now) + EXPIRATION_TTL_S_MIN:
            soonest = f"Expiration times must be at least {EXPIRATION_TTL_S_MIN} seconds in the future."
            raise failed("PUT", 400, f"{invalid}{soonest}")
        if expiration > INTEGER_MAX:
            raise failed("PUT", 400, f"{invalid}Please specify integer up to {INTEGER_MAX}.")
        return expiration
    return None


def _integer(value: Any) -> int:
    """A JavaScript value as an integer: text and fractions are converted, what is no number is 0."""
    try:
        return int(float(value) if isinstance(value, (str, float)) else value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _text(value: Any) -> str:
    if isinstance(value, (str, int, float)) or value is None or value is jsnull:
        return js_string(value)
    raise TypeError(f"{type(value)} is no key name, prefix or cursor: KV takes text.")


def _short(name: str, call: str) -> bytes:
    encoded = utf8(name)
    if len(encoded) > KEY_BYTES_MAX:
        reason = f"UTF-8 encoded length of {len(encoded)} exceeds key length limit of {KEY_BYTES_MAX}."
        raise failed(call, 414, reason)
    return encoded
