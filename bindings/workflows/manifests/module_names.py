"""Whether a function is in a file of the Worker, seen in the file's text: no code of the user's is run.

What is set inside of an `if`, a `try` or a `with` counts, and so does what is imported from another file of the Worker,
which is looked at in turn. A module that is imported whole is no function. A file that makes its names while it runs
may have any name: by `globals()`, `vars()`, `exec`, `sys.modules`, `__getattr__`, or a `*` of something that is not the
Worker's.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .problems import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILES_KEPT_MAX = 64
_MAKERS = frozenset({"globals", "vars", "locals", "exec", "modules"})
"""By which a module gives itself names that are nowhere written."""


class _Origin(NamedTuple):
    """Where a name is imported from: `from ..lib import probe` has level 2."""

    module: str
    level: int
    name: str


class _Names(NamedTuple):
    """What a file has at its top."""

    own: frozenset[str]
    imported: Mapping[str, _Origin]
    stars: tuple[_Origin, ...]
    """Of `from lib import *`."""
    is_open: bool


class _MissingError(Exception):
    """The name is not there: the text says where it was looked for."""


def missing_function(folder: Path, path: str, name: str) -> str | None:
    """What is wrong with a function of a file, relative to the Worker's folder; None when it is there."""
    try:
        _require(folder, path, name, frozenset())
    except _MissingError as error:
        return str(error)
    return None


def _require(folder: Path, path: str, name: str, seen: frozenset[tuple[str, str]]) -> None:
    names = _names_in(folder, path)
    if name in names.own or (path, name) in seen:
        return
    seen |= {(path, name)}
    if (origin := names.imported.get(name)) is not None:
        source = _source_of(folder, path, origin)
        if source is None:
            return
        try:
            _require(folder, source, origin.name, seen)
        except _MissingError as error:
            msg = f"{path} imports {name}, but {error}"
            raise _MissingError(msg) from error
        return
    sources = [_source_of(folder, path, star) for star in names.stars]
    if names.is_open or None in sources or any(_has(folder, source, name, seen) for source in sources if source):
        return
    msg = f"{path} has no function {name}.{did_you_mean(name, names.own | names.imported.keys())}"
    raise _MissingError(msg)


def _has(folder: Path, path: str, name: str, seen: frozenset[tuple[str, str]]) -> bool:
    try:
        _require(folder, path, name, seen)
    except _MissingError:
        return False
    return True


def _source_of(folder: Path, path: str, origin: _Origin) -> str | None:
    """The Worker's file that a name is imported from; None: it is another's, or the name is a module itself."""
    parts = path.split("/")[: -origin.level] if origin.level else []
    parts += origin.module.split(".") if origin.module else []
    base = "/".join(parts)
    if (folder / base / f"{origin.name}.py").is_file() or (folder / base / origin.name / "__init__.py").is_file():
        return None
    found = (one for one in (f"{base}.py", f"{base}/__init__.py") if base and (folder / one).is_file())
    return next(found, None)


def _names_in(folder: Path, path: str) -> _Names:
    file = folder / path
    try:
        stat = file.stat()
        return _read(file, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        near = did_you_mean(path, (one.relative_to(folder).as_posix() for one in file.parent.glob("*.py")))
        msg = f"{path} cannot be read ({error.strerror}).{near}"
        raise _MissingError(msg) from error
    except (SyntaxError, ValueError, RecursionError) as error:
        msg = f"{path} is no Python: {error}."
        raise _MissingError(msg) from error


@lru_cache(FILES_KEPT_MAX)
def _read(file: Path, _changed_ns: int, _size_bytes: int) -> _Names:
    """Kept until the file changes: a manifest may name a thousand functions of one."""
    own: set[str] = set()
    imported: dict[str, _Origin] = {}
    stars: list[_Origin] = []
    tree = ast.parse(file.read_bytes())
    for node in _at_top(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origin = _Origin(node.module or "", node.level, alias.name)
                if alias.name == "*":
                    stars.append(origin)
                else:
                    imported[alias.asname or alias.name] = origin
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name is not None:
            own.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest is not None:
            own.add(node.rest)
    everywhere = list(ast.walk(tree))
    own.update(name for node in everywhere if isinstance(node, ast.Global) for name in node.names)
    is_open = "__getattr__" in own or any(_name_of(node) in _MAKERS for node in everywhere)
    return _Names(frozenset(own), imported, tuple(stars), is_open)


def _at_top(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs as the module does; functions and classes alone, and of comprehensions what sets a name around them."""
    coming: list[ast.AST] = list(tree.body)
    while coming:
        node = coming.pop()
        yield node
        if isinstance(node, _COMPREHENSIONS):
            coming += (inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
        elif not isinstance(node, _SCOPES):
            coming += ast.iter_child_nodes(node)


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def _name_of(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
