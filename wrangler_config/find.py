"""Which file, and which environment: wrangler's search, and Edge's own settings beside the wrangler file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..runtime.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT_VARIABLE = "CLOUDFLARE_ENV"
WRANGLER_NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
SETTINGS_NAMES = ("edge.toml", "edge.jsonc")


def find_wrangler_file(start: Path) -> Path:
    """The config a command in folder `start` means: each name is sought through all parents before the next name.

    So wrangler.json two folders up wins over wrangler.toml here, as in wrangler.

    Raises:
        ConfigError: there is none.
    """
    folders = (start, *start.parents)
    for name in WRANGLER_NAMES:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    from .diagnostics import ERROR_MARK, shown  # noqa: PLC0415 - a Lambda start with a plan has nothing to report

    msg = (
        f"{ERROR_MARK} No wrangler.json, wrangler.jsonc or wrangler.toml in {shown(start)} or a folder above it.\n\n"
        "    Start a project with `edge init`, or name a file with --config."
    )
    raise ConfigError(msg)


def overlooked_files(chosen: Path, start: Path) -> list[Path]:
    """Other wrangler files beside `chosen` or in `start`: the person may have meant one of them."""
    folders = dict.fromkeys((start, chosen.parent))
    return [f for folder in folders for name in WRANGLER_NAMES if (f := folder / name).is_file() and f != chosen]


def find_settings_file(folder: Path) -> Path | None:
    """edge.toml or edge.jsonc beside the wrangler file.

    Raises:
        ConfigError: both are there.
    """
    found = [folder / name for name in SETTINGS_NAMES if (folder / name).exists()]
    if len(found) > 1:
        from .diagnostics import ERROR_MARK, shown  # noqa: PLC0415 - as above

        msg = (
            f"{ERROR_MARK} Both {shown(found[0])} and {shown(found[1])} exist.\n\n"
            "    Edge reads one settings file. Move everything into one of them and delete the other."
        )
        raise ConfigError(msg)
    return found[0] if found else None


def find_environment(asked: str | None) -> str | None:
    """The environment that `--env asked` means: None asks CLOUDFLARE_ENV, "" is the top level, which is None."""
    return (os.environ.get(ENVIRONMENT_VARIABLE) if asked is None else asked) or None
