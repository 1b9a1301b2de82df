"""One step of a manifest, checked: its keys, what it calls, its times, and what it refers to."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..durations import parse_duration_ms
from ..engine.retries import read_config
from ..errors import WorkflowFatalError
from ..event_types import require_sent_type
from .expressions import ExpressionProblem, Template, parse_template
from .manifest import MAX_PARALLEL_DEFAULT, BindingMethod, FileFunction, NodeKind, Step, Undo
from .module_names import missing_function
from .problems import Place, did_you_mean, echo, nearest
from .uses import parse_uses

if TYPE_CHECKING:
    from collections.abc import Collection

    from .expressions import Path
    from .node import Node
    from .problems import Problems
    from .read import Surroundings

STEP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
OF_A_STEP = ("out", "skipped")
"""What `steps.NAME` has."""

_ANY = frozenset({"needs", "if", "for_each", "max_parallel", "description"})
_KEYS: dict[NodeKind, frozenset[str]] = {
    NodeKind.TASK: _ANY | {"with", "retries", "timeout", "rollback", "sensitive", "semantics"},
    NodeKind.SLEEP: _ANY,
    NodeKind.SLEEP_UNTIL: _ANY,
    NodeKind.WAIT: _ANY | {"timeout"},
    NodeKind.CHILD: _ANY | {"with", "timeout", "cascade"},
}
_UNDO_KEYS = frozenset({"uses", "with", "retries", "timeout"})
_CONFIG_KEYS = ("retries", "timeout", "sensitive", "semantics")
_ROOTS = frozenset({"params", "steps", "instance"})
_ITEM_ROOTS = _ROOTS | {"item", "index"}
_UNDO_ROOTS = frozenset({"error", "output"})


class StepReader:
    """Reads one step; `text` is the whole manifest's, to find where an expression stands in its line."""

    def __init__(self, name: str, place: Place, known: Collection[str], problems: Problems, text: str) -> None:
        self._name = name
        self._place = place
        self._known = known
        self._problems = problems
        self._lines = text.split("\n")
        self._references: list[str] = []
        self._may_refer_to_itself = False

    def step(self, node: Node, surroundings: Surroundings) -> Step | None:
        """The step, as far as it can be used; what is wrong goes to `problems`."""
        if not isinstance(node.value, dict):
            self._tell(node.place, f'The step "{self._name}" is a map, got {node.kind}.')
            return None
        kind = self._kind(node)
        if kind is None:
            return None
        self._check_keys(node, _KEYS[kind] | {kind.value}, f"A step with {kind}")
        members: dict[str, Node] = node.value
        for_each = self._for_each(members)
        roots = _ROOTS if for_each is None else _ITEM_ROOTS
        return Step(
            name=self._name,
            kind=kind,
            place=self._place,
            target=self._target(kind, members[kind.value], roots, surroundings),
            arguments=self._arguments(members, roots, kind),
            condition=self._condition(members, roots),
            for_each=for_each,
            max_parallel=self._max_parallel(members),
            config=self._config(members) if kind is NodeKind.TASK else {},
            timeout=None if kind is NodeKind.TASK else self._duration(members.get("timeout"), "timeout", roots),
            is_cascading=self._is_cascading(members),
            rollback=self._rollback(members.get("rollback"), roots, surroundings),
            needs=self._needs(members),
        )

    def tree(self, node: Node, roots: frozenset[str]) -> Any:
        """A value with its texts parsed for `${...}`, of which every path is checked."""
        if isinstance(node.value, dict):
            return {key: self.tree(item, roots) for key, item in node.value.items()}
        if isinstance(node.value, list):
            return [self.tree(item, roots) for item in node.value]
        if not isinstance(node.value, str):
            return node.value
        try:
            parsed = parse_template(node.value)
        except ExpressionProblem as problem:
            self._tell(self._place_of(node, problem.source), problem.text)
            return None
        if isinstance(parsed, Template):
            for expression in parsed.expressions():
                for path in expression.paths():
                    self._check_path(path, roots, self._place_of(node, path.source))
        return parsed

    def _kind(self, node: Node) -> NodeKind | None:
        kinds = [kind for kind in NodeKind if kind.value in node.value]
        if len(kinds) == 1:
            return kinds[0]
        words = ", ".join(NodeKind)
        if not kinds:
            near = next((f' Did you mean "{one}"?' for key in node.value if (one := nearest(key, NodeKind))), "")
            self._tell(self._place, f'The step "{self._name}" does nothing: give it one of {words}.{near}')
        else:
            both = " and ".join(kinds)
            self._tell(node.keys[kinds[1].value], f'The step "{self._name}" has {both}: a step does one of them.')
        return None

    def _check_keys(self, node: Node, known: Collection[str], what: str) -> None:
        for key in node.value:
            if key not in known:
                self._tell(node.keys[key], f'{what} takes no "{key}".{did_you_mean(key, known)}')

    def _target(self, kind: NodeKind, node: Node, roots: frozenset[str], surroundings: Surroundings) -> Any:
        if kind is NodeKind.TASK:
            return self._uses(node, surroundings)
        if kind is NodeKind.SLEEP:
            return self._duration(node, "sleep", roots)
        if kind is NodeKind.SLEEP_UNTIL:
            return self._time(node, roots)
        found = self.tree(node, roots) if isinstance(node.value, str) else node.plain()
        if isinstance(found, Template) or (found is None and isinstance(node.value, str)):
            return found
        if kind is NodeKind.WAIT:
            try:
                require_sent_type(found)
            except WorkflowFatalError as error:
                self._tell(node.place, f"wait_for_event: {error.message}")
        elif not isinstance(found, str):
            self._tell(node.place, f"workflow is the name of one, got {echo(found)}.")
        elif surroundings.workflows is not None and found not in surroundings.workflows:
            hint = did_you_mean(found, surroundings.workflows)
            self._tell(node.place, f'There is no workflow "{found}".{hint}')
        return found

    def _uses(self, node: Node, surroundings: Surroundings) -> FileFunction | BindingMethod | None:
        found = parse_uses(node.value)
        if found is None:
            forms = '"./file.py:function" or "binding:NAME.method"'
            self._tell(node.place, f"uses is {forms}, got {echo(node.plain())}.")
        elif isinstance(found, FileFunction):
            wrong = surroundings.folder and missing_function(surroundings.folder, found.path, found.name)
            if wrong:
                self._tell(node.place, wrong)
        elif surroundings.bindings is not None and found.binding not in surroundings.bindings:
            hint = did_you_mean(found.binding, surroundings.bindings)
            self._tell(node.place, f'There is no binding "{found.binding}".{hint}')
        return found

    def _arguments(self, members: dict[str, Node], roots: frozenset[str], kind: NodeKind) -> Any:
        node = members.get("with")
        if node is None:
            return {}
        if kind is NodeKind.TASK and not isinstance(node.value, dict | list):
            self._tell(node.place, f"with is a map of named arguments, or a list of arguments, got {node.kind}.")
        return self.tree(node, roots)

    def _condition(self, members: dict[str, Node], roots: frozenset[str]) -> Any:
        node = members.get("if")
        if node is None or isinstance(node.value, bool):
            return True if node is None else node.value
        found = self.tree(node, roots) if isinstance(node.value, str) else node.plain()
        is_one = isinstance(found, Template) and len(found.parts) == 1
        if not is_one and found is not None:
            self._tell(node.place, f'if is one "${{...}}", or true or false, got {echo(node.plain())}.')
        return found

    def _for_each(self, members: dict[str, Node]) -> Any:
        node = members.get("for_each")
        if node is None:
            if "max_parallel" in members:
                self._tell(members["max_parallel"].place, "max_parallel is of a step with for_each.")
            return None
        found = self.tree(node, _ROOTS)
        if not isinstance(found, list | Template) and found is not None:
            self._tell(node.place, f'for_each is a list, or "${{...}}" that gives one, got {echo(node.plain())}.')
        return found if found is not None else []

    def _max_parallel(self, members: dict[str, Node]) -> int:
        node = members.get("max_parallel")
        if node is None:
            return MAX_PARALLEL_DEFAULT
        if type(node.value) is not int or node.value < 1:
            self._tell(node.place, f"max_parallel is a whole number from 1, got {echo(node.plain())}.")
            return MAX_PARALLEL_DEFAULT
        return node.value

    def _config(self, members: dict[str, Node]) -> dict[str, Any]:
        """What `step.do` gets; each member is checked alone, by the engine's own rules."""
        config: dict[str, Any] = {}
        for key in _CONFIG_KEYS:
            if (node := members.get(key)) is None:
                continue
            config[key] = node.plain()
            if key == "timeout":
                self._duration(node, key, frozenset())
                continue
            try:
                read_config(self._name, {key: config[key]})
            except WorkflowFatalError:
                self._tell(node.place, f"{key} is {_CONFIG_SHAPES[key]}, got {echo(config[key])}.")
        return config

    def _duration(self, node: Node | None, key: str, roots: frozenset[str]) -> Any:
        if node is None:
            return None
        found = self.tree(node, roots) if roots else node.plain()
        if isinstance(found, Template) or (found is None and isinstance(node.value, str)):
            return found
        try:
            duration_ms = parse_duration_ms(found, key)
        except WorkflowFatalError as error:
            self._tell(node.place, error.message)
            return None
        if key == "timeout" and duration_ms <= 0:
            self._tell(node.place, "timeout is more than 0.")
        return found

    def _time(self, node: Node, roots: frozenset[str]) -> Any:
        found = self.tree(node, roots) if isinstance(node.value, str) else node.plain()
        if isinstance(found, Template) or (found is None and isinstance(node.value, str)):
            return found
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        if not is_number and not (isinstance(found, str) and _is_iso(found)):
            self._tell(node.place, f"sleep_until is an ISO 8601 text, or Unix milliseconds, got {echo(found)}.")
        return found

    def _is_cascading(self, members: dict[str, Node]) -> bool:
        node = members.get("cascade")
        if node is not None and not isinstance(node.value, bool):
            self._tell(node.place, f"cascade is true or false, got {echo(node.plain())}.")
        return node is not None and node.value is True

    def _rollback(self, node: Node | None, roots: frozenset[str], surroundings: Surroundings) -> Undo | None:
        if node is None:
            return None
        if not isinstance(node.value, dict) or "uses" not in node.value:
            self._tell(node.place, "rollback is a map with uses: what undoes the step.")
            return None
        self._check_keys(node, _UNDO_KEYS, "A rollback")
        uses = self._uses(node.value["uses"], surroundings)
        self._may_refer_to_itself = True
        arguments = self._arguments(node.value, roots | _UNDO_ROOTS, NodeKind.TASK)
        self._may_refer_to_itself = False
        config = self._config(node.value)
        return None if uses is None else Undo(uses, arguments, config)

    def _needs(self, members: dict[str, Node]) -> tuple[str, ...]:
        """Those it names, and those it refers to."""
        node = members.get("needs")
        named: list[str] = []
        if node is not None:
            if isinstance(node.value, str):
                items = [node]
            elif isinstance(node.value, list):
                items = node.value
            else:
                self._tell(node.place, f"needs is a list of steps, got {node.kind}.")
                items = []
            for item in items:
                if not isinstance(item.value, str):
                    self._tell(item.place, f"needs is a list of names, got {echo(item.plain())} in it.")
                elif item.value not in self._known:
                    self._tell(item.place, f'There is no step "{item.value}".{did_you_mean(item.value, self._known)}')
                elif item.value in named:
                    self._tell(item.place, f'needs has "{item.value}" twice.')
                else:
                    named.append(item.value)
        return tuple(dict.fromkeys([*named, *self._references]))

    def _check_path(self, path: Path, roots: frozenset[str], place: Place) -> None:
        root, *rest = path.parts
        if root not in roots:
            hint = " It is there in a step with for_each." if root in _ITEM_ROOTS else did_you_mean(str(root), roots)
            self._tell(place, f'Nothing is called "{root}" here.{hint}')
            return
        if root == "instance" and rest[:1] not in (["id"], ["workflow"]):
            self._tell(place, "instance has id and workflow.")
        if root != "steps":
            return
        if not rest or rest[0] not in self._known:
            name = str(rest[0]) if rest else ""
            self._tell(place, f'There is no step "{name}".{did_you_mean(name, self._known)}')
            return
        if len(rest) == 1 or rest[1] not in OF_A_STEP:
            self._tell(place, f"steps.{rest[0]} has {' and '.join(OF_A_STEP)}: write steps.{rest[0]}.out.")
        if rest[0] == self._name and self._may_refer_to_itself:
            return
        self._references.append(str(rest[0]))

    def _place_of(self, node: Node, source: str) -> Place:
        """Where a part of a text stands; the text itself when it is not in the same line."""
        line = self._lines[node.place.line - 1] if node.place.line <= len(self._lines) else ""
        at = line.find(source, node.place.column - 1)
        return node.place if at < 0 else Place(node.place.line, at + 1)

    def _tell(self, place: Place, text: str) -> None:
        self._problems.add(place, text)


_CONFIG_SHAPES = {
    "retries": "limit (0 to 10,000) and delay (a duration), with or without backoff (constant, linear, exponential)",
    "sensitive": '"output"',
    "semantics": '"at_least_once" or "at_most_once"',
}


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
