"""The checked config as plain JSON, so that a cold start on Lambda parses and checks nothing.

`edge build --plan` freezes; the Lambda adapter thaws. A plan names the digests of the files it was made from and is
stale as soon as one of them differs; then the caller loads instead. Everything here is standard library.

A plan may be shipped and read by many, so it holds no secret: of secrets, and of settings written as
`{ env = "NAME" }`, only the names; thawing takes their values from the process environment. `vars` of the wrangler file
are in it as they are. Sections of edge.toml that bindings bring (streams, sinks ...) are left out: they declare what
one machine runs, and nothing on Lambda reads them. Files of values (.dev.vars, .env) are for development: neither they
nor their digests are needed where a plan is thawed. Paths are relative to the plan's folder.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ..runtime.core.errors import ConfigError
from .worker_config import AwsSettings, DevSettings, Limits, ServerSettings, Settings, WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PLAN_VERSION = 1
_SECTIONS = ("server", "limits", "aws")
_SETTINGS_NAMES = ("edge.toml", "edge.jsonc")


def plan_path(wrangler_file: Path, environment: str | None) -> Path:
    """Where the plan of a config and environment lies: wrangler.plan.json, wrangler.staging.plan.json."""
    middle = f".{environment}" if environment else ""
    return wrangler_file.with_name(f"{wrangler_file.stem}{middle}.plan.json")


def freeze(config: WorkerConfig, folder: Path) -> str:
    """The config as JSON text for a file in `folder`."""
    from dataclasses import asdict  # noqa: PLC0415 - costs a Lambda start 1 ms, and thawing needs none of it

    def relative(path: Path) -> str:
        return os.path.relpath(path, folder).replace(os.sep, "/")

    settings = {name: getattr(config.settings, name)._asdict() for name in _SECTIONS}
    references = {at: name for at, name in config.settings_references.items() if at.partition(".")[0] in _SECTIONS}
    for reference in references:
        _set(settings, reference.split("."), None)
    inputs = (config.path, *(config.path.with_name(name) for name in _SETTINGS_NAMES))
    plan = {
        "version": PLAN_VERSION,
        "inputs": {relative(path): _digest(path) for path in inputs},
        "path": relative(config.path),
        "main": relative(config.main) if config.main else None,
        "name": config.name,
        "environment": config.environment,
        "compatibility_date": config.compatibility_date,
        "compatibility_flags": config.compatibility_flags,
        "vars": config.declared_vars,
        "secret_names": sorted(config.secret_names),
        "bindings": {section: [asdict(entry) for entry in entries] for section, entries in config.bindings.items()},
        "unsupported": config.unsupported,
        "dev": config.dev._asdict(),
        "settings": settings,
        "settings_references": references,
        "warnings": config.warnings,
    }
    return json.dumps(plan, indent=2) + "\n"


def thaw(plan_file: Path, entry_type: Callable[[str], type[Any]]) -> WorkerConfig | None:
    """The config a plan holds; None when there is no usable plan, and the config has to be loaded.

    Unusable is: no such file, cut short, of another version, or made from other text than the files now hold.

    Args:
        entry_type: section -> its entry dataclass; asked for the plan's own sections only.

    Raises:
        ConfigError: the settings refer to an environment variable that is not set.
    """
    try:
        plan = json.loads(plan_file.read_bytes())
    except (OSError, ValueError):
        return None
    folder = plan_file.absolute().parent
    if not isinstance(plan, dict) or plan.get("version") != PLAN_VERSION:
        return None
    if any(_digest(folder / name) != digest for name, digest in plan["inputs"].items()):
        return None
    secrets = {name: os.environ[name] for name in plan["secret_names"] if name in os.environ}
    values = {**plan["vars"], **secrets}
    path = _inside(folder, plan["path"])
    return WorkerConfig(
        path=path,
        name=plan["name"],
        main=_inside(folder, plan["main"]) if plan["main"] else None,
        environment=plan["environment"],
        compatibility_date=plan["compatibility_date"],
        compatibility_flags=tuple(plan["compatibility_flags"]),
        vars=values,
        secret_names=frozenset(plan["secret_names"]),
        bindings={
            section: tuple(entry_type(section)(**_with_tuples(entry)) for entry in entries)
            for section, entries in plan["bindings"].items()
        },
        unsupported=plan["unsupported"],
        dev=DevSettings(**plan["dev"]),
        settings=_thawed_settings(plan["settings"], plan["settings_references"], values),
        files=tuple(_inside(folder, name) for name, digest in plan["inputs"].items() if digest),
        warnings=(*plan["warnings"], *_missing(plan["secret_names"], values)),
        declared_vars=plan["vars"],
        settings_references=plan["settings_references"],
    )


def _inside(folder: Path, name: str) -> Path:
    """Without the `..` of a plan that lies elsewhere than its config."""
    return type(folder)(os.path.normpath(folder / name))


def _digest(path: Path) -> str | None:
    """None for a file that is not there: an edge.toml added later makes a plan stale too."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _thawed_settings(settings: dict[str, Any], references: Mapping[str, str], variables: Mapping[str, Any]) -> Settings:
    for setting, name in references.items():
        value = variables.get(name, os.environ.get(name))
        if value is None:
            msg = f'"{setting}" refers to the environment variable {name}, which is not set. Set it for this process.'
            raise ConfigError(msg)
        _set(settings, setting.split("."), str(value))
    return Settings(
        server=ServerSettings(**_with_tuples(settings["server"])),
        limits=Limits(**settings["limits"]),
        aws=AwsSettings(**settings["aws"]),
    )


def _set(settings: dict[str, Any], steps: list[str], value: str | None) -> None:
    for step in steps[:-1]:
        settings = settings[step]
    settings[steps[-1]] = value


def _with_tuples(members: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples; frozen entries hold nothing else that is a list."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in members.items()}


def _missing(secret_names: list[str], values: Mapping[str, Any]) -> list[str]:
    missing = [name for name in secret_names if name not in values]
    return [f"Missing secrets: {', '.join(missing)}. Set them as environment variables."] if missing else []
