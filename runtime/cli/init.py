"""`edge init`: write a Worker to start from."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote

import click

from ..core.errors import EdgeError

TEMPLATES = Path(__file__).parent / "templates"
NAMES = ("hello", "events", "counter", "orders")
NAME_CHARACTERS_MAX = 63
IGNORED = ".edge/\n.dev.vars*\n.env*\n__pycache__/\n"
"""State and secrets, which do not belong into a repository."""


@click.command(name="init", help=__doc__)
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--template", type=click.Choice(NAMES), default="hello", show_default=True, help="What to start from.")
@click.option("--name", metavar="NAME", help="Name of the Worker; else made from the folder's.")
def command(folder: Path, template: str, name: str | None) -> None:
    if name is not None and name != worker_name(name):
        msg = f"{name!r} is no name for a Worker: use lowercase letters, digits and dashes, as {worker_name(name)!r}."
        raise EdgeError(msg)
    if folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is not empty. Name a new folder: edge init my-worker"
        raise EdgeError(msg)
    chosen = name or worker_name(folder.resolve().name)
    try:
        _write(folder, template, chosen)
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror or error}. Name another folder."
        raise EdgeError(msg) from error
    click.echo(f"Wrote {chosen} into {folder}. Next:\n")
    if folder.resolve() != Path.cwd():
        click.echo(f"  cd {quote(str(folder))}")
    click.echo("  edge dev")


def worker_name(text: str) -> str:
    """The nearest name that wrangler accepts: lowercase letters, digits, dashes."""
    dashed = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return dashed[:NAME_CHARACTERS_MAX].rstrip("-") or "worker"


def _write(folder: Path, template: str, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted((TEMPLATES / template).iterdir()):
        if source.is_file():
            (folder / source.name).write_text(_named(source.read_text(), template, name), encoding="utf-8")
    (folder / ".gitignore").write_text(IGNORED)


def _named(text: str, template: str, name: str) -> str:
    """The template's text with the Worker's name in the config and at the top of the README."""
    text = text.replace(f'"name": "{template}"', f'"name": "{name}"', 1)
    return re.sub(rf"\A# {template}\n", f"# {name}\n", text)
