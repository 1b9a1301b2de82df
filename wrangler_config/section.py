"""What the entry class of a binding section may declare; everything a binding needs of this package.

An entry is a frozen dataclass of the standard library whose fields are the section's keys: a field without default is
required, the annotation is the type, and a property `env_name` gives its name in `env`. `wrangler_config` checks the
types and words the errors as wrangler does:

    "kv_namespaces[0]" bindings should have a string "binding" field but got {"id":"x"}.

Two optional members say where wrangler words or checks a section differently:

- `PHRASES: ClassVar[dict[str, str]]`: field -> the verb phrase, where it is not "should have a" (required) or
  "should, optionally, have a".
- `problems(self, name, got) -> Iterator[Problem]`: what else is wrong with an entry whose types are right. `name` is
  the entry as messages call it ("pipelines[0]"), `got` its JSON as the file has it.
"""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """One finding about an entry, shown at `field` where the file has it."""

    text: str
    field: str | None = None
    is_error: bool = True
