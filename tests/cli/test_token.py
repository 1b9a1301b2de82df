"""`edge token`: the text of a token is shown once, alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings._shared.tokens import TokenStore
from edge.bindings.pipelines.ids import id_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Edge = Callable[..., subprocess.CompletedProcess[str]]


def stored(project: Path) -> TokenStore:
    return TokenStore(project / ".edge" / "state")


def test_a_token_is_printed_alone_and_is_good(edge: Edge, project: Path) -> None:
    made = edge("token", "create", "--permission", "Workers Pipeline Send", "--stream", "flights", cwd=project)
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("\n") == 1
    assert "Send it as Authorization: Bearer TOKEN. It expires at 20" in made.stderr
    store = stored(project)
    token = store.verify(made.stdout.strip())
    store.close()
    assert token is not None
    assert token.stream_ids == (id_of("stream", "flights"),)
    listed = edge("token", "list", cwd=project).stdout
    assert f"{token.id}  active" in listed
    assert "Pipelines Send (streams" in listed
    assert made.stdout.strip() not in listed


def test_a_token_for_a_stream_that_nobody_knows_says_so(edge: Edge, project: Path) -> None:
    (project / "edge.toml").write_text("[streams.flights]\n")
    ask = ("token", "create", "--permission", "Workers Pipeline Send", "--stream")
    for known in ("flights", id_of("stream", "flights")):
        assert "warning" not in edge(*ask, known, cwd=project).stderr
    assert edge("streams", "create", "trains", cwd=project).returncode == 0
    assert "warning" not in edge(*ask, "trains", cwd=project).stderr
    made = edge(*ask, "flihgts", cwd=project)
    assert made.stdout.count("\n") == 1
    assert (
        "warning: there is no stream 'flihgts' yet. The token is for the one that will have this name. "
        "Known are: flights, trains."
    ) in made.stderr


def test_a_revoked_token_is_listed_as_revoked(edge: Edge, project: Path) -> None:
    made = edge("token", "create", "--permission", "All Read", "--expires", "12h", cwd=project)
    (one,) = json.loads(edge("token", "list", "--json", cwd=project).stdout)
    assert (one["status"], one["permissions"]) == ("active", ["All Read"])
    assert edge("token", "revoke", one["id"], cwd=project).stderr == f"Revoked {one['id']}.\n"
    (one,) = json.loads(edge("token", "list", "--json", cwd=project).stdout)
    assert one["status"] == "revoked"
    store = stored(project)
    assert store.verify(made.stdout.strip()) is None
    store.close()


def test_a_global_key_is_printed_alone_and_is_good(edge: Edge, project: Path) -> None:
    made = edge("token", "create", "--global-key", "--email", "ada@example.com", cwd=project)
    assert "X-Auth-Email: ada@example.com" in made.stderr
    store = stored(project)
    assert store.verify_global_key("ada@example.com", made.stdout.strip()) is not None
    store.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["create"], "Say what the token allows with --permission"),
        (["create", "--global-key"], "--global-key goes with --email"),
        (["create", "--email", "a@b", "--permission", "All Read"], "or make a --global-key with --email"),
        (["create", "--permission", "Pipeline Send"], "Did you mean 'Pipelines Send'?"),
        (["create", "--permission", "All Read", "--expires", "soon"], "'soon' is no span of time"),
        (["create", "--permission", "All Read", "--expires", "0d"], "'0d' is no span of time"),
        (["revoke", "nope"], "There is no token 'nope'"),
    ],
)
def test_what_cannot_be_done_says_why(edge: Edge, project: Path, arguments: list[str], text: str) -> None:
    done: Any = edge("token", *arguments, cwd=project)
    assert done.returncode != 0
    assert done.stdout == ""
    assert text in done.stderr
