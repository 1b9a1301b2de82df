"""`edge token`: make, list and revoke the tokens that the REST API and the ingest endpoints ask for."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ...bindings._shared.permissions import permission_names
from ...bindings._shared.tokens import EXPIRES_SECONDS, TokenStore
from ...bindings.pipelines.catalogue import Catalogue
from ...bindings.pipelines.declared import declared_objects
from ...bindings.pipelines.ids import id_of
from ..hosts.logs import printable
from ..hosts.state_folder import prepare_state_folder
from ..serve import load_config
from .options import choice_of, config_options, state_folder_of, state_option

if TYPE_CHECKING:
    from pathlib import Path

    from ...bindings._shared.tokens import Token
    from ...wrangler_config.worker_config import WorkerConfig

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


@click.group(name="token", help=__doc__)
def command() -> None:
    pass


def _parse_span(_ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """30d, 12h, 90m, 45s, 2w: seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
    if found is None or not int(found[1]):
        raise click.BadParameter(
            f"{value!r} is no span of time. Write a number and s, m, h, d or w: 30d.", param=option
        )
    return int(found[1]) * float(UNIT_SECONDS[found[2]])


@command.command(name="create", epilog=f"Permissions: {', '.join(permission_names())}. Cloudflare's older names work.")
@click.option("--permission", "permissions", multiple=True, metavar="NAME", help="What it allows; may be repeated.")
@click.option("--stream", "streams", multiple=True, metavar="ID", help="The only stream (id or name) it may send to.")
@click.option(
    "--expires",
    "expires_s",
    metavar="SPAN",
    callback=_parse_span,
    help="How long it lives, as 30d (the default) or 12h.",
)
@click.option("--global-key", "is_global", is_flag=True, help="A key for X-Auth-Key instead, which allows everything.")
@click.option("--email", metavar="E", help="With --global-key: what X-Auth-Email will say.")
@config_options
@state_option
def create(
    permissions: tuple[str, ...],
    streams: tuple[str, ...],
    expires_s: float | None,
    email: str | None,
    *,
    is_global: bool,
    **where: Any,
) -> None:
    """Make a token and write it, alone, to standard output. It is shown this once."""
    if is_global and (email is None or permissions or streams or expires_s):
        raise click.UsageError("--global-key goes with --email, and with nothing else.")
    if not is_global and (email is not None or not permissions):
        raise click.UsageError("Say what the token allows with --permission, or make a --global-key with --email.")
    config, state_dir = _opened(**where)
    store = TokenStore(state_dir)
    if is_global:
        assert email is not None, "checked above"
        text = store.create_global_key(email)
        what = f"Send it as X-Auth-Key, beside X-Auth-Email: {email}. It does not expire."
    else:
        stream_ids = _stream_ids(config, state_dir, streams)
        text = store.create(*permissions, stream_ids=stream_ids, expires_s=expires_s)
        until = time.time() + (expires_s or EXPIRES_SECONDS)
        what = f"Send it as Authorization: Bearer TOKEN. It expires at {_time(until)}."
    click.echo(text)
    click.echo(f"{what} It is not shown again.", err=True)


@command.command(name="list")
@click.option("--json", "is_json", is_flag=True, help="As a JSON array.")
@config_options
@state_option
def list_tokens(*, is_json: bool, **where: Any) -> None:
    """List every token and global key by id, never by its text."""
    tokens = TokenStore(_state_dir(**where)).list()
    if is_json:
        click.echo(json.dumps([_as_json(token) for token in tokens], indent=2))
        return
    if not tokens:
        click.echo("There is no token yet. `edge token create` makes one.", err=True)
        return
    rows = [("id", "status", "expires", "allows")]
    rows += [(t.id, _status(t), _time(t.expires_at) if t.expires_at else "never", _allows(t)) for t in tokens]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@command.command(name="revoke")
@click.argument("token_id", metavar="ID")
@config_options
@state_option
def revoke(token_id: str, **where: Any) -> None:
    """Make the token or global key of this ID worthless. A running server knows within a second."""
    TokenStore(_state_dir(**where)).revoke(token_id)
    click.echo(f"Revoked {token_id}.", err=True)


def _opened(path: Path | None, environment: str | None, persist_to: Path | None) -> tuple[WorkerConfig, Path]:
    config = load_config(choice_of(path, environment))
    return config, prepare_state_folder(state_folder_of(config, persist_to))


def _state_dir(**where: Any) -> Path:
    return _opened(**where)[1]


def _stream_ids(config: WorkerConfig, state_dir: Path, streams: tuple[str, ...]) -> list[str]:
    """Ids of streams by id or name. One that is made later has the id of its name: that is said, it may be a typo."""
    if not streams:
        return []
    with closing(Catalogue(state_dir)) as catalogue:
        known = {one.id: one.name for one in (*declared_objects(config).streams, *catalogue.streams())}
    ids = {name: stream_id for stream_id, name in known.items()} | {stream_id: stream_id for stream_id in known}
    for stream in streams:
        if stream not in ids:
            text = f"there is no stream {stream!r} yet. The token is for the one that will have this name. "
            text += f"Known are: {', '.join(sorted(known.values())) or 'none'}."
            click.echo(f"{click.style('warning:', fg='yellow')} {printable(text)}", err=True)
    return [ids.get(stream) or id_of("stream", stream) for stream in streams]


def _status(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "active" if token.is_good(time.time()) else "expired"


def _allows(token: Token) -> str:
    streams = f" (streams {', '.join(token.stream_ids)})" if token.stream_ids else ""
    whose = f" (global key of {token.email})" if token.email else ""
    return f"{', '.join(token.permissions)}{streams}{whose}"


def _as_json(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "status": _status(token),
        "permissions": token.permissions,
        "stream_ids": token.stream_ids,
        "email": token.email,
        "created_at": _time(token.created_at),
        "expires_at": token.expires_at and _time(token.expires_at),
        "revoked_at": token.revoked_at and _time(token.revoked_at),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
