"""Which code an instance began under: the id of a workflow's class, as it reads.

Code that reads the same is the same version, wherever and whenever it is loaded. What counts is the syntax tree of the
class's module, and of the modules it imports from the user's own folder, theirs included: a comment or a blank line
makes no other version, and neither does a change to a part of the Worker that the workflow never imports.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import NAMESPACE_URL, uuid5

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from .definition import Code, Definition, WorkflowWorker


class CodeVersion(NamedTuple):
    """`id` names it in the journal and in REST."""

    id: str
    code_hash: str


UNKNOWN = CodeVersion("", "")
"""No code is loaded here, as in the CLI."""


class Versions:
    """What is loaded now, by workflow. The source of a class is read once per load."""

    def __init__(self, worker: WorkflowWorker | None) -> None:
        self._worker = worker
        self._code: Code | None = None
        self._known: dict[str, CodeVersion] = {}

    def current(self, definition: Definition) -> CodeVersion:
        """The version that a new instance of a workflow begins under."""
        if definition.run is not None:
            return CodeVersion(definition.version, definition.version)
        code = None if self._worker is None else self._worker.current
        if code is None:
            return UNKNOWN
        if code is not self._code:
            self._code, self._known = code, {}
        found = self._known.get(definition.name)
        if found is None:
            cls = code.worker.workflows.get(definition.class_name)
            found = UNKNOWN if cls is None else version_of(definition.name, cls, Path(code.worker.file).parent)
            self._known[definition.name] = found
        return found


def version_of(workflow: str, cls: type, root: Path) -> CodeVersion:
    """The version that a class of the modules under `root` is; UNKNOWN when it was not made by a file."""
    module = sys.modules.get(cls.__module__)
    if module is None or getattr(module, "__file__", None) is None:
        return UNKNOWN
    digest = hashlib.sha256()
    for name, tree in sorted(_trees(module, root).items()):
        digest.update(f"{name}\0{tree}\0".encode("utf-8", "surrogatepass"))
    code_hash = digest.hexdigest()
    return CodeVersion(str(uuid5(NAMESPACE_URL, f"edge:workflow:{workflow}:{cls.__name__}:{code_hash}")), code_hash)


def _trees(module: ModuleType, root: Path) -> dict[str, str]:
    """Module name -> its syntax tree, of a module and of what it imports under `root`."""
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        one = waiting.pop()
        if one.__name__ in found:
            continue
        try:
            tree = ast.parse(Path(str(one.__file__)).read_bytes())
        except (OSError, SyntaxError):  # saved badly, or removed, since it was loaded; or compiled code alone
            found[one.__name__] = ""
            continue
        found[one.__name__] = ast.dump(tree)
        waiting.extend(imported for imported in _imported(tree, one) if _is_under(imported, root))
    return found


def _imported(tree: ast.Module, importer: ModuleType) -> Iterator[ModuleType]:
    """The loaded modules that a module's text names; `from a import b` may mean the module `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = importer.__package__ or ""
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (above, node.module or "") if part)
            names = {source} | {f"{source}.{alias.name}" for alias in node.names}
        else:
            continue
        yield from (sys.modules[name] for name in names if name in sys.modules)


def _is_under(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(root)
