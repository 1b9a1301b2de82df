"""Blob and File: bytes with a type, and for a File a name.

One class serves `workers.Blob` and `js.Blob`: the members of both are here, and `js_object` is the object itself.
Source: spec "Handler-side contract", 2.3.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from .body import Body
from .js_values import JsBuffer, JsConstructor, text_of, utf8
from .streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BlobValue: TypeAlias = "str | bytes | bytearray | memoryview | Blob"


class BlobEnding(StrEnum):
    """What happens to line ends in text parts."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


class Blob:
    """Immutable bytes with a content type.

    Args:
        blob_parts: one part or an iterable of parts: str, bytes-like, Blob. A single Blob passes on its type.
        endings: "native" writes line ends in text parts as "\\n".
    """

    __slots__ = ("_data", "_type")

    constructor = JsConstructor("Blob")

    def __init__(
        self,
        blob_parts: BlobValue | Iterable[BlobValue],
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
    ) -> None:
        if isinstance(blob_parts, Blob):
            content_type = content_type or blob_parts.content_type
        parts = [blob_parts] if _is_single(blob_parts) else blob_parts
        self._data: bytes | memoryview = b"".join([_part_bytes(part, endings) for part in parts])  # type: ignore[union-attr]  # _is_single tells them apart
        self._type = _checked_type(content_type)

    @classmethod
    def new(cls, parts: Any = (), options: Mapping[str, Any] | None = None, **more: Any) -> Blob:
        """As `new Blob(parts, {type, endings})`."""
        options = {**(options or {}), **more}
        return cls(parts, options.get("type"), options.get("endings"))

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def content_type(self) -> str:
        return self._type

    type = content_type

    @property
    def js_object(self) -> Blob:
        return self

    async def text(self) -> str:
        return text_of(bytes(self._data))

    async def bytes(self) -> bytes:
        return bytes(self._data)

    async def arrayBuffer(self) -> JsBuffer:  # noqa: N802 - JavaScript's spelling
        return JsBuffer(self._data)

    def stream(self) -> ReadableStream:
        return ReadableStream(Body(bytes(self._data)))

    def slice(self, start: int | None = None, end: int | None = None, content_type: str | None = None) -> Blob:
        """A part of it, as Python slices; its type is `content_type` or none."""
        return blob_of(memoryview(self._data)[start:end], content_type or "")

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(size={self.size}, content_type={self._type!r})"


class File(Blob):
    """A Blob with a name and a time of change in milliseconds since 1970 (default: now)."""

    __slots__ = ("last_modified", "name")

    last_modified: int
    name: str

    constructor = JsConstructor("File")

    def __init__(
        self,
        blob_parts: BlobValue | Iterable[BlobValue],
        filename: str,
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
        last_modified: int | None = None,
    ) -> None:
        super().__init__(blob_parts, content_type, endings)
        if last_modified is None and isinstance(blob_parts, File):
            last_modified = blob_parts.last_modified
        self.name = filename
        self.last_modified = _now_ms() if last_modified is None else last_modified

    @classmethod
    def new(cls, parts: Any = (), filename: str = "", options: Mapping[str, Any] | None = None, **more: Any) -> File:  # type: ignore[override]  # as in JavaScript
        """As `new File(parts, name, {type, endings, lastModified})`."""
        options = {**(options or {}), **more}
        return cls(parts, filename, options.get("type"), options.get("endings"), options.get("lastModified"))

    @property
    def lastModified(self) -> int:  # noqa: N802 - JavaScript's spelling
        return self.last_modified

    def __repr__(self) -> str:
        return f"File(name={self.name!r}, size={self.size}, content_type={self._type!r})"


def blob_of(data: bytes | memoryview, content_type: str) -> Blob:
    """A Blob over bytes that nobody will change, without a copy."""
    blob = Blob.__new__(Blob)
    blob._data = data
    blob._type = _checked_type(content_type)
    return blob


def file_of(data: bytes | memoryview, name: str, content_type: str) -> File:
    """A File over bytes that nobody will change, without a copy."""
    file = File.__new__(File)
    file._data = data
    file._type = _checked_type(content_type)
    file.name = name
    file.last_modified = _now_ms()
    return file


def _is_single(parts: object) -> bool:
    return isinstance(parts, (str, bytes, bytearray, memoryview, Blob)) or not hasattr(parts, "__iter__")


def _part_bytes(part: object, endings: str | None) -> bytes | memoryview:
    if isinstance(part, str):
        if endings == BlobEnding.NATIVE:
            part = part.replace("\r\n", "\n").replace("\r", "\n")
        return utf8(part)
    if isinstance(part, Blob):
        return part._data
    try:
        return bytes(memoryview(part))  # type: ignore[arg-type]  # asks whether it is bytes-like
    except TypeError:
        msg = f"Don't know how to handle {type(part)} for Blob()"
        raise TypeError(msg) from None


def _checked_type(content_type: str | None) -> str:
    text = content_type or ""
    return text.lower() if all(" " <= char <= "~" for char in text) else ""


def _now_ms() -> int:
    from time import time  # noqa: PLC0415 - the one place where the model reads a clock, as the constructor promises

    return int(time() * 1000)
