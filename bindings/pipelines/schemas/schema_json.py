"""A schema as the REST API, wrangler's schema files and edge.toml write it: `{"fields": [...]}`.

    {"name": "seen_at", "type": "timestamp", "unit": "millisecond", "required": true}
    {"name": "tags", "type": "list", "items": {"type": "string"}}
    {"name": "md", "type": "struct", "fields": [...]}
    {"name": "price", "type": "decimal128", "precision": 12, "scale": 2}

`bytes`, as wrangler's builder writes it, is taken for `binary`, which is what the API returns.
Source: Cloudflare API reference, "Pipelines: streams"; workers-sdk packages/wrangler/src/pipelines/types.ts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

from ....runtime.core.errors import EdgeError
from .schema import Field, FieldType, Schema, TimestampUnit

if TYPE_CHECKING:
    from collections.abc import Iterable

NESTING_MAX = 10
"""Lists and structs inside each other, the top level counted. Source: `wrangler types` stops there."""
FIELD_COUNT_MAX = 1000
"""Of one schema, all levels together. Ours."""
NAME_CHARS_MAX = 255
PRECISION_MAX = 38
RESERVED_PREFIX = "__edge_"
"""Names of the columns that travel hidden beside a record's own (sinks/sink.py)."""

_TYPES = get_args(FieldType)
_UNITS = get_args(TimestampUnit)


class SchemaProblem(NamedTuple):
    path: str
    """From the schema down: `fields[2].items.unit`."""
    message: str


class SchemaError(EdgeError):
    """Raised when an object is no schema; carries every problem found. `str()` has one a line, each with its path."""

    http_status = 400

    def __init__(self, problems: Iterable[SchemaProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{path}: {message}" for path, message in self.problems))


def schema_from_json(value: object) -> Schema:
    """The schema that `value` describes. Keys that nobody knows are left alone, as by the API.

    Raises:
        SchemaError: it describes none.
    """
    reader = _Reader()
    schema = Schema(reader.schema_fields(value))
    if reader.problems:
        raise SchemaError(reader.problems)
    return schema


def schema_to_json(schema: Schema) -> dict[str, Any]:
    """The API's object; `schema_from_json` makes the same schema of it again."""
    return {"fields": [_field_to_json(field) for field in schema.fields]}


def _field_to_json(field: Field, *, is_item: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {} if is_item else {"name": field.name}
    shown |= {"type": "binary" if field.type == "bytes" else field.type, "required": field.required}
    for key in ("unit", "precision", "scale", "metadata_key", "sql_name"):
        if (value := getattr(field, key)) is not None:
            shown[key] = value
    if field.items is not None:
        shown["items"] = _field_to_json(field.items, is_item=True)
    if field.type == "struct":
        shown["fields"] = [_field_to_json(child) for child in field.fields]
    return shown


class _Reader:
    """Reads one schema and collects what is wrong with it; a field with a problem is never seen outside."""

    def __init__(self) -> None:
        self.problems: list[SchemaProblem] = []
        self._field_count = 0

    def schema_fields(self, value: object) -> tuple[Field, ...]:
        if not isinstance(value, dict):
            self._say("schema", f"expected an object with `fields`, got {_type_name(value)}")
            return ()
        fields = self._fields(value, "", 1)
        names = {field.sql_name or field.name for field in fields}
        for name in sorted(name for name in names if name.startswith(RESERVED_PREFIX)):
            self._say("fields", f"the name {name} is reserved: Edge's own columns begin with {RESERVED_PREFIX}")
        return fields

    def _fields(self, owner: dict[str, Any], path: str, depth: int) -> tuple[Field, ...]:
        """The fields of the schema or of a struct; `path` is empty or ends in a dot."""
        where = f"{path}fields"
        values = owner.get("fields")
        if not isinstance(values, list):
            found = "nothing" if values is None else _type_name(values)
            self._say(where, f"expected an array of fields, got {found}")
            return ()
        if not values:
            self._say(where, "expected at least one field")
        named = (self._named_field(value, f"{where}[{index}]", depth) for index, value in enumerate(values))
        fields = tuple(field for field in named if field is not None)
        self._say_repeated(where, "name", [field.name for field in fields])
        if any(field.sql_name for field in fields):
            self._say_repeated(where, "column name", [field.sql_name or field.name for field in fields])
        return fields

    def _say_repeated(self, where: str, what: str, names: list[str]) -> None:
        for name, count in Counter(names).items():
            if count > 1:
                self._say(where, f"{count} fields have the {what} {name!r}; give each its own")

    def _named_field(self, value: object, path: str, depth: int) -> Field | None:
        field = self._field(value, path, depth)
        if field is not None and isinstance(value, dict):
            name = value.get("name")
            if not isinstance(name, str) or not name:
                found = f"expected a string, got {_type_name(name)}" if name else "expected a name, got nothing"
                self._say(f"{path}.name", found)
                return None
            self._check_name(name, f"{path}.name")
        return field

    def _field(self, value: object, path: str, depth: int) -> Field | None:
        self._field_count += 1
        if self._field_count > FIELD_COUNT_MAX:
            if self._field_count == FIELD_COUNT_MAX + 1:
                self._say(path, f"a schema has at most {FIELD_COUNT_MAX:,} fields, nested ones counted")
            return None
        if not isinstance(value, dict):
            self._say(path, f"expected an object with `name` and `type`, got {_type_name(value)}")
            return None
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in _TYPES:
            self._say(f"{path}.type", f"expected one of {', '.join(_TYPES)}; got {_shown(kind)}")
            return None
        name = value.get("name")
        return Field(
            type="binary" if kind == "bytes" else kind,  # type: ignore[arg-type]  # checked against FieldType above
            name=name if isinstance(name, str) else "",
            required=self._optional(value, "required", bool, path) or False,
            unit=self._unit(value, path) if kind == "timestamp" else None,
            items=self._items(value, path, depth) if kind == "list" else None,
            fields=self._children(value, path, depth) if kind == "struct" else (),
            precision=self._count(value, "precision", 1, PRECISION_MAX, path) if kind == "decimal128" else None,
            scale=self._count(value, "scale", 0, PRECISION_MAX, path) if kind == "decimal128" else None,
            metadata_key=self._optional(value, "metadata_key", str, path),
            sql_name=self._sql_name(value, path),
        )

    def _items(self, value: dict[str, Any], path: str, depth: int) -> Field | None:
        if value.get("items") is None:
            self._say(f"{path}.items", "a list needs `items`, the type of what is in it; got nothing")
            return None
        if self._is_too_deep(path, depth):
            return None
        item = self._field(value["items"], f"{path}.items", depth + 1)
        return None if item is None else _unnamed(item)

    def _children(self, value: dict[str, Any], path: str, depth: int) -> tuple[Field, ...]:
        return () if self._is_too_deep(path, depth) else self._fields(value, f"{path}.", depth + 1)

    def _is_too_deep(self, path: str, depth: int) -> bool:
        if depth >= NESTING_MAX:
            self._say(path, f"nested deeper than {NESTING_MAX} levels; use type json from here on")
        return depth >= NESTING_MAX

    def _unit(self, value: dict[str, Any], path: str) -> TimestampUnit | None:
        unit: Any = value.get("unit", "millisecond")  # the API marks it optional, and JavaScript's times are these
        if unit not in _UNITS:
            self._say(f"{path}.unit", f"a timestamp needs one of {', '.join(_UNITS)}; got {_shown(unit)}")
            return None
        return cast("TimestampUnit", unit)

    def _count(self, value: dict[str, Any], key: str, least: int, most: int, path: str) -> int | None:
        number = value.get(key)
        if key == "scale" and isinstance(precision := value.get("precision"), int):
            most = min(most, precision)
        if type(number) is not int or not least <= number <= most:
            self._say(f"{path}.{key}", f"decimal128 needs a whole number from {least} to {most}; got {_shown(number)}")
            return None
        return number

    def _sql_name(self, value: dict[str, Any], path: str) -> str | None:
        name = self._optional(value, "sql_name", str, path)
        if name:
            self._check_name(name, f"{path}.sql_name")
        return name or None

    def _check_name(self, name: str, path: str) -> None:
        if len(name) > NAME_CHARS_MAX:
            self._say(path, f"a name has at most {NAME_CHARS_MAX} characters, got {len(name)}")
        elif any(character in '"\\' or not character.isprintable() for character in name):
            self._say(path, 'a name is printable text without " and \\')

    def _optional(self, value: dict[str, Any], key: str, kind: type, path: str) -> Any:
        found = value.get(key)
        if found is not None and type(found) is not kind:
            self._say(f"{path}.{key}", f"expected {_NAMES[kind]}, got {_type_name(found)}")
            return None
        return found

    def _say(self, path: str, message: str) -> None:
        self.problems.append(SchemaProblem(path, message))


def _unnamed(item: Field) -> Field:
    """Items of a list have no name; some clients send one."""
    if not item.name and not item.sql_name:
        return item
    return Field(item.type, "", item.required, item.unit, item.items, item.fields, item.precision, item.scale)


_NAMES = {dict: "object", list: "array", str: "string", bool: "true or false", int: "number", float: "number"}


def _type_name(value: object) -> str:
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value) if isinstance(value, str | int | float) else _type_name(value)
