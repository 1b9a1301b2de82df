"""What the commands of streams, sinks and pipelines share: where the state is, asking before deleting, output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ...bindings.pipelines.admin import PipelinesAdmin
from ...bindings.pipelines.catalogue import NoSuchObjectError
from ...wrangler_config.worker_config import DevSettings
from ..core.errors import EdgeError
from ..hosts.logs import printable
from ..hosts.state_folder import prepare_state_folder
from ..serve import load_config
from .options import choice_of, config_options, state_folder_of, state_option
from .served_url import find_served_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...bindings.pipelines.objects import PipelineObject, SinkObject, StreamObject

    Command = Callable[..., Any]
    T = TypeVar("T", StreamObject, SinkObject, PipelineObject)

FILE = click.Path(path_type=Path, dir_okay=False)


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


def open_admin(path: Path | None, environment: str | None, persist_to: Path | None) -> PipelinesAdmin:
    """The state folder that is meant, made when it is not there; with --persist-to no config is needed."""
    if persist_to is not None:
        return PipelinesAdmin.of(prepare_state_folder(persist_to.absolute()))
    config = load_config(choice_of(path, environment))
    return PipelinesAdmin.of(prepare_state_folder(state_folder_of(config, None)))


def origin_of(path: Path | None, environment: str | None, persist_to: Path | None) -> str:
    """Where the state folder is served; when it is not, where `edge dev` would listen with this config."""
    if persist_to is not None:
        folder, dev = persist_to.absolute(), DevSettings()
    else:
        config = load_config(choice_of(path, environment))
        folder, dev = state_folder_of(config, None), config.dev
    return find_served_url(folder) or f"http://{dev.ip}:{dev.port}"


def require(kind: Any, id_or_name: str, find: Callable[[str], T | None], known: Callable[[], Sequence[T]]) -> T:
    """The object of this id or name.

    Raises:
        NoSuchObjectError: there is none; the text names those there are.
    """
    if (found := find(id_or_name)) is None:
        raise NoSuchObjectError(kind, id_or_name, (one.name for one in known()))
    return found


NOT_DELETED = "Nothing was deleted: there is no terminal to ask on. Pass -y to delete it."


def confirm(question: str, *, is_sure: bool, otherwise: str = NOT_DELETED) -> None:
    """Ask before something is done that cannot be undone; `otherwise` is said where there is nobody to ask.

    Raises:
        EdgeError: there is nobody to ask.
        click.Abort: the answer is no.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise EdgeError(f"{question}\n{otherwise}")
    click.confirm(question, abort=True, err=True)


def say_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell; names cannot drive the terminal."""
    lines = [head, *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def say_fields(fields: Sequence[tuple[str, str]]) -> None:
    """`name: value` lines, values below each other; a value of several lines is indented."""
    width = max(len(name) for name, _ in fields) + 1
    for name, value in fields:
        text = "\n".join(map(printable, value.split("\n"))).replace("\n", "\n" + " " * (width + 1))
        click.echo(f"{f'{name}:':<{width}} {text}")


def page_of(objects: Sequence[T], page: int, per_page: int) -> Sequence[T]:
    return objects[(page - 1) * per_page : page * per_page]


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
