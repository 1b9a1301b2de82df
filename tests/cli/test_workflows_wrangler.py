"""`edge workflows` takes what wrangler's help says: every command, argument, option and default. Needs npx."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from edge.runtime.cli.workflows import command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

WRANGLER = "wrangler@4.86.0"
COMMANDS = (
    *("list", "describe", "delete", "trigger"),
    *(
        f"instances {name}"
        for name in ("list", "describe", "send-event", "terminate", "terminate-all", "restart", "pause", "resume")
    ),
)
NOT_OURS = {"--cwd", "--help", "--version", "--env-file"}
"""Of every wrangler command: --help is click's, the others are the shell's and those of `edge dev`."""


def wrangler_help(words: str, folder: Path) -> str:
    if shutil.which("npx") is None:
        pytest.skip("npx is not there")
    return subprocess.run(
        ["npx", "--yes", WRANGLER, "workflows", *words.split(), "--help"],
        cwd=folder, capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip


def ours(words: str) -> click.Command:
    found: click.Command = command
    for word in words.split():
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), word)
        assert below is not None, f"there is no {words}"
        found = below
    return found


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_takes_wranglers_arguments_and_options(words: str, tmp_path: Path) -> None:
    told = wrangler_help(words, tmp_path)
    found = ours(words)
    arguments = [one for one in found.params if isinstance(one, click.Argument)]
    usage = re.search(rf"^wrangler workflows {words}(.*)$", told, re.MULTILINE)
    assert usage
    assert [one.required for one in arguments] == [sign == "<" for sign in re.findall(r"[<\[](?=\w)", usage[1])]

    options = {name: one for one in found.params if isinstance(one, click.Option) for name in one.opts}
    for name, default in re.findall(r"(--[\w-]+) .*?\[(?:boolean|number|string|array)\](?: \[default: (.*?)\])?", told):
        if name in NOT_OURS:
            continue
        assert name in options, f"{words} has no {name}"
        if default and options[name].expose_value:
            assert str(options[name].get_default(click.Context(found))).lower() == default.strip('"'), name
