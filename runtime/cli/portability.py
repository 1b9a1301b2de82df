"""What in a handler file works differently on Cloudflare, as far as the text alone makes it certain.

A warning is code that fails; a note is code that runs on Edge only.
Source: spec "Handler-side contract", 8.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_SIGNATURE = ("scheduled", "queue", "email", "tail", "trace")
"""Handlers that always get three arguments."""
FETCH_NOTE = (
    "note: a module-level fetch() runs on Edge only. "
    "On Cloudflare write class Default(WorkerEntrypoint) with async def fetch(self, request)."
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """`line` and `column` count from 1."""

    line: int
    column: int
    text: str


def notes_on(source: bytes) -> list[Note]:
    """Every note on a handler file, in file order.

    Raises:
        SyntaxError, ValueError: it is no Python.
    """
    tree = ast.parse(source)
    found = [*_module_level(tree), *_default_class(tree), *_anywhere(tree)]
    return sorted(Note(node.lineno, node.col_offset + 1, text) for node, text in found)


def _module_level(tree: ast.Module) -> Iterator[tuple[Function, str]]:
    for node in tree.body:
        if isinstance(node, Function) and node.name == "fetch":
            yield node, FETCH_NOTE


def _default_class(tree: ast.Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
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


def _anywhere(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    generators = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef) and _yields(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "wait_until" and _last_name(node.value) == "ctx":
            yield node, "ctx has no wait_until: write ctx.waitUntil(...), or wait_until(...) from workers."
        elif isinstance(node, ast.Subscript) and _last_name(node.value) == "env":
            yield node, "env is no dict: write env.NAME, not env[...]."
        elif isinstance(node, ast.Call) and _last_name(node.func) == "Response" and node.args:
            body = node.args[0]
            if isinstance(body, ast.Dict):
                yield node, "Response takes no dict: write Response.json(...)."
            elif isinstance(body, ast.Call) and _last_name(body.func) in generators:
                yield node, "note: an async generator as a body runs on Edge only."
        elif isinstance(node, ast.Call) and _is_step_do(node.func):
            for what in _edge_only_parts(node):
                yield node, f"note: {what} runs on Edge only."
        elif isinstance(node, ast.Subscript) and _is_key_of_ctx(node):
            yield (
                node,
                'note: ctx["idempotencyKey"] is there on Edge only; event["instanceId"] makes a key that is not.',
            )


def _is_step_do(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "do" and _last_name(function.value) == "step"


def _edge_only_parts(node: ast.Call) -> Iterator[str]:
    """What of a call of `step.do` Cloudflare's Python SDK does not have."""
    if len(node.args) > 1 and not isinstance(node.args[1], ast.List | ast.Tuple):  # those are `depends`
        yield "step.do(name, function) as a call"
    if {keyword.arg for keyword in node.keywords} & {"rollback", "rollback_config"}:
        yield "a step's rollback"


def _is_key_of_ctx(node: ast.Subscript) -> bool:
    key = node.slice
    return _last_name(node.value) == "ctx" and isinstance(key, ast.Constant) and key.value == "idempotencyKey"


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


def _last_name(node: ast.expr) -> str:
    """`env` of `env` and of `self.env`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
