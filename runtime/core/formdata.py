"""FormData: the fields of a form, in order, names may repeat; values are text or Files.

One class serves `workers.FormData` and `js.FormData`: the members of both are here, and `js_object` is the object
itself.
Source: spec "Handler-side contract", 2.3.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from .blob import Blob, File, file_of
from .js_values import JsConstructor, js_string

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FormDataValue: TypeAlias = "str | Blob"


class FormData(MutableMapping[str, Any]):
    """A MutableMapping whose `fd[k]` is the first value, or None when there is none (never a KeyError).

    Raises:
        TypeError: made from anything but None, a dict or a FormData.
    """

    __slots__ = ("_fields",)

    constructor = JsConstructor("FormData")

    def __init__(self, form_data: FormData | Mapping[str, Any] | None = None) -> None:
        self._fields: list[tuple[str, str | File]] = []
        if isinstance(form_data, FormData):
            self._fields += form_data._fields
        elif isinstance(form_data, dict):
            for name, value in form_data.items():
                self.append(name, value)
        elif form_data:
            raise TypeError("Expected form_data to be a dict or an instance of FormData")

    @classmethod
    def new(cls) -> FormData:
        """As `new FormData()`."""
        return cls()

    @property
    def js_object(self) -> FormData:
        return self

    def __getitem__(self, key: str) -> Any:
        return next((value for name, value in self._fields if name == key), None)

    def __setitem__(self, key: str, value: Any) -> None:
        """Put one value in place of all under this name.

        Raises:
            TypeError: a list; `append` adds several.
        """
        if isinstance(value, list):
            raise TypeError("Expected single item in arguments to FormData.__setitem__")
        at = next((at for at, (name, _) in enumerate(self._fields) if name == key), len(self._fields))
        others = [field for field in self._fields if field[0] != key]
        self._fields = [*others[:at], (key, _field_value(value, None)), *others[at:]]

    def append(self, key: str, value: FormDataValue, filename: str | None = None) -> None:
        """Add a value; a Blob becomes a File named `filename`, else its own name, else "blob"."""
        self._fields.append((js_string(key), _field_value(value, filename)))

    def delete(self, key: str) -> None:
        """Remove every value of a name; a missing name is fine."""
        self._fields = [field for field in self._fields if field[0] != key]

    __delitem__ = delete
    set = __setitem__

    def get_all(self, key: str) -> list[Any]:
        """Every value of a name, in order."""
        return [value for name, value in self._fields if name == key]

    getAll = get_all  # noqa: N815 - JavaScript's spelling

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self._fields)

    has = __contains__

    def __iter__(self) -> Iterator[str]:
        """Names in order, repeated as often as they have values."""
        return iter([name for name, _ in self._fields])

    def __len__(self) -> int:
        return len(self._fields)

    def __bool__(self) -> bool:
        return True

    def keys(self) -> Any:
        return iter(self)

    def values(self) -> Any:
        return iter([value for _, value in self._fields])

    def items(self) -> Any:
        return iter(list(self._fields))

    entries = items

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"FormData({self._fields!r})"


def _field_value(value: Any, filename: str | None) -> str | File:
    if isinstance(value, Blob):
        name = filename or str(getattr(value, "name", "blob"))
        if isinstance(value, File) and value.name == name:
            return value
        return file_of(value._data, name, value.content_type)
    return js_string(value)
