"""Saves: which files changed, told within a few hundredths of a second.

Folders are watched, one level each, rather than files: editors save by renaming a new file over the old one. Only
folders that may hold modules are taken, so a virtual environment or `node_modules` beside the handler costs nothing.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

DEBOUNCE_MS = 50
"""Changes are collected at most so long ..."""
STEP_MS = 10
"""... and given as soon as none came for so long."""
EMPTY_MS = 500
"""How long a file that was emptied may take to be filled: many editors truncate it before they write."""
WAIT_MS = 60_000
POLL_MS = 200
"""Where the system tells nothing and files must be looked at (WATCHFILES_FORCE_POLLING=1)."""
FOLDERS_MAX = 500

_NEVER = frozenset({"__pycache__", "node_modules", "python_modules", "site-packages", "venv"})


async def changes_in(
    folders: Callable[[], set[Path]], before: Callable[[], set[Path]] = set
) -> AsyncIterator[set[Path]]:
    """Sets of files that were made, saved or deleted, each told when it is whole.

    Args:
        folders: what to watch; asked again after each set.
        before: what was saved before watching began: the first set, which comes even if it is empty.
    """
    stop = threading.Event()
    watched: set[Path] = set()
    watcher: Any = None
    try:
        while True:
            wanted = folders()
            if watcher is None or wanted != watched:
                newer = await asyncio.to_thread(_open, wanted)
                # What happened before the newer one was open is still told by the older one.
                missed = _paths(watcher.watch(1, 1, 1, stop)) if watcher else before()
                is_first, watcher, watched = watcher is None, newer, wanted
                if missed or is_first:
                    yield await _when_whole(missed, watcher, stop)
            if found := _paths(await asyncio.to_thread(watcher.watch, DEBOUNCE_MS, STEP_MS, WAIT_MS, stop)):
                yield await _when_whole(found, watcher, stop)
    finally:
        stop.set()  # the thread ends within a step


async def _when_whole(found: set[Path], watcher: Any, stop: threading.Event) -> set[Path]:
    """`found` and what is saved while one of its files is empty; one that stays empty is taken as it is."""
    until = time.monotonic() + EMPTY_MS / 1000
    while any(map(_is_empty, found)) and (left := round((until - time.monotonic()) * 1000)) > 0:
        found = found | _paths(await asyncio.to_thread(watcher.watch, DEBOUNCE_MS, STEP_MS, left, stop))
    return found


def as_told(files: Iterable[Path]) -> set[Path]:
    """Files as the system tells of them, in folders without links: each by its name, and what it is a link to."""
    return {told for file in files for told in (file.parent.resolve() / file.name, file.resolve())}


def folders_with_modules(root: Path, others: Iterable[Path]) -> set[Path]:
    """The import root, folders under it that may hold modules, and `others`, as far as they exist; without links."""
    found = {root} if root.is_dir() else set()
    for at, names, _ in os.walk(root):
        if len(found) >= FOLDERS_MAX:
            break
        names[:] = [name for name in names if may_hold_modules(Path(at, name))]
        found.update(Path(at, name) for name in names)
    return {folder.resolve() for folder in (*found, *others) if folder.is_dir()}


def may_hold_modules(folder: Path) -> bool:
    """False of hidden folders, the state folder is one, of caches, and of whole environments."""
    return not (folder.name.startswith(".") or folder.name in _NEVER or (folder / "pyvenv.cfg").exists())


def _open(folders: set[Path]) -> Any:
    from watchfiles._rust_notify import RustNotify  # noqa: PLC0415 - 25 ms, off the way to the first answer

    is_polling = os.environ.get("WATCHFILES_FORCE_POLLING", "").lower() in {"1", "true", "yes"}
    # arguments: paths, debug, force_polling, poll_delay_ms, recursive, ignore_permission_denied
    return RustNotify([str(folder) for folder in folders], False, is_polling, POLL_MS, False, True)


def _paths(found: Any) -> set[Path]:
    """Nothing, when the watcher says "timeout", "stop" or "signal"."""
    return {Path(path) for _, path in found} if isinstance(found, set) else set()


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:  # deleted since
        return False
