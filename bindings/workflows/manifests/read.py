"""Text -> Manifest. Every problem is collected, and told at once with its line and column."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import NAME_CHARS_MAX
from .edges import put_in_order
from .manifest import Manifest
from .node import read_tree
from .params_schema import read_schema
from .problems import ManifestError, Problems, did_you_mean, echo
from .read_step import STEP_NAME, StepReader

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path as FilePath

    from .manifest import Step
    from .node import Node
    from .params_schema import ParamsSchema

KIND = "Workflow/v1"
STEPS_MAX = 1_000
"""Of one manifest; a `for_each` makes more of one."""
_KEYS = ("kind", "name", "description", "params", "steps", "output")
_NAME = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9-_]{{0,{NAME_CHARS_MAX - 1}}}", re.ASCII)


class Surroundings(NamedTuple):
    """What a manifest may name. None: not known here, and not checked."""

    folder: FilePath | None = None
    """The Worker's import root."""
    bindings: Collection[str] | None = None
    workflows: Collection[str] | None = None


def read_manifest(
    text: str, file: str = "manifest.yaml", *, name: str | None = None, surroundings: Surroundings | None = None
) -> Manifest:
    """Read a manifest.

    Args:
        name: what the workflow is called; else the manifest's own `name` is.
        file: what problems are told of; a name that ends in .json is read as JSON.
        surroundings: None for one that was taken before, which is not judged again.

    Raises:
        ManifestError: with every problem that was found.
        UnsupportedError: it is YAML, and PyYAML is not installed.
    """
    problems = Problems()
    root = read_tree(text, file, problems)
    reader = _Reader(problems, surroundings)
    manifest = reader.manifest(root, text, file, name)
    if problems.found:
        raise ManifestError(file, problems.found)
    assert manifest is not None, "what has no problems was read"
    return manifest


class _Reader:
    def __init__(self, problems: Problems, surroundings: Surroundings | None) -> None:
        self._problems = problems
        self._surroundings = surroundings or Surroundings()

    def manifest(self, root: Node, text: str, file: str, name: str | None) -> Manifest | None:
        if not isinstance(root.value, dict):
            self._problems.add(root.place, f"A manifest is a map with steps, got {root.kind}.")
            return None
        for key in root.value:
            if key not in _KEYS:
                self._problems.add(root.keys[key], f'A manifest has no "{key}".{did_you_mean(key, _KEYS)}')
        self._check_kind(root)
        found_name = self._name(root, name)
        params = self._params(root.value.get("params"))
        self._steps = self._read_steps(root, text)
        output = self._output(root.value.get("output"), text)
        ordered = put_in_order(self._steps, self._problems)
        plain = {key: node.plain() for key, node in root.value.items() if key not in {"name", "description"}}
        return Manifest(found_name, _hash(plain), ordered, params, output, text, file)

    def _check_kind(self, root: Node) -> None:
        kind = root.value.get("kind")
        if kind is None:
            self._problems.add(root.place, f"A manifest begins with kind: {KIND}.")
        elif kind.value != KIND:
            self._problems.add(kind.place, f"kind is {KIND}, got {echo(kind.plain())}.")

    def _name(self, root: Node, given: str | None) -> str:
        node = root.value.get("name")
        if node is None:
            if given is None:
                self._problems.add(root.place, "The manifest has no name: add name: and what the workflow is called.")
            return given or ""
        if not isinstance(node.value, str) or not _NAME.fullmatch(node.value):
            shape = f"1 to {NAME_CHARS_MAX} letters, digits, - and _"
            self._problems.add(node.place, f"name is {shape}, got {echo(node.plain())}.")
            return given or ""
        if given is not None and given != node.value:
            message = f'The manifest is of "{node.value}", and was given as "{given}": leave one out.'
            self._problems.add(node.place, message)
        return str(node.value)

    def _params(self, node: Node | None) -> ParamsSchema | None:
        if node is None:
            return None
        if not isinstance(node.value, dict) or node.value.keys() - {"schema"}:
            self._problems.add(node.place, "params has one member, schema: a JSON Schema.")
            return None
        schema = node.value.get("schema")
        return None if schema is None else read_schema(schema, self._problems)

    def _read_steps(self, root: Node, text: str) -> dict[str, Step]:
        node = root.value.get("steps")
        if node is None or not isinstance(node.value, dict) or not node.value:
            place = root.place if node is None else node.place
            self._problems.add(place, "A manifest has steps: a map of names to what each does.")
            return {}
        if len(node.value) > STEPS_MAX:
            self._problems.add(node.place, f"A manifest has at most {STEPS_MAX:,} steps, got {len(node.value):,}.")
            return {}
        found: dict[str, Step] = {}
        for name, step in node.value.items():
            if not STEP_NAME.fullmatch(name):
                shape = "a letter or _, then up to 63 letters, digits, - and _"
                self._problems.add(node.keys[name], f"The name of a step is {shape}, got {echo(name)}.")
            reader = StepReader(name, node.keys[name], frozenset(node.value), self._problems, text)
            if (read := reader.step(step, self._surroundings)) is not None:
                found[name] = read
        return found

    def _output(self, node: Node | None, text: str) -> Any:
        if node is None:
            return None
        reader = StepReader("output", node.place, frozenset(self._steps), self._problems, text)
        return reader.tree(node, frozenset({"params", "steps", "instance"}))


def _hash(plain: object) -> str:
    """The version: two texts that say the same have the same. As long as a UUID, which Cloudflare's versions are."""
    canonical = json.dumps(plain, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
