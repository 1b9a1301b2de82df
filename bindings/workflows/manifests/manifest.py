"""A manifest as values: what was read, checked, put in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from .expressions import Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .params_schema import ParamsSchema
    from .problems import Place

MAX_PARALLEL_DEFAULT = 32
"""Items of one `for_each` at once, where the manifest does not say."""


class ManifestSource(NamedTuple):
    """What a manifest is read from. `file` is where problems are told of; `name` for one that has none."""

    text: str
    file: str
    name: str | None = None


class NodeKind(StrEnum):
    """What a step does, by the key that says so."""

    TASK = "uses"
    SLEEP = "sleep"
    SLEEP_UNTIL = "sleep_until"
    WAIT = "wait_for_event"
    CHILD = "workflow"


class FileFunction(NamedTuple):
    """`./media.py:probe`."""

    path: str
    """Relative to the Worker's folder, without the leading ./"""
    name: str

    def __str__(self) -> str:
        return f"./{self.path}:{self.name}"


class BindingMethod(NamedTuple):
    """`binding:BUCKET.put`."""

    binding: str
    method: str

    def __str__(self) -> str:
        return f"binding:{self.binding}.{self.method}"


@dataclass(frozen=True, slots=True)
class Undo:
    """How a step is rolled back."""

    uses: FileFunction | BindingMethod
    arguments: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the graph. What may hold `${...}` is a tree of plain values with Templates in it."""

    name: str
    kind: NodeKind
    place: Place
    target: Any
    """Of a task what it calls; else the duration, the time, the type of the event, the name of the workflow."""
    arguments: Any = None
    """`with`: keyword arguments (a map) or positional ones (a list); the params of a child."""
    condition: Any = True
    for_each: Any = None
    """A list, or what makes one; None where the step runs once."""
    max_parallel: int = MAX_PARALLEL_DEFAULT
    config: Mapping[str, Any] = field(default_factory=dict)
    """Of `step.do`."""
    timeout: Any = None
    """Of a wait, and of a child."""
    is_cascading: bool = False
    rollback: Undo | None = None
    needs: tuple[str, ...] = ()
    """Every step that it comes after: those it names, and those it refers to."""

    @property
    def is_conditional(self) -> bool:
        return self.condition is not True


@dataclass(frozen=True, slots=True)
class Manifest:
    """`steps` are in an order in which each comes after those it needs; else as written."""

    name: str
    version: str
    """The hash of what it says."""
    steps: Mapping[str, Step]
    params: ParamsSchema | None
    output: Any
    text: str
    file: str


def evaluate(tree: Any, scope: Mapping[str, Any]) -> Any:
    """A tree with its expressions' values in a scope; raises WorkflowFatalError as they do."""
    if isinstance(tree, Template):
        return tree.evaluate(scope)
    if isinstance(tree, dict):
        return {key: evaluate(item, scope) for key, item in tree.items()}
    if isinstance(tree, list):
        return [evaluate(item, scope) for item in tree]
    return tree


def roots_in(tree: Any) -> Iterator[str]:
    """The names that the paths of a tree begin with."""
    if isinstance(tree, Template):
        yield from (str(path.parts[0]) for one in tree.expressions() for path in one.paths())
    elif isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from roots_in(item)
