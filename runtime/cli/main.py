"""The console script. Small, so that a Ctrl-C while the rest is being loaded finds somebody who takes it."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""Exit status of what a Ctrl-C ended, as shells count it."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; never returns, never shows a traceback unless asked."""
    try:
        from .command_line import run  # noqa: PLC0415 - it loads the library of commands

        sys.exit(run(arguments))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
