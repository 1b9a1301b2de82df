"""What the console shows when a Worker starts: warnings, the bindings table, where state lives, what can reach it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import click

from .serving import say

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ...wrangler_config.worker_config import WorkerConfig
    from ..environment import BindingRow
    from ..hosts.logs import Logs


def hide_secrets(config: WorkerConfig, logs: Logs) -> None:
    """Keep the values of secrets out of every log line."""
    logs.hide(str(config.vars[name]) for name in config.secret_names if name in config.vars)


def say_warnings(config: WorkerConfig) -> None:
    """On standard error, as wrangler lays them out."""
    from ...wrangler_config.diagnostics import warning_block  # noqa: PLC0415 - warnings are rare

    if config.warnings:
        click.echo(warning_block(config) + "\n", err=True)


def say_bindings(rows: Sequence[BindingRow], unsupported: Mapping[str, str]) -> None:
    """`env.NAME (resource)  kind  mode`, as wrangler prints them."""
    table = [(f"env.{row.name}{_bracketed(row.resource)}", row.kind, "local") for row in rows]
    table += [(f"env.{name}", section, "not supported") for name, section in unsupported.items()]
    if not table:
        return
    table.insert(0, ("Binding", "Resource", "Mode"))
    widths = [max(len(line[column]) for line in table) for column in range(2)]
    say("Your Worker has access to the following bindings:")
    for name, kind, mode in table:
        say(f"  {name:<{widths[0]}}  {kind:<{widths[1]}}  {mode}")


def _bracketed(resource: str) -> str:
    return f" ({resource.removeprefix('(').removesuffix(')')})" if resource else ""


def say_state(folder: Path) -> None:
    say(f"State is in {folder}")


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
