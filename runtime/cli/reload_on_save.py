"""Reload on save: which saves matter, and what the console says about them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..core.errors import EdgeError
from .startup import hide_secrets, say_warnings
from .watch import changes_in, folders_with_modules, may_hold_modules

if TYPE_CHECKING:
    from pathlib import Path

    from ..serve import App
    from .startup import Start

CONFIG_NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml", "edge.toml", "edge.jsonc", ".dev.vars", ".env")
"""Beside the config these may appear; so may `.dev.vars.NAME` and `.env.NAME`."""


async def reload_on_save(app: App, start: Start, began_at: float) -> None:
    """Reload the app whenever a file it was made from is saved; never returns.

    Args:
        began_at: when loading began, Unix seconds; what was saved since is loaded again, once.
    """
    reloader = _Reloader(app, start)
    async for saved in changes_in(reloader.folders, before=lambda: reloader.saved_since(began_at)):
        await reloader.take({path for path in saved if reloader.matters(path)})


class _Reloader:
    def __init__(self, app: App, start: Start) -> None:
        self._app = app
        self._start = start
        self._is_broken = app.live.failure is not None
        self._unserved: set[Path] = set()
        """Saves that no reload has taken in yet: a config saved with a broken module is read again with its mending."""

    def folders(self) -> set[Path]:
        config = self._app.config
        root = config.main.parent if config.main else config.path.parent
        return folders_with_modules(root, {path.parent for path in self._app.watched_files()})

    def saved_since(self, began_at: float) -> set[Path]:
        """Files changed before watching began; the change time is also that of renaming."""
        files = {*self._app.watched_files(), *self._app.config.path.parent.iterdir()}
        return {file for file in files if file.is_file() and file.stat().st_ctime > began_at}

    def matters(self, path: Path) -> bool:
        if path in self._app.watched_files():
            return True
        if path.parent == self._app.config.path.parent:
            name = path.name
            if name in CONFIG_NAMES or name.startswith((".dev.vars.", ".env.")):
                return True
        # A module nobody imports yet may be the one that a broken version misses.
        return self._is_broken and (path.suffix == ".py" or self._is_folder_with_modules(path))

    def _is_folder_with_modules(self, path: Path) -> bool:
        is_of_state = path.is_relative_to(self._start.folder)  # --persist-to may call it anything
        return path.is_dir() and may_hold_modules(path) and not is_of_state

    async def take(self, changed: set[Path]) -> None:
        if not changed:
            return
        self._unserved |= changed
        log, warnings = self._app.host.log, self._app.config.warnings
        began = time.perf_counter()
        try:
            await self._app.reload(self._unserved)
        except EdgeError as error:
            self._is_broken = True
            kept = "the last good version" if self._app.live.current else "nothing, until it is mended"
            log.error("reload_failed", serving=kept, exc_info=error)
        except Exception as error:  # a border: the next save must find someone who listens
            self._is_broken = True
            log.error("reload_failed", exc_info=error)
        else:
            names = sorted(path.name for path in self._unserved)
            self._is_broken = False
            self._unserved = set()
            hide_secrets(self._app.config, self._start.logs)
            if self._app.config.warnings != warnings:
                say_warnings(self._app.config)
            log.info("reloaded", files=" ".join(names[:5]), duration_ms=round((time.perf_counter() - began) * 1000))
