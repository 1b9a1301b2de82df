"""Whether a handler file has a handler, as far as its text alone makes it certain; the rule itself is core/worker.py's.

A name that may be bound in a way that only running the file shows (imported, assigned, under `if`) leaves no certainty.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ..core.errors import HandlerError
from ..core.worker import HANDLER_NAMES, legacy_allowed, require_style
from .portability import Function, Note, last_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...wrangler_config.worker_config import WorkerConfig

LEGACY_NAMES = tuple(f"on_{name}" for name in HANDLER_NAMES)
ANY = "*"
_COUNTING = {"Default", *HANDLER_NAMES, *LEGACY_NAMES, ANY}


def handler_notes(source: bytes, config: WorkerConfig) -> list[Note]:
    """The reason why `edge dev` could not load the file, as an error at its place; nothing where it may.

    Raises:
        SyntaxError, ValueError: it is no Python.
    """
    assert config.main is not None, "there is a file"
    tree = ast.parse(source)
    if not _COUNTING.isdisjoint(_doubtful(tree)):
        return []
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    try:
        require_style(
            config.main.name,
            has_default=any(one.name == "Default" and _is_from("WorkerEntrypoint", one) for one in classes),
            short=[name for name in HANDLER_NAMES if name in functions],
            legacy=[name for name in HANDLER_NAMES if f"on_{name}" in functions],
            # Those that the config binds may be imported.
            has_workflows="workflows" in config.bindings or any(_is_from("WorkflowEntrypoint", one) for one in classes),
            legacy_allowed=legacy_allowed(config.compatibility_date, config.compatibility_flags),
        )
    except HandlerError as error:
        at = next((functions[name] for name in (*HANDLER_NAMES, *LEGACY_NAMES) if name in functions), None)
        line, column = (at.lineno, at.col_offset + 1) if at else (1, 1)
        return [Note(line, column, str(error), is_error=True)]
    return []


def _is_from(base: str, one: ast.ClassDef) -> bool:
    return base in map(last_name, one.bases)


def _doubtful(tree: ast.Module) -> Iterator[str]:
    """Names that the module may bind, but not plainly by a `def` or `class` of its own."""
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            if statement.bases and not _is_from("WorkerEntrypoint", statement):
                yield statement.name
        elif not isinstance(statement, Function):
            yield from _bound_in(statement)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Name) and node.id in {"globals", "vars", "setattr"}:
            yield ANY


def _bound_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
            return
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.ImportFrom(module="workers" | "edge", level=0):  # what is ours is no handler
            return
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (one.asname or one.name.partition(".")[0] for one in names)
    for child in ast.iter_child_nodes(node):
        yield from _bound_in(child)
