"""Options that several commands share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import EdgeError
from ..hosts.state_folder import FOLDER_NAME
from ..serve import ConfigChoice

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...wrangler_config.worker_config import WorkerConfig

    Command = Callable[..., Any]

STRICT = "strict"
COMPATS = ("edge", STRICT)
LEVELS = ("debug", "info", "warning", "error")
FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def config_options(command: Command) -> Command:
    """`--config` and `--env`."""
    command = click.option("-e", "--env", "environment", metavar="NAME", help="Environment of the config to use.")(
        command
    )
    return click.option("-c", "--config", "path", type=FILE, metavar="FILE", help="Config to use; else found upwards.")(
        command
    )


def vars_options(command: Command) -> Command:
    """`--var` and `--env-file`."""
    command = click.option(
        "--env-file",
        "env_files",
        type=FILE,
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


def compat_option(command: Command) -> Command:
    """`--compat`, as the flag that it sets."""
    return click.option(
        "--compat",
        "is_strict",
        type=click.Choice(COMPATS),
        default=COMPATS[0],
        callback=lambda _ctx, _option, value: value == STRICT,
        help="strict: only what Cloudflare has too; all else is an error that says what to write.",
    )(command)


def state_option(command: Command) -> Command:
    """`--persist-to`."""
    return click.option(
        "--persist-to", type=_FOLDER, metavar="DIR", help=f"Keep state in DIR, not in {FOLDER_NAME}/ beside the config."
    )(command)


def where_options(command: Command) -> Command:
    """`--config`, `--env` and `--persist-to`: which state."""
    return config_options(state_option(command))


def list_options(command: Command) -> Command:
    """`--page`, `--per-page` and `--json`, as wrangler's lists have them."""
    for option in (
        click.option("--json", "is_json", is_flag=True, help="As a JSON array."),
        click.option("--per-page", type=click.IntRange(1, 100), default=20, metavar="N", help="How many on a page."),
        click.option("--page", type=click.IntRange(1), default=1, metavar="N", help="Which page."),
    ):
        command = option(command)
    return command


def delete_options(command: Command) -> Command:
    """`-y` and `--force`, which mean the same, as in wrangler."""
    return click.option("-y", "--force", "is_sure", is_flag=True, help="Do not ask.")(command)


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


class WranglerCommand(click.Command):
    """A command whose flags also take wrangler's `--http-auth=false` and `--http-auth false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = {
            name for one in self.params if isinstance(one, click.Option) and one.secondary_opts for name in one.opts
        }
        plain: list[str] = []
        for arg in args:
            name, _, value = arg.partition("=")
            if name in flags and value in {"true", "false"}:
                plain.append(name if value == "true" else f"--no-{name.removeprefix('--')}")
            elif plain and plain[-1] in flags and arg in {"true", "false"}:
                plain[-1] = plain[-1] if arg == "true" else f"--no-{plain[-1].removeprefix('--')}"
            else:
                plain.append(arg)
        return super().parse_args(ctx, plain)


def choice_of(
    path: Path | None,
    environment: str | None,
    overrides: dict[str, str] | None = None,
    env_files: tuple[Path, ...] = (),
    *,
    is_strict: bool = False,
    hosts: tuple[str, ...] = (),
) -> ConfigChoice:
    files = tuple(file.absolute() for file in env_files)
    return ConfigChoice(path and path.absolute(), environment, overrides or {}, files, is_strict, hosts)


def state_folder_of(config: WorkerConfig, persist_to: Path | None) -> Path:
    return (persist_to or config.path.parent / FOLDER_NAME).absolute()


def read_text(file: Path) -> str:
    """A file the command line names.

    Raises:
        EdgeError: it cannot be read, or is no UTF-8.
    """
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise EdgeError(f"{file} is not UTF-8: byte {error.start} starts no character. Save it as UTF-8.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise EdgeError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _parse_vars(_ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, or wrangler's NAME:VALUE: whichever sign comes first."""
    parsed = {}
    for value in values:
        at = min((at for sign in "=:" if (at := value.find(sign)) > 0), default=0)
        if not at:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE.", param=option)
        parsed[value[:at]] = value[at + 1 :]
    return parsed
