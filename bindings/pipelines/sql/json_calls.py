"""JSON functions inside a query: for documents that are computed there, and for paths that are no constants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
from datafusion import udf

from .json_extract import Extractor
from .json_kinds import Want
from .json_values import ARROW_TYPES, result_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from datafusion import SessionContext

    from .json_kinds import Step
    from .rewrite import JsonCall


def register_json_call(context: SessionContext, call: JsonCall) -> None:
    """Make `call` known to the context under its name."""
    takes = [pa.string()] * (1 + 2 * call.key_count)
    function = _dynamic(call) if call.key_count else _constant(call)
    context.register_udf(udf(function, takes, result_field(call.name, call.want.kind), "immutable", call.name))


def _constant(call: JsonCall) -> Callable[..., pa.Array]:
    extractor = Extractor([call.want])

    def read(documents: pa.Array) -> pa.Array:
        return extractor.extract(documents)[0]

    return read


def _dynamic(call: JsonCall) -> Callable[..., pa.Array]:
    kind = call.want.kind

    def read(documents: pa.Array, *keys: pa.Array) -> pa.Array:
        """`keys`: for each step its Arrow type's name, then its text. Rows with the same path are read together."""
        parts = [each.to_pylist() for each in keys]
        rows_by_path: dict[tuple[Step, ...] | None, list[int]] = {}
        for row in range(len(documents)):
            rows_by_path.setdefault(_path([part[row] for part in parts]), []).append(row)
        found = [pa.nulls(0, ARROW_TYPES[kind])]
        order: list[int] = []
        for path, rows in rows_by_path.items():
            texts = documents.take(pa.array(rows, pa.int64()))
            is_null = path is None
            found.append(
                pa.nulls(len(rows), ARROW_TYPES[kind])
                if path is None or is_null
                else Extractor([Want(kind, path)]).extract(texts)[0]
            )
            order += rows
        return pa.concat_arrays(found).take(_inverse(order))

    return read


def _path(parts: list[str | None]) -> tuple[Step, ...] | None:
    """Type names and texts, in turn, as steps; None where a step is NULL."""
    steps: list[Step] = []
    for type_name, text in zip(parts[::2], parts[1::2], strict=True):
        if text is None:
            return None
        steps.append(int(text) if re.match("U?Int", type_name or "") else text)
    return tuple(steps)


def _inverse(order: list[int]) -> pa.Array:
    places = [0] * len(order)
    for place, row in enumerate(order):
        places[row] = place
    return pa.array(places, pa.int64())
