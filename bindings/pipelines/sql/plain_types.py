"""The engine's own string and list layouts as the plain ones every sink can write."""

from __future__ import annotations

import pyarrow as pa


def plain_field(field: pa.Field) -> pa.Field:
    """The field with its type in plain layout; any row may be null. The mark of JSON text stays on text."""
    type_ = _plain(field.type)
    return pa.field(field.name, type_, metadata=field.metadata if pa.types.is_string(type_) else None)


def unwritable_type(type_: pa.DataType) -> pa.DataType | None:
    """What of a type is neither JSON nor Parquet; None: all of it can be written."""
    if pa.types.is_map(type_):
        return type_ if pa.types.is_nested(type_.key_type) else unwritable_type(type_.item_type)
    if pa.types.is_struct(type_):
        return next((bad for each in type_ if (bad := unwritable_type(each.type)) is not None), None)
    if pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_):
        return unwritable_type(type_.value_type)
    return type_ if pa.types.is_nested(type_) or pa.types.is_interval(type_) else None


def _plain(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(type_) or pa.types.is_large_string(type_):
        return pa.string()
    if pa.types.is_binary_view(type_) or pa.types.is_large_binary(type_):
        return pa.binary()
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(_plain(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([plain_field(each) for each in type_])
    return type_
