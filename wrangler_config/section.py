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

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


class Problem(NamedTuple):
    """One finding about an entry, shown at `field` where the file has it."""

    text: str
    field: str | None = None
    is_error: bool = True
    at: tuple[str | int, ...] = ()
    """In edge.toml: where the value is, from the section down: ("sinks", "far", "path")."""


class SettingsPlace(NamedTuple):
    """What a product may want to know when its sections of edge.toml are checked."""

    folder: Path
    """Of edge.toml; relative paths in it begin here."""
    wrangler_file: str
    bindings: Mapping[str, tuple[Any, ...]] | None
    """As in WorkerConfig; None when the wrangler file has errors."""
    main: Path | None = None
    """The Worker's file."""
    is_strict: bool = False
    """`--compat strict`: what works on Edge only is a problem."""


class ReadProducts(NamedTuple):
    """What could be read of the products' sections, for a check that looks further than every start does."""

    products: Mapping[str, Any]
    """As `ProductSettings.problems` gets them, of all products together."""
    place: SettingsPlace
    is_right: Callable[[tuple[str | int, ...]], bool]
    """Whether no error was told of a value or of anything inside it; places as in `Problem.at`."""


class RestType(NamedTuple):
    """What the members of an entry are checked against that its own dataclass has no field for."""

    cls: type[Any]
    secrets: tuple[str, ...]
    """Fields that are only taken as a reference, `{ env = "NAME" }`, or whose strings are."""


class ProductSettings(NamedTuple):
    """What sections of edge.toml a binding brings.

    A type is `Mapping[str, D]` for `[section.NAME]`, `tuple[D, ...]` for `[[section]]`, or D itself, where D is a
    frozen dataclass of the standard library. D may declare

    - `REST: ClassVar[str]`: the field that takes every member D has no field for, with `rest_type(members)`, a
      classmethod: a RestType, a Problem, or None to leave them unchecked; `rest_types()`, another, gives all by `type`.
    - `MISPLACED: ClassVar[frozenset[str]]`: keys that belong in the wrangler file.

    Any dataclass in D may declare `SECRETS: ClassVar[tuple[str, ...]]`: fields as RestType has them.
    """

    types: Mapping[str, Any]
    problems: Callable[[Mapping[str, Any], SettingsPlace], Iterable[Problem]]
    """What types cannot say, of all sections together: given what was read, by section; an unusable entry is None."""
    files: Callable[[Mapping[str, Any], Path], Iterable[Path]] = lambda _products, _folder: ()
    """The files that sections without problems name, relative to a folder: what a reload watches."""
