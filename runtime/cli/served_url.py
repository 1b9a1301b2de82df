"""Where a state folder is served: `edge dev` and `edge serve` note it there, for the commands beside them."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME = "url"


@contextmanager
def tell_served_url(folder: Path, url: str) -> Iterator[None]:
    """Note the URL while this process serves. Only who holds the folder may call it."""
    path = folder / FILE_NAME
    with suppress(OSError):  # a full disk: the commands show what the config says
        path.write_text(f"{os.getpid()} {url}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_served_url(folder: Path) -> str | None:
    """The URL, as the server says it; None when none runs: one that was killed leaves its note behind."""
    try:
        pid, url = (folder / FILE_NAME).read_text().split()
        os.kill(int(pid), 0)
    except PermissionError:  # another user's process is a process
        return url
    except (OSError, ValueError):
        return None
    return url
