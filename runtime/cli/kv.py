"""`edge kv key`: read and write a namespace of the local state, with wrangler's option names."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...bindings.registry import opener_of, spec_of
from ...bindings.spec import Site
from ..core.errors import EdgeError
from ..hosts.local import LocalMachine
from ..hosts.logs import configure
from ..hosts.state_folder import prepare_state_folder
from ..serve import load_config
from .options import choice_of, config_options, state_folder_of, state_option

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ...wrangler_config.worker_config import WorkerConfig

SECTION = "kv_namespaces"


@click.group(name="kv", help=__doc__)
def command() -> None:
    pass


@command.group(name="key", help="Read and write the keys of a namespace.")
def key_commands() -> None:
    pass


def namespace_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which namespace, of which state."""
    for option in (
        state_option,
        config_options,
        click.option("--local", is_flag=True, hidden=True, help="Accepted for wrangler's sake: state is always local."),
        click.option("--preview/--no-preview", "is_preview", default=None, help="Use preview_id, as `edge dev` does."),
        click.option("--namespace-id", metavar="ID", help="Id of the namespace."),
        click.option("--binding", metavar="NAME", help="Name of the binding in the config."),
    ):
        function = option(function)
    return function


@key_commands.command(name="get")
@click.argument("key")
@click.option("--text", "is_text", is_flag=True, help="Write the value as text, with a line end.")
@namespace_options
def get(key: str, *, is_text: bool, **chosen: Any) -> None:
    """Write the value of KEY to standard output."""

    async def run() -> Any:
        async with _namespace(**chosen) as namespace:
            return await namespace.get(key, "arrayBuffer")

    value = asyncio.run(run())
    if value is None:
        raise EdgeError(f"Key {key!r} was not found.")
    if is_text:
        click.echo(bytes(value).decode("utf-8", "replace"))
    else:
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()


@key_commands.command(name="put")
@click.argument("key")
@click.argument("value", required=False)
@click.option(
    "--path", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Read the value from."
)
@click.option("--ttl", type=int, metavar="SECONDS", help="Expire after so long, at least 60.")
@click.option("--expiration", type=int, metavar="TIME", help="Expire at this Unix time.")
@click.option("--metadata", metavar="JSON", help="Keep this with the key.")
@namespace_options
def put(
    *,
    key: str,
    value: str | None,
    file: Path | None,
    ttl: int | None,
    expiration: int | None,
    metadata: str | None,
    **chosen: Any,
) -> None:
    """Write VALUE, or a file with --path, under KEY."""
    if (value is None) == (file is None):
        raise click.UsageError("Give the value, or --path with a file: one of them.")
    given = {"expirationTtl": ttl, "expiration": expiration, "metadata": _parse_metadata(metadata)}
    options = {name: option for name, option in given.items() if option is not None}
    content = file.read_bytes() if file else value

    async def run() -> None:
        async with _namespace(**chosen) as namespace:
            await namespace.put(key, content, options)

    asyncio.run(run())
    click.echo(f"Wrote {key!r}.", err=True)


@key_commands.command(name="list")
@click.option("--prefix", metavar="TEXT", help="Only keys that begin so.")
@namespace_options
def list_keys(prefix: str | None, **chosen: Any) -> None:
    """Write every key, with expiration and metadata, as a JSON array."""

    async def run() -> list[Any]:
        keys: list[Any] = []
        async with _namespace(**chosen) as namespace:
            options = {"prefix": prefix} if prefix else {}
            while True:
                page = await namespace.list(options)
                keys += page["keys"]
                if page["list_complete"]:
                    return keys
                options["cursor"] = page["cursor"]

    click.echo(json.dumps(asyncio.run(run()), indent=2, ensure_ascii=False))


@key_commands.command(name="delete")
@click.argument("key")
@namespace_options
def delete(key: str, **chosen: Any) -> None:
    """Delete KEY; a missing one is no error."""

    async def run() -> None:
        async with _namespace(**chosen) as namespace:
            await namespace.delete(key)

    asyncio.run(run())
    click.echo(f"Deleted {key!r}.", err=True)


@asynccontextmanager
async def _namespace(
    path: Path | None,
    environment: str | None,
    persist_to: Path | None,
    binding: str | None,
    namespace_id: str | None,
    *,
    is_preview: bool | None,
    local: bool,  # noqa: ARG001 - wrangler's scripts pass it
) -> AsyncIterator[Any]:
    """What the handler would hold, on the same files; a running `edge dev` or `edge serve` sees the change."""
    config = load_config(choice_of(path, environment))
    entry = _entry(config, binding, namespace_id, is_preview=is_preview)
    host = LocalMachine(
        prepare_state_folder(state_folder_of(config, persist_to)), configure("pretty", "warning").logger
    )
    try:
        async with opener_of(SECTION, "local")([entry], Site(host, config)) as opened:
            yield opened.env[entry.env_name]
    finally:
        await host.aclose()


def _entry(config: WorkerConfig, binding: str | None, namespace_id: str | None, *, is_preview: bool | None) -> Any:
    if (binding is None) == (namespace_id is None):
        raise click.UsageError("Name the namespace with --binding or with --namespace-id: one of them.")
    if namespace_id is not None:
        return spec_of(SECTION).entry(binding=namespace_id, id=namespace_id)
    entries = {entry.binding: entry for entry in config.bindings.get(SECTION, ())}
    entry = entries.get(binding)
    if entry is None:
        known = ", ".join(entries) or "none"
        raise EdgeError(f"{config.path.name} has no KV namespace bound as {binding!r} (there: {known}).")
    if entry.preview_id and entry.id and is_preview is None:
        raise EdgeError(f"{binding} has both id and preview_id: say which with --preview (edge dev) or --no-preview.")
    return entry if is_preview is False else entry.as_preview()


def _parse_metadata(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is not JSON: {error}.", param_hint="--metadata") from error
