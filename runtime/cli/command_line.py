"""The `edge` command. Each command lives in the file of its name and is loaded only when it is run."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from ..core.errors import BindingError, EdgeError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": "Write a Worker to start from.",
    "dev": "Run the Worker here, reload it on save.",
    "serve": "Run the Worker without reload and error pages, in one or more processes.",
    "check": "Report every problem of the config and of the handler file.",
    "build": "Freeze the checked config for a faster start on Lambda.",
    "kv": "Read and write KV namespaces.",
    "streams": "Make streams, show what they hold, send to them.",
    "sinks": "Make and show sinks: where pipelines write to.",
    "pipelines": "Make and show pipelines: SQL between streams and sinks.",
    "workflows": "Trigger workflows; show, pause, end and restart their instances.",
    "query": "Run SQL over what sinks delivered.",
    "token": "Make, list and revoke API tokens.",
    "complete": "Print a script that completes `edge` in your shell.",
}


class LazyGroup(click.Group):
    """The commands by name; helping and completing load none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        return cast("click.Command", import_module(f".{cmd_name}", __package__).command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a shell that completes needs it

        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


def print_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - reads the installed package, for this option only

        click.echo(f"edge {version('edge-workers')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Show the version."
)
@click.option("--debug", is_flag=True, envvar="EDGE_DEBUG", help="Show tracebacks of Edge itself.")
def edge(*, debug: bool) -> None:
    """Cloudflare's Workers programming model in Python, with durable local bindings."""
    if debug:
        os.environ["EDGE_DEBUG"] = "1"  # the processes of `edge serve --workers` want it too


def run(arguments: list[str] | None) -> int:
    """Run the command line and return its exit status; shows no traceback unless asked."""
    try:
        return _status(edge.main(arguments, prog_name="edge", standalone_mode=False))
    except click.Abort:  # Ctrl-C before anything was served
        click.echo(err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BindingError as error:
        _say_error(error.message)  # without the name that a handler sees before it
    except EdgeError as error:
        _say_error(str(error))
    except Exception as error:
        if os.environ.get("EDGE_DEBUG"):
            raise
        _say_error(f"Edge failed: {type(error).__name__}: {error}\nRun it again with EDGE_DEBUG=1 for the traceback.")
    return 1


def _status(result: Any) -> int:
    return result if isinstance(result, int) else 0


def _say_error(text: str) -> None:
    """The config's report brings its own marks."""
    if not text.startswith("✘"):
        text = f"{click.style('error:', fg='red')} {text}"
    click.echo(text, err=True)
