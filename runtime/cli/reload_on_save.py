"""Reload on save: which saves matter, and what the console says about them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..core.errors import EdgeError
from .startup import hide_secrets, say_warnings
from .watch import as_told, changes_in, folders_with_modules, may_hold_modules

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
        await reloader.take(reloader.those_that_matter(saved))


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
        return folders_with_modules(root, {path.parent for path in as_told(self._app.watched_files())})

    def saved_since(self, began_at: float) -> set[Path]:
        """Files changed before watching began; the change time is also that of renaming."""
        files = {*as_told(self._app.watched_files()), *self._app.config.path.parent.resolve().iterdir()}
        return {file for file in files if file.is_file() and file.stat().st_ctime > began_at}

    def those_that_matter(self, saved: set[Path]) -> set[Path]:
        files, folder = as_told(self._app.watched_files()), self._app.config.path.parent.resolve()
        return {path for path in saved if path in files or self._may_join(path, folder)}

    def _may_join(self, path: Path, config_folder: Path) -> bool:
        """Whether what nobody has read yet may be read next time."""
        if path.parent == config_folder:
            name = path.name
            if name in CONFIG_NAMES or name.startswith((".dev.vars.", ".env.")):
                return True
        # A module nobody imports yet may be the one that a broken version misses.
        return self._is_broken and (path.suffix == ".py" or self._is_folder_with_modules(path))

    def _is_folder_with_modules(self, path: Path) -> bool:
        is_of_state = path.is_relative_to(self._start.folder.resolve())  # --persist-to may call it anything
        return path.is_dir() and may_hold_modules(path) and not is_of_state

    async def take(self, changed: set[Path]) -> None:
        if not changed:
            return
        self._unserved |= changed
        log, before = self._app.host.log, self._app.config
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
            if self._app.config.warnings != before.warnings:
                say_warnings(self._app.config)
            if self._app.config.dev != before.dev and (waiting := self._waiting_for_restart()):
                log.warning("restart_needed", to_apply=" ".join(waiting))
            log.info("reloaded", files=" ".join(names[:5]), duration_ms=round((time.perf_counter() - began) * 1000))

    def _waiting_for_restart(self) -> list[str]:
        """Settings of the wrangler file that a server which listens cannot take in; those of options are not meant."""
        start, wanted = self._start, self._app.config.dev._asdict()
        listening = {"ip": start.ip, "port": start.port}
        asked = start.config.dev._asdict()
        return [f"dev.{key}" for key in listening if wanted[key] != listening[key] == asked[key]]
