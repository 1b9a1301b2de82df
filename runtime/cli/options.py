"""Options that several commands share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..hosts.state_folder import FOLDER_NAME
from ..serve import ConfigChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...wrangler_config.worker_config import WorkerConfig

    Command = Callable[..., Any]

LEVELS = ("debug", "info", "warning", "error")
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def config_options(command: Command) -> Command:
    """`--config` and `--env`."""
    command = click.option("-e", "--env", "environment", metavar="NAME", help="Environment of the config to use.")(
        command
    )
    return click.option(
        "-c", "--config", "path", type=_FILE, metavar="FILE", help="Config to use; else found upwards."
    )(command)


def vars_options(command: Command) -> Command:
    """`--var` and `--env-file`."""
    command = click.option(
        "--env-file",
        "env_files",
        type=_FILE,
        multiple=True,
        metavar="FILE",
        help="Read vars from this file, not .dev.vars or .env.",
    )(command)
    return click.option(
        "--var",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parse_vars,
        help="Set a var (NAME:VALUE too).",
    )(command)


def state_option(command: Command) -> Command:
    """`--persist-to`."""
    return click.option(
        "--persist-to", type=_FOLDER, metavar="DIR", help=f"Keep state in DIR, not in {FOLDER_NAME}/ beside the config."
    )(command)


def listen_options(command: Command) -> Command:
    """`--ip`, `--port`, `--host-allow`, `--log-level`, `--log-format`: what `edge dev` and `edge serve` share."""
    for option in (
        click.option(
            "--log-format", type=click.Choice(["pretty", "json"]), default="pretty", help="How log lines look."
        ),
        click.option("--log-level", type=click.Choice(LEVELS), default="info", help="Least severe lines shown."),
        click.option("--host-allow", "hosts", multiple=True, metavar="HOST", help="Answer for this Host header too."),
        click.option("--ip", metavar="ADDR", help="Address to listen on; localhost is 127.0.0.1 and ::1."),
        click.option(
            "--port", type=click.IntRange(0, 65535), metavar="N", help="Port to listen on; 0 takes a free one."
        ),
    ):
        command = option(command)
    return command


def choice_of(
    path: Path | None,
    environment: str | None,
    overrides: dict[str, str] | None = None,
    env_files: tuple[Path, ...] = (),
) -> ConfigChoice:
    return ConfigChoice(path and path.absolute(), environment, overrides or {}, tuple(f.absolute() for f in env_files))


def state_folder_of(config: WorkerConfig, persist_to: Path | None) -> Path:
    return (persist_to or config.path.parent / FOLDER_NAME).absolute()


def _parse_vars(_ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, or wrangler's NAME:VALUE: whichever sign comes first."""
    parsed = {}
    for value in values:
        at = min((at for sign in "=:" if (at := value.find(sign)) > 0), default=0)
        if not at:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE.", param=option)
        parsed[value[:at]] = value[at + 1 :]
    return parsed
