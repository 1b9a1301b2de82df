"""Named points where a test kills the process, before and after every durable action of a roll.

`EDGE_FAULT=commit:before` kills at the first time, `EDGE_FAULT=commit:before#3` at the third. Looked up once, at
import; without it a point costs a comparison.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "stage:before",
    "stage:after",
    "intent:before",
    "intent:after",
    "publish:before",
    "publish:file",
    "publish:after",
    "commit:before",
    "commit:after",
    "cleanup:before",
    "cleanup:after",
    "cursor:before",
    "cursor:after",
    "trim:after",
)
"""In the order a roll passes them; `publish:file` is behind each file of a local sink."""

_WANTED, _, _times = os.environ.get("EDGE_FAULT", "").partition("#")
_left = int(_times or 1)


def reach(point: str) -> None:
    """Die here, the way a kill -9 or a power cut ends a process, when a test asked for it."""
    global _left  # noqa: PLW0603 - counts the process's own passes
    if point == _WANTED:
        _left -= 1
        if _left == 0:
            _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
