"""What the entry class of a binding section may declare; everything a binding needs of this package.

An entry is a frozen dataclass of the standard library whose fields are the section's keys: a field without default is
required, the annotation is the type. `wrangler_config` checks the types and words the errors as wrangler does:

    "kv_namespaces[0]" bindings should have a string "binding" field but got {"id":"x"}.

Two optional members say where wrangler words or checks a section differently:

- `PHRASES`: field -> the verb phrase, where it is not "should have a" (required) or "should, optionally, have a".
- `problems(name, got)`: what else is wrong with an entry whose types are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about an entry, shown at `field` where the file has it."""

    text: str
    field: str | None = None
    is_error: bool = True


class SectionEntry(Protocol):
    """An entry as the rest of Edge sees it."""

    @property
    def env_name(self) -> str:
        """The name in `env`."""


class CheckedEntry(SectionEntry, Protocol):
    """An entry with checks of its own."""

    def problems(self, name: str, got: str) -> Iterator[Problem]:
        """`name` is the entry as messages call it ("pipelines[0]"), `got` its JSON as the file has it."""
