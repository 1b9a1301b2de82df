"""What a token allows, by Cloudflare's names: a product, then Read, Write or Send. Old and new names mean the same.

Source: Cloudflare docs, "API token permissions"; spec "Cloudflare API", 1.5; decision 12.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from ...runtime.core.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Collection

READ, WRITE, SEND = "Read", "Write", "Send"
EVERYTHING = "All"
"""`All Write` allows every call, `All Read` every call that changes nothing."""

PRODUCTS: dict[str, tuple[str, ...]] = {
    EVERYTHING: (),
    "Account Settings": (),
    "D1": (),
    "Pipelines": ("Workers Pipelines", "Workers Pipeline", "Basin Pipelines"),
    "Queues": (),
    "Stream": (),
    "Workers KV Storage": (),
    "Workers R2 Storage": (),
    "Workers Scripts": (),
    "Workers Tail": (),
}
"""Name in use here -> other names Cloudflare gives or gave it."""

LEVELS = {READ: READ, WRITE: WRITE, "Edit": WRITE, SEND: SEND}
"""The dashboard says Edit where the API says Write."""
_SENDING = frozenset({"Pipelines"})


class TokenError(EdgeError):
    """Raised when a token cannot be made or found as asked: an unknown permission, id, or span of life."""

    http_status = 400


def _spellings() -> dict[str, str]:
    return {
        f"{spelling} {level}".lower(): f"{product} {meant}"
        for product, others in PRODUCTS.items()
        for spelling in (product, *others)
        for level, meant in LEVELS.items()
        if meant != SEND or product in _SENDING
    }


_CANONICAL = _spellings()

PIPELINES_SEND = "Pipelines Send"
PIPELINES_READ = "Pipelines Read"
PIPELINES_WRITE = "Pipelines Write"
ACCOUNT_READ = "Account Settings Read"
SCRIPTS_READ = "Workers Scripts Read"
SCRIPTS_WRITE = "Workers Scripts Write"
_GRANTS_TOO = {SCRIPTS_READ: "Workers Tail Read"}
"""What is allowed by another permission as well. Source: Cloudflare API reference, "Workflows"."""


def canonical_permission(name: str) -> str:
    """The name in use here of a permission in any of its spellings, case aside.

    Raises:
        TokenError: there is no such permission; the text has the nearest one.
    """
    asked = " ".join(name.split()).lower()
    if asked in _CANONICAL:
        return _CANONICAL[asked]
    near = get_close_matches(asked, _CANONICAL, n=1, cutoff=0.5)
    hint = f"Did you mean {_CANONICAL[near[0]]!r}? " if near else ""
    raise TokenError(f"There is no permission {name!r}. {hint}There are: {', '.join(permission_names())}.")


def permission_names() -> tuple[str, ...]:
    """Every permission by the name in use here, sorted."""
    return tuple(sorted(set(_CANONICAL.values())))


def is_permitted(held: Collection[str], wanted: str) -> bool:
    """Whether canonical permissions allow what `wanted` (canonical too) names. Write allows reading, not sending."""
    product, _, level = wanted.rpartition(" ")
    if wanted in held or _GRANTS_TOO.get(wanted) in held or f"{EVERYTHING} {WRITE}" in held:
        return True
    return level == READ and (f"{product} {WRITE}" in held or f"{EVERYTHING} {READ}" in held)
