"""Handler file -> Worker.

The folder of `main` is the import root, as on Cloudflare: with `main = "src/entry.py"` a sibling is `import hello`.
`python_modules/` beside the wrangler file holds vendored packages. `from workers import ...` gives Edge's objects,
whatever site-packages has.

A loader outlives generations of the user's modules. Loading again forgets every module under the import root, moves
to another root if `main` did, and imports afresh; when that fails, root and modules are put back, so the running
generation keeps working.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

from .core import workers_shim
from .core.errors import HandlerError
from .core.own_failure import is_from_outside
from .core.worker import worker_of

if TYPE_CHECKING:
    from types import CodeType, ModuleType

    from ..wrangler_config.worker_config import WorkerConfig
    from .core.worker import Worker

VENDORED = "python_modules"
_NOT_THE_USERS = frozenset({VENDORED, "site-packages", "dist-packages", ".venv", "venv", "node_modules", ".edge"})


class Loader:
    """Loads, and loads again, the Worker of one config."""

    def __init__(self, *, is_fresh: bool = False) -> None:
        """`is_fresh` compiles sources at every load: bytecode cannot tell two saves in one second apart."""
        self._is_fresh = is_fresh
        self._root: _ImportRoot | None = None

    def load(self, config: WorkerConfig) -> Worker:
        """Import `main` and find its handlers.

        Raises:
            HandlerError: no `main`, the file cannot be read, it fails while it is imported (`__cause__` is what it
                raised), or it has no usable handler.
        """
        main = _require_main(config)
        workers_shim.install()
        before, forgotten = self._root, self._forget()
        self._move(self._root_of(main, config.path.parent / VENDORED))
        forgotten |= self._forget()
        try:
            module = _import(main)
            return worker_of(
                module,
                compatibility_date=config.compatibility_date,
                compatibility_flags=config.compatibility_flags,
            )
        except BaseException:
            self._forget()
            self._move(before)
            sys.modules.update(forgotten)
            raise

    def files(self) -> set[Path]:
        """Source files of the user's loaded modules: what a reload watches."""
        found = self._root.modules() if self._root else {}
        return {Path(module.__file__) for module in found.values() if module.__file__}

    def close(self) -> None:
        """Forget the user's modules and leave the import path as it was found."""
        self._forget()
        self._move(None)

    def _root_of(self, main: Path, vendored: Path) -> _ImportRoot:
        """The present root, unless `main` moved. Called while none of the user's modules are loaded."""
        paths = (str(main.parent), *([str(vendored)] if vendored.is_dir() else []))
        if self._root is not None and self._root.paths == paths:
            return self._root
        return _ImportRoot(main, paths, is_fresh=self._is_fresh)

    def _move(self, root: _ImportRoot | None) -> None:
        if root is self._root:
            return
        if self._root is not None:
            self._root.leave()
        if root is not None:
            root.enter()
        self._root = root

    def _forget(self) -> dict[str, ModuleType]:
        forgotten = self._root.modules() if self._root else {}
        for name in forgotten:
            del sys.modules[name]
        importlib.invalidate_caches()
        return forgotten


class _ImportRoot:
    """The folder of `main` on the import path, and which of the loaded modules came from it."""

    def __init__(self, main: Path, paths: tuple[str, ...], *, is_fresh: bool) -> None:
        self.paths = paths
        self._folder = main.parent
        self._is_fresh = is_fresh
        self._entered: list[str] = []
        self._foreign = frozenset(sys.modules) - {main.stem}
        """What was loaded before: a Lambda function's folder holds Edge itself and the file that imports it too."""

    def enter(self) -> None:
        self._entered = [path for path in self.paths if path not in sys.path]
        sys.path[:] = [*self.paths, *(path for path in sys.path if path not in self.paths)]
        if self._is_fresh:
            sys.path_hooks.insert(0, self._fresh_hook)
            sys.path_importer_cache.clear()

    def leave(self) -> None:
        sys.path[:] = [path for path in sys.path if path not in self._entered]
        if self._is_fresh:
            sys.path_hooks.remove(self._fresh_hook)
            sys.path_importer_cache.clear()

    def modules(self) -> dict[str, ModuleType]:
        """The user's loaded modules, by name."""
        return {
            name: module
            for name, module in tuple(sys.modules.items())
            if (file := getattr(module, "__file__", None)) and name not in self._foreign and self._is_users(Path(file))
        }

    def _fresh_hook(self, path: str) -> FileFinder:
        if not self._is_users(Path(path)):
            raise ImportError(path)
        return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FreshSource, [".py"]))

    def _is_users(self, path: Path) -> bool:
        if not path.is_relative_to(self._folder):
            return False
        return not _NOT_THE_USERS.intersection(path.relative_to(self._folder).parts)


class _FreshSource(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _require_main(config: WorkerConfig) -> Path:
    if config.main is None:
        msg = f'{config.path} names no handler file. Add main, for example "main": "src/entry.py".'
        raise HandlerError(msg)
    if not config.main.is_file():
        msg = f"The entry-point file at {config.main} was not found. Create it, or correct main in {config.path}."
        raise HandlerError(msg)
    return config.main


def _import(main: Path) -> ModuleType:
    try:
        module = importlib.import_module(main.stem)
    except BaseException as error:
        # Whatever a module raises is the module's failure; only a Ctrl-C that nobody handles is a person's.
        if isinstance(error, KeyboardInterrupt) and is_from_outside(error):
            raise
        msg = f"{main} failed while it was imported: {type(error).__name__}: {error}"
        raise HandlerError(msg) from error
    if Path(module.__file__ or "") != main:
        msg = f"{main} hides behind the module {main.stem!r} that is loaded already ({module}). Give it another name."
        raise HandlerError(msg)
    return module
