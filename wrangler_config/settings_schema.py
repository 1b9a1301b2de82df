"""The JSON Schema of edge.toml and edge.jsonc, for editors; made from the dataclasses that check them.

    edge check --schema > edge.schema.json

`#:schema ./edge.schema.json` on the first line of edge.toml, or `"$schema"` in edge.jsonc, names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

from .settings import CORE_SECTIONS, checked_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .section import ProductSettings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {
    "description": "The value of a variable of .dev.vars, .env or the process.",
    "type": "object",
    "properties": {"env": {"type": "string"}},
    "required": ["env"],
    "additionalProperties": False,
}
_TEXT = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/reference"}]}


def settings_schema(products: Sequence[ProductSettings]) -> dict[str, Any]:
    """The schema, with the sections that bindings bring."""
    types: dict[str, Any] = {name: checked_type(cls) for name, cls in CORE_SECTIONS.items()}
    for product in products:
        types |= product.types
    definitions = _Definitions(types)
    sections = {name: definitions.section(name, kind) for name, kind in types.items()}
    level = {"type": "object", "properties": sections, "additionalProperties": False}
    return {
        "$schema": _DIALECT,
        "title": "Edge settings",
        "type": "object",
        "properties": {
            "$schema": {"type": "string"},
            **sections,
            "env": {"type": "object", "additionalProperties": level},
        },
        "additionalProperties": False,
        "$defs": {**definitions.shared, "reference": _REFERENCE, "text": _TEXT},
    }


class _Definitions:
    """pydantic's schemas of every dataclass that edge.toml is made of; those used twice are shared."""

    def __init__(self, types: dict[str, Any]) -> None:
        from pydantic import TypeAdapter  # noqa: PLC0415 - see settings_values.py

        self._rests = {
            name: entry.rest_types() for name, kind in types.items() if hasattr(entry := _entry(kind), "rest_types")
        }
        wanted = {(name, ""): _entry(kind) for name, kind in types.items()}
        wanted |= {(name, tag): rest.cls for name, rests in self._rests.items() for tag, rest in rests.items()}
        made, shared = TypeAdapter.json_schemas(
            [(key, "validation", TypeAdapter(cls)) for key, cls in wanted.items()], ref_template="#/$defs/{model}"
        )
        self._made = {key: _with_references(schema) for (key, _), schema in made.items()}
        self.shared = {
            name: {**schema, "additionalProperties": False} if "properties" in schema else schema
            for name, schema in _with_references(shared.get("$defs", {})).items()
        }

    def section(self, name: str, kind: Any) -> dict[str, Any]:
        entry = self._object(name, "")
        if name in self._rests:
            rest_field = _entry(kind).REST
            entry = {"anyOf": [self._with_rest(name, tag, entry, rest_field) for tag in self._rests[name]]}
        if get_origin(kind) is tuple:
            return {"type": "array", "items": entry}
        return {"type": "object", "additionalProperties": entry} if get_args(kind) else entry

    def _object(self, name: str, tag: str) -> dict[str, Any]:
        """A dataclass's own object schema, not a reference to it."""
        schema: dict[str, Any] = self._made[name, tag]
        return self.shared[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    def _with_rest(self, name: str, tag: str, own: dict[str, Any], rest_field: str) -> dict[str, Any]:
        """An entry of one `type`: the members of its own dataclass and those of the type's."""
        rest, rest_type = self._object(name, tag), self._rests[name][tag]
        properties = {key: value for key, value in own["properties"].items() if key != rest_field}
        properties |= rest.get("properties", {})
        for secret in rest_type.secrets:
            properties[secret] = _only_references(properties[secret])
        return {
            "title": tag,
            "type": "object",
            "properties": {**properties, "type": {"const": tag}},
            "required": sorted({"type", *own.get("required", ()), *rest.get("required", ())} - {rest_field}),
            "additionalProperties": False,
        }


def _entry(kind: Any) -> Any:
    """The dataclass of a section's entries."""
    if get_origin(kind) is tuple:
        return get_args(kind)[0]
    return get_args(kind)[1] if get_args(kind) else kind


def _with_references(schema: Any) -> Any:
    """The schema with `{ env = "NAME" }` allowed wherever any text is."""
    if isinstance(schema, list):
        return [_with_references(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and "enum" not in schema and "const" not in schema:
        kept = {key: value for key, value in schema.items() if key != "type"}
        return {**kept, "$ref": "#/$defs/text"}
    return {key: _with_references(value) for key, value in schema.items()}


def _only_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a secret that is one text: the reference alone."""
    text = {"$ref": "#/$defs/text"}
    if schema.get("$ref") == text["$ref"] or text in schema.get("anyOf", ()):
        return {"$ref": "#/$defs/reference"}
    return schema
