"""The vocabulary of the JSON layer: what a path is, and the kinds of value one may ask for at its end."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "value", "text", "json", "str", "str_or_empty", "int", "float", "bool", "number", "length", "contains", "nodes",
    "node_str",
]  # fmt: skip


class Inside(enum.Enum):
    """A step of a path: where the value is a string, go on in the JSON that it holds (`->>` and then a path)."""

    TEXT = 0


Step: TypeAlias = str | int | Inside
Path: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """One value to take out of a document: `kind` of what is at `path`. `query`: a JSONPath to ask there."""

    kind: Kind
    path: Path
    query: str = ""


CAST_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("BOOL", "BOOLEAN"), "bool"),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "INT2", "INT4", "INT8", "INTEGER", "MEDIUMINT", "BIGINT"), "int"),
    **dict.fromkeys(("FLOAT", "FLOAT4", "FLOAT8", "FLOAT32", "FLOAT64", "REAL", "DOUBLE"), "float"),
    **dict.fromkeys(("DECIMAL", "NUMERIC", "DEC", "BIGDECIMAL", "BIGNUMERIC"), "number"),
}
"""First word of a type -> the kind that `json_get(...)::type` reads; every other type is cast from the text."""
