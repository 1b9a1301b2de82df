"""`edge complete`: print a script that completes `edge` in your shell.

\b
bash:  echo 'eval "$(edge complete bash)"' >> ~/.bashrc
zsh:   echo 'eval "$(edge complete zsh)"' >> ~/.zshrc
fish:  edge complete fish > ~/.config/fish/completions/edge.fish
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command(name="complete", help=__doc__)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    click.echo(kind(ctx.find_root().command, {}, "edge", "_EDGE_COMPLETE").source())
