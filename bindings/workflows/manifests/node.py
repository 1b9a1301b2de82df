"""The tree of a manifest's text: values that know where they are written. YAML and JSON give the same one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .problems import ManifestError, Place, Problem, Problems

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT_BYTES_MAX = 256 * 1024
NODES_MAX = 50_000
"""Values in one manifest, each use of a YAML alias counted again: ten lines of aliases can stand for billions."""
DEPTH_MAX = 40

_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a map",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One value. `value` holds None, bool, int, float or str; a list of nodes; a dict of nodes by key."""

    value: Any
    place: Place
    keys: Mapping[str, Place] = field(default_factory=dict)
    """Where the keys of a map are written."""
    size: int = 1
    """How many values it stands for, itself included."""

    @property
    def kind(self) -> str:
        """As messages call it."""
        return _KINDS[type(self.value)]

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


class TextProblem(Exception):  # noqa: N818 - turned into a ManifestError, which knows the file, before anyone sees it
    """The text cannot be read on from `place`."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place
        self.text = text


def read_tree(text: str, file: str, problems: Problems) -> Node:
    """The tree of a text; JSON when it begins with a brace and `file` is not named as YAML.

    What is wrong and does not stop the reading, as a key that is there twice, is added to `problems`.

    Raises:
        ManifestError: the text is too large, or breaks its grammar.
        UnsupportedError: it is YAML, and the library to read it is not installed.
    """
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > TEXT_BYTES_MAX:
        problem = f"The manifest has {size_bytes:,} bytes. The limit is {TEXT_BYTES_MAX:,}."
        raise ManifestError(file, [Problem(Place(), problem)])
    is_json = file.endswith(".json") or (not is_yaml_file(file) and text.lstrip("\ufeff \t\r\n").startswith("{"))
    try:
        if is_json:
            from .json_text import read_json  # noqa: PLC0415 - one of two grammars, and only YAML's needs a library

            return read_json(text, problems)
        from .yaml_text import read_yaml  # noqa: PLC0415 - and the other way round

        return read_yaml(text, problems)
    except TextProblem as problem:
        raise ManifestError(file, [*problems.found, Problem(problem.place, problem.text)]) from None


def is_yaml_file(file: str) -> bool:
    return file.endswith((".yaml", ".yml"))
