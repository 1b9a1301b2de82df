"""Vars and secrets: who wins, and which values are secret.

Lowest to highest (spec "wrangler configuration", section 6):

1. `vars` of the chosen environment: strings or JSON values
2. `.dev.vars.<env>`, else `.dev.vars`; only where neither exists `.env`, `.env.local`, `.env.<env>`,
   `.env.<env>.local`, merged; `--env-file` replaces them all. Always strings, always secret.
3. `--var NAME:value`

With `secrets.required` the files only give names that `vars` has or the list names, and the process environment gives
what is missing. Source: workers-sdk packages/wrangler/src/dev/dev-vars.ts and config/dot-env.ts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .dotenv import expand, parse_dotenv
from .parse import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INCLUDE_PROCESS = "CLOUDFLARE_INCLUDE_PROCESS_ENV"
LOAD_DOT_ENV = "CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV"


@dataclass(frozen=True, slots=True)
class Variables:
    """What `env` gets besides bindings."""

    values: Mapping[str, Any]
    secret_names: frozenset[str]
    files: tuple[Path, ...]
    missing: tuple[str, ...]
    """Names in `secrets.required` that nothing gave a value."""


@dataclass(frozen=True, slots=True)
class VariableSources:
    """Where values may come from beside the wrangler file."""

    folder: Path
    environment: str | None
    env_files: Sequence[Path]
    overrides: Mapping[str, str]


def resolve_variables(
    declared: Mapping[str, Any], required: Sequence[str] | None, sources: VariableSources
) -> Variables:
    """The values in force.

    Args:
        declared: `vars` of the chosen environment.
        required: `secrets.required`; None where the config has no `secrets`.

    Raises:
        ConfigError: a file of values cannot be read.
    """
    files, secrets = _from_files(sources)
    if required is not None:
        wanted = {*declared, *required}
        secrets = {name: value for name, value in secrets.items() if name in wanted}
        secrets.update({n: os.environ[n] for n in required if n not in secrets and n in os.environ})
    values = {**declared, **secrets, **sources.overrides}
    missing = tuple(name for name in required or () if name not in values)
    return Variables(values, frozenset(secrets) | frozenset(required or ()), files, missing)


def _from_files(sources: VariableSources) -> tuple[tuple[Path, ...], dict[str, str]]:
    """The files that count, and their values."""
    if sources.env_files:
        return tuple(sources.env_files), _merged(sources.env_files)
    suffixes = [f".{sources.environment}"] if sources.environment else []
    for name in (*(f".dev.vars{suffix}" for suffix in suffixes), ".dev.vars"):
        path = sources.folder / name
        if path.exists():
            return (path,), parse_dotenv(read_text(path))
    if os.environ.get(LOAD_DOT_ENV, "").lower() == "false":
        return (), {}
    names = (".env", ".env.local", *(f".env{s}{local}" for s in suffixes for local in ("", ".local")))
    found = tuple(path for name in names if (path := sources.folder / name).exists())
    return found, _merged(found)


def _merged(files: Sequence[Path]) -> dict[str, str]:
    """Later files win; the process environment is below them all, when it is asked for."""
    process = dict(os.environ) if os.environ.get(INCLUDE_PROCESS, "").lower() == "true" else {}
    merged: dict[str, str] = {}
    for path in files:
        merged.update(parse_dotenv(read_text(path)))
    return {**process, **expand(merged, process)}
