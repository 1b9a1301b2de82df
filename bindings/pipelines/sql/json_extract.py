"""Path shredding: every path an INSERT reads from one JSON column, extracted in one pass over it.

The paths form a tree. Each level of it is one msgspec Struct with the wanted keys as raw bytes: one decode per object
finds them all, checks the syntax of the whole document and makes nothing of the rest. The work goes column by column:
a level takes the bytes of every row and hands each child the bytes of every row. A row is None where there is no
document (SQL NULL, or text that is no JSON) and b"" where the path leads nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from .json_columns import BAD_JSON, column_maker
from .json_kinds import Inside
from .json_values import decode_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from .json_kinds import Step, Want

    Rows: TypeAlias = "list[bytes | None]"


class Extractor:
    """Takes every wanted value out of a column of JSON texts."""

    def __init__(self, wants: Sequence[Want]) -> None:
        self._makers = [column_maker(want) for want in wants]
        self._root = _Node()
        for slot, want in enumerate(wants):
            node = self._root
            for step in want.path:
                node = node.children.setdefault(step, _Node())
            node.slots.append(slot)
        self._root.prepare()

    def extract(self, column: pa.Array) -> list[pa.Array]:
        """One array per want, as long as the column."""
        found: dict[int, Rows] = {}
        texts = column.to_pylist()
        if self._root.reads_keys_only:
            self._root.visit_keys(texts, _nowhere_if_json, found)
        else:
            self._root.visit(_documents(texts), found)
        return [make(found[slot]) for slot, make in enumerate(self._makers)]


@dataclass(slots=True)
class _Node:
    slots: list[int] = field(default_factory=list)
    children: dict[Step, _Node] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    """The string steps that can be the name of a Struct's field."""
    decode: Callable[[bytes], Any] = bytes
    """An object's bytes -> a Struct with a Raw for each of `keys`."""

    @property
    def reads_keys_only(self) -> bool:
        return not self.slots and len(self.keys) == len(self.children)

    def prepare(self) -> None:
        self.keys = [step for step in self.children if isinstance(step, str) and _FIELD_NAME.fullmatch(step)]
        fields = [(_name(n), msgspec.Raw, msgspec.field(default=_NOWHERE, name=key)) for n, key in enumerate(self.keys)]
        self.decode = msgspec.json.Decoder(msgspec.defstruct("Keys", fields, gc=False)).decode
        for child in self.children.values():
            child.prepare()

    def visit(self, rows: Rows, found: dict[int, Rows]) -> None:
        """Fill the slots at and below this node. `rows` are known to be JSON, or b"" or None."""
        found.update(dict.fromkeys(self.slots, rows))
        if self.keys:
            self.visit_keys(rows, lambda _: b"", found)
        for step, child in self.children.items():
            if isinstance(step, int):
                lists = _each(_decode_items, rows, lambda _: ())
                child.visit([None if each is None else _item(each, step) for each in lists], found)
            elif isinstance(step, str) and step not in self.keys:
                objects = _each(_decode_object, rows, lambda _: {})
                child.visit([None if each is None else bytes(each.get(step, _NOWHERE)) for each in objects], found)
            elif step is Inside.TEXT:
                texts = _each(decode_text, rows, _none)
                child.visit(
                    [None if row is None else inner or b"" for row, inner in zip(rows, _documents(texts), strict=True)],
                    found,
                )

    def visit_keys(self, rows: Sequence[Any], otherwise: Callable[[Any], bytes | None], found: dict[int, Rows]) -> None:
        """Go on below the wanted keys; `otherwise` says what a row that is no object is."""
        empty = self.decode(b"{}")
        objects = _each(self.decode, rows, lambda row: None if otherwise(row) is None else empty)
        for n, key in enumerate(self.keys):
            get = attrgetter(_name(n))
            self.children[key].visit([None if each is None else bytes(get(each)) for each in objects], found)


def _each(function: Callable[[Any], Any], rows: Sequence[Any], otherwise: Callable[[Any], Any]) -> list[Any]:
    """`function` of each row; `otherwise` of the rows it refuses; None stays None."""
    try:
        return [None if row is None else function(row) for row in rows]
    except BAD_JSON:
        return [None if row is None else _one(function, row, otherwise) for row in rows]


def _one(function: Callable[[Any], Any], row: Any, otherwise: Callable[[Any], Any]) -> Any:
    try:
        return function(row)
    except BAD_JSON:
        return otherwise(row)


def _documents(texts: Sequence[str | None]) -> Rows:
    """The texts that are JSON, as bytes; the others are None."""
    return _each(lambda text: bytes(_decode_raw(text)), texts, _none)


def _nowhere_if_json(text: str) -> bytes | None:
    return b"" if _documents([text])[0] is not None else None


def _item(items: Sequence[msgspec.Raw], index: int) -> bytes:
    return bytes(items[index]) if 0 <= index < len(items) else b""


def _none(_: object) -> None:
    return None


def _name(n: int) -> str:
    return f"key{n}"


_NOWHERE = msgspec.Raw(b"")
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_FIELD_NAME = re.compile(r'[^\\"\x00-\x1f]*')
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
