"""`edge check`: report every problem of the config and of the handler file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from ...wrangler_config.diagnostics import ERROR_MARK, WARNING_MARK, bullet, warning_block
from ..core.errors import HandlerError
from ..error_trace import format_error
from ..hosts.state_folder import FOLDER_NAME
from ..serve import load_config, product_settings
from .handlers_in_text import handler_notes
from .options import choice_of, compat_option, config_options, vars_options
from .portability import Note, notes_on

if TYPE_CHECKING:
    from pathlib import Path

    from ...wrangler_config.section import Problem, ReadProducts
    from ...wrangler_config.worker_config import WorkerConfig


@click.command(name="check", help=__doc__)
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON Schema of edge.toml, for editors.")
@config_options
@vars_options
@compat_option
def command(
    path: Path | None, environment: str | None, *, wants_schema: bool, is_strict: bool, **variables: Any
) -> int:
    if wants_schema:
        from ...wrangler_config.settings_schema import settings_schema  # noqa: PLC0415 - for this option alone

        click.echo(json.dumps(settings_schema(product_settings()), indent=2))
        return 0
    choice = choice_of(path, environment, variables["overrides"], variables["env_files"], is_strict=is_strict)
    config = load_config(choice, further=_start_problems)
    blocks, has_errors = [warning_block(config)], False
    if config.main is not None:
        notes = _notes_on(config.main, config)
        has_errors = any(note.is_error for note in notes)
        blocks.append(_block(WARNING_MARK, config.main, [note for note in notes if not note.is_error]))
        blocks.append(_block(ERROR_MARK, config.main, [note for note in notes if note.is_error]))
    found = "\n\n".join(filter(None, blocks))
    click.echo(found or f"{_shown(config.path)}: no problems found.", err=bool(found))
    return int(has_errors)


def _start_problems(read: ReadProducts) -> list[Problem]:
    """What takes the SQL engine, or the state folder, to see."""
    from ...bindings.pipelines.declared_start import start_problems  # noqa: PLC0415 - only where something is declared

    return start_problems(read, read.place.folder / FOLDER_NAME / "state")


def _notes_on(file: Path, config: WorkerConfig) -> list[Note]:
    """The file is parsed, never run.

    Raises:
        HandlerError: it cannot be read or parsed.
    """
    try:
        source = file.read_bytes()
        compile(source, file, "exec", dont_inherit=True)
        return [*handler_notes(source, config), *notes_on(source, is_strict=config.is_strict)]
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes
        msg = f"{ERROR_MARK} {_shown(file)} cannot be parsed:\n\n{format_error(error)}"
        raise HandlerError(msg) from None
    except OSError as error:
        raise HandlerError(f"{_shown(file)} cannot be read: {error.strerror}.") from error


def _block(mark: str, file: Path, notes: list[Note]) -> str:
    if not notes:
        return ""
    lines = [bullet(f"{_shown(file)}:{note.line}:{note.column}: {note.text}") for note in notes]
    return f"{mark} Checking {_shown(file)}:\n" + "\n".join(lines)


def _shown(path: Path) -> str:
    """Short where it is below the current folder."""
    short = os.path.relpath(path)
    return str(path) if short.startswith("..") else short
