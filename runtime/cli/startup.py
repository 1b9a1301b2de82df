"""From the command line to a Worker that may be opened, and what the console shows on the way."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import click

from ..core.reserved import API_PATH, INGEST_PATH
from ..environment import VARIABLE
from ..hosts.logs import configure, printable
from ..hosts.redaction import is_secret_name
from ..hosts.state_folder import prepare_state_folder
from ..serve import load_config
from .options import choice_of, state_folder_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ...wrangler_config.worker_config import WorkerConfig
    from ..environment import BindingRow
    from ..hosts.logs import Logs
    from ..serve import ConfigChoice


@dataclass(frozen=True, slots=True)
class Start:
    """What `edge dev` and `edge serve` know before they open anything."""

    choice: ConfigChoice
    config: WorkerConfig
    folder: Path
    """`.edge/`, held by one of them at a time."""
    state_dir: Path
    ip: str
    port: int
    logs: Logs

    @property
    def drain_seconds(self) -> float:
        return self.config.settings.limits.drain_seconds

    def open_sockets(self) -> list[socket.socket]:
        from ..adapters.listening import open_sockets  # noqa: PLC0415 - an adapter, where it is needed

        return open_sockets(self.ip, self.port)


def prepare(options: Mapping[str, Any]) -> Start:
    """Read the config, make the state folder, start logging, say what there is to warn of.

    Raises:
        ConfigError: the config cannot be used.
        BackendError: the state folder cannot be used.
    """
    choice = choice_of(
        options["path"],
        options["environment"],
        options["overrides"],
        options["env_files"],
        is_strict=options["is_strict"],
        hosts=options["hosts"],
    )
    config = load_config(choice)
    say_warnings(config)
    say_value_files(config)
    folder = state_folder_of(config, options["persist_to"])
    state_dir = prepare_state_folder(folder)
    ip = options["ip"] or config.dev.ip
    warn_if_reachable(ip)
    port = config.dev.port if options["port"] is None else options["port"]
    logs = configure(options["log_format"], options["log_level"])
    hide_secrets(config, logs)
    return Start(choice, config, folder, state_dir, ip, port, logs)


def hide_secrets(config: WorkerConfig, logs: Logs) -> None:
    """Keep the values of secrets, and of what edge.toml refers to, out of every log line."""
    values = {**os.environ, **config.vars}
    names = {*config.secret_names, *config.settings_references.values()}
    logs.hide(str(values[name]) for name in names if name in values)


def say_warnings(config: WorkerConfig) -> None:
    """On standard error, as wrangler lays them out."""
    from ...wrangler_config.diagnostics import warning_block  # noqa: PLC0415 - warnings are rare

    if config.warnings:
        click.echo(warning_block(config) + "\n", err=True)


def say_value_files(config: WorkerConfig) -> None:
    """The files that vars and secrets were read from, in wrangler's words."""
    for path in config.value_files:
        say(printable(f"Using secrets defined in {path.name}"))


def say_bindings(rows: Sequence[BindingRow], unsupported: Mapping[str, str]) -> None:
    """`env.NAME (resource)  kind  mode`, as wrangler prints them."""
    table = [(f"env.{row.name}{_bracketed(_unless_secret(row))}", row.kind, "local") for row in rows]
    table += [(f"env.{name}", section, "not supported") for name, section in unsupported.items()]
    if not table:
        return
    table.insert(0, ("Binding", "Resource", "Mode"))
    widths = [max(len(line[column]) for line in table) for column in range(2)]
    say("Your Worker has access to the following bindings:")
    for name, kind, mode in table:
        say(printable(f"  {name:<{widths[0]}}  {kind:<{widths[1]}}  {mode}"))


def say(text: str) -> None:
    """A line for the person who started the command; a closed pipe or terminal is nobody's loss."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 - stays open in place of the terminal


def say_state(folder: Path) -> None:
    say(f"State is in {folder}")


def say_endpoints(config: WorkerConfig, url: str) -> None:
    """Where the declared streams take records."""
    streams = config.settings.products.get("streams", {})
    if names := [name for name, declared in streams.items() if declared.http.enabled]:
        say("Streams take records (POST, a JSON array) on:")
        for name in names:
            say(printable(f"  {url}{INGEST_PATH}/{name}"))


def say_api(url: str, account_id: str) -> None:
    """How wrangler and the SDK are pointed at this server; said when something asks its API for the first time."""
    base = f"{url}{API_PATH}/client/v4"
    say("The REST API was asked. To point wrangler and the cloudflare SDK at it:")
    say(f"  export CLOUDFLARE_API_BASE_URL={base} CLOUDFLARE_BASE_URL={base}")
    say(f"  export CLOUDFLARE_ACCOUNT_ID={account_id}")
    say('  export CLOUDFLARE_API_TOKEN=$(edge token create --permission "All Write")')


def url_of(opened: socket.socket) -> str:
    """Where a socket is reached: `http://127.0.0.1:8787`."""
    ip, port = opened.getsockname()[:2]
    return f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}"


def warn_if_reachable(ip: str) -> None:
    """Anyone who can connect can call the Worker, with the rights of who started it."""
    try:
        is_loopback = ip == "localhost" or ip_address(ip).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        text = f"Listening on {ip}: other machines can reach this Worker. Hosts other than localhost need --host-allow."
        click.echo(f"{click.style('warning:', fg='yellow')} {text}", err=True)


def _unless_secret(row: BindingRow) -> str:
    """What a row is bound to; the value of a variable with a secret's name is not for the console."""
    return "(hidden)" if row.kind == VARIABLE and is_secret_name(row.name) else row.resource


def _bracketed(resource: str) -> str:
    return f" ({resource.removeprefix('(').removesuffix(')')})" if resource else ""
