"""`edge check`: report every problem of the config and of the handler file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from ...wrangler_config.diagnostics import ERROR_MARK, WARNING_MARK, bullet, warning_block
from ...wrangler_config.find import find_settings_file
from ...wrangler_config.parse import read_document
from ..core.errors import ConfigError, HandlerError
from ..error_trace import format_error
from ..serve import load_config, product_settings
from .options import choice_of, config_options, state_folder_of, vars_options
from .portability import notes_on

if TYPE_CHECKING:
    from pathlib import Path

    from ...wrangler_config.parse import Document
    from ...wrangler_config.section import Problem
    from ...wrangler_config.worker_config import WorkerConfig


@click.command(name="check", help=__doc__)
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON Schema of edge.toml, for editors.")
@config_options
@vars_options
def command(path: Path | None, environment: str | None, *, wants_schema: bool, **variables: Any) -> None:
    if wants_schema:
        from ...wrangler_config.settings_schema import settings_schema  # noqa: PLC0415 - for this option alone

        click.echo(json.dumps(settings_schema(product_settings()), indent=2))
        return
    config = load_config(choice_of(path, environment, variables["overrides"], variables["env_files"]))
    blocks = [warning_block(config)]
    if config.settings.products:
        _check_pipelines(config)
    if config.main is not None:
        blocks.append(_check_handler(config.main))
    found = "\n\n".join(filter(None, blocks))
    click.echo(found or f"{_shown(config.path)}: no problems found.", err=bool(found))


def _check_pipelines(config: WorkerConfig) -> None:
    """What takes the SQL engine, or the state folder, to see.

    Raises:
        ConfigError: SQL does not fit the columns of its stream, or a schema differs from the stream's there is.
    """
    from ...bindings.pipelines.declared_start import start_problems  # noqa: PLC0415 - only where something is declared

    if problems := start_problems(config, state_folder_of(config, None) / "state"):
        file = find_settings_file(config.path.parent)
        assert file is not None, "something is declared"
        document = read_document(file)
        lines = "\n".join(bullet(_with_place(one, document, config.environment)) for one in problems)
        raise ConfigError(f"{ERROR_MARK} Checking what {document.name} declares:\n{lines}")


def _with_place(problem: Problem, document: Document, environment: str | None) -> str:
    if not problem.at:
        return problem.text
    chosen = ("env", environment or "", *problem.at)
    return f"{document.where(chosen if chosen[:3] in document.offsets else problem.at)}: {problem.text}"


def _check_handler(file: Path) -> str:
    """The file is parsed, never run.

    Raises:
        HandlerError: it cannot be read or parsed.
    """
    try:
        source = file.read_bytes()
        compile(source, file, "exec", dont_inherit=True)
        notes = notes_on(source)
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes
        msg = f"{ERROR_MARK} {_shown(file)} cannot be parsed:\n\n{format_error(error)}"
        raise HandlerError(msg) from None
    except OSError as error:
        raise HandlerError(f"{_shown(file)} cannot be read: {error.strerror}.") from error
    if not notes:
        return ""
    lines = [bullet(f"{_shown(file)}:{note.line}:{note.column}: {note.text}") for note in notes]
    return f"{WARNING_MARK} Checking {_shown(file)}:\n" + "\n".join(lines)


def _shown(path: Path) -> str:
    """Short where it is below the current folder."""
    short = os.path.relpath(path)
    return str(path) if short.startswith("..") else short
