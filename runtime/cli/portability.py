"""What in a handler file works differently on Cloudflare, as far as the text alone makes it certain.

A warning is code that fails; a note is code that works on Edge only, which `--compat strict` makes an error.
Source: spec "Handler-side contract", 8.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.edge_only import EdgeOnly
from ..core.worker import HANDLER_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_SIGNATURE = ("scheduled", "queue", "email", "tail", "trace")
"""Handlers that always get three arguments."""
Finding = tuple[ast.stmt | ast.expr, str | EdgeOnly]
"""Where it is, and what is said of it."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """`line` and `column` count from 1."""

    line: int
    column: int
    text: str
    is_error: bool = False


def notes_on(source: bytes, *, is_strict: bool = False) -> list[Note]:
    """Every note on a handler file, in file order.

    Raises:
        SyntaxError, ValueError: it is no Python.
    """
    tree = ast.parse(source)
    found = [*_module_level(tree), *_default_class(tree), *_anywhere(tree)]
    return sorted(_note(node, what, is_strict=is_strict) for node, what in found)


def _note(node: ast.stmt | ast.expr, what: str | EdgeOnly, *, is_strict: bool) -> Note:
    is_error = is_strict and isinstance(what, EdgeOnly)
    if isinstance(what, EdgeOnly):
        what = what.note if is_strict else f"note: {what.note}"
    return Note(node.lineno, node.col_offset + 1, what, is_error)


def _module_level(tree: ast.Module) -> Iterator[Finding]:
    handlers = {"fetch"} if _names_default(tree) else HANDLER_NAMES  # beside a class, others are functions of its own
    for node in tree.body:
        if isinstance(node, Function) and node.name in handlers:
            yield node, EdgeOnly.MODULE_HANDLER
        elif isinstance(node, ast.ClassDef) and "WorkflowEntrypoint" in map(last_name, node.bases):
            yield from ((one, EdgeOnly.STORED_TYPES) for one in node.body if "stored_types" in _assigned(one))


def _default_class(tree: ast.Module) -> Iterator[Finding]:
    for entrypoint in tree.body:
        if not (isinstance(entrypoint, ast.ClassDef) and entrypoint.name == "Default"):
            continue
        for method in entrypoint.body:
            if not isinstance(method, Function):
                continue
            names = [argument.arg for argument in (*method.args.posonlyargs, *method.args.args)]
            if method.name in FULL_SIGNATURE and len(names) < 4 and method.args.vararg is None:
                event = names[1] if len(names) > 1 else "event"
                signature = f"async def {method.name}(self, {event}, env, ctx)"
                yield method, f"{method.name}() is called with three arguments: write {signature}."
            for name, what in zip(names[2:4], ("env", "ctx"), strict=False):
                if method.name in {"fetch", *FULL_SIGNATURE} and (use := _use_of(name, method)):
                    yield use, f"{name} is None in a method of class Default: write self.{what}."


def _anywhere(tree: ast.Module) -> Iterator[Finding]:
    generators = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef) and _yields(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr):
            yield from ((node, what) for what in _edge_only(node, generators))
        if isinstance(node, ast.Attribute) and node.attr == "wait_until" and last_name(node.value) == "ctx":
            yield node, "ctx has no wait_until: write ctx.waitUntil(...), or wait_until(...) from workers."
        elif isinstance(node, ast.Subscript) and last_name(node.value) == "env":
            yield node, "env is no dict: write env.NAME, not env[...]."
        elif isinstance(node, ast.Call) and last_name(node.func) == "Response" and node.args:
            body = node.args[0]
            if isinstance(body, ast.Dict):
                yield node, "Response takes no dict: write Response.json(...)."


def _edge_only(node: ast.stmt | ast.expr, generators: set[str]) -> Iterator[EdgeOnly]:
    match node:
        case ast.Import(names=names) if any(_is_edge(one.name) for one in names):
            yield EdgeOnly.IMPORT
        case ast.ImportFrom(module=str(module), level=0) if _is_edge(module):
            yield EdgeOnly.IMPORT
        case ast.Call(func=function, args=[ast.Call(func=body), *_]) if last_name(function) == "Response":
            if last_name(body) in generators:
                yield EdgeOnly.ASYNC_ITERATOR
        case ast.Call() if _is_step_do(node.func):
            yield from _edge_only_parts(node)
        case ast.AsyncFunctionDef(decorator_list=decorators) if _yields(node):
            if any(isinstance(one, ast.Call) and _is_step_do(one.func) for one in decorators):
                yield EdgeOnly.ASYNC_ITERATOR
        case ast.Subscript(value=value, slice=ast.Constant(value="idempotencyKey")) if last_name(value) == "ctx":
            yield EdgeOnly.IDEMPOTENCY_KEY
        case ast.Attribute(attr="instance_version" | "recorded_state", value=value) if last_name(value) == "step":
            yield EdgeOnly.STEP_RECORD


def _is_edge(module: str) -> bool:
    return module.partition(".")[0] == "edge"


def _is_step_do(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "do" and last_name(function.value) == "step"


def _edge_only_parts(node: ast.Call) -> Iterator[EdgeOnly]:
    """What of a call of `step.do` Cloudflare's Python SDK does not have."""
    if len(node.args) > 1 and not isinstance(node.args[1], ast.List | ast.Tuple):  # those are `depends`
        yield EdgeOnly.STEP_AS_CALL
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if given.keys() & {"rollback", "rollback_config"}:
        yield EdgeOnly.ROLLBACK
    match given.get("config"):
        case ast.Dict(keys=keys) if any(isinstance(key, ast.Constant) and key.value == "semantics" for key in keys):
            yield EdgeOnly.SEMANTICS


def _names_default(tree: ast.Module) -> bool:
    """Whether a class Default may be there: defined, imported, or assigned."""
    names = {getattr(node, key, None) for node in ast.walk(tree) for key in ("name", "asname", "id")}
    return "Default" in names


def _assigned(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.Assign(targets=targets):
            return {last_name(one) for one in targets}
        case ast.AnnAssign(target=target, value=ast.expr()):
            return {last_name(target)}
    return set()


def _use_of(name: str, function: Function) -> ast.Attribute | None:
    """The first attribute that is taken of a variable, if any."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            return node
    return None


def _yields(function: ast.AsyncFunctionDef) -> bool:
    """Whether it is a generator; functions inside it do not count."""
    inside = list(ast.iter_child_nodes(function))
    while inside:
        node = inside.pop()
        if isinstance(node, ast.Yield):
            return True
        if not isinstance(node, (Function, ast.Lambda)):
            inside.extend(ast.iter_child_nodes(node))
    return False


def last_name(node: ast.expr) -> str:
    """`env` of `env` and of `self.env`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
