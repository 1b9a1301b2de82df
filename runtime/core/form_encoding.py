"""FormData to bytes and back: multipart/form-data (RFC 7578) and application/x-www-form-urlencoded.

Parsing copies no file: each one looks into the body's bytes. Floods are bounded: PARTS_MAX, PART_HEADER_BYTES_MAX;
the size of the whole is the doorway's limit.
Source: Fetch Standard, "body mixin, formData()"; workerd src/workerd/api/form-data.c++ for the texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from .blob import File, file_of
from .errors import RefusedError
from .formdata import FormData
from .js_values import text_of, utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS_MAX = 10_000
"""Fields of one form."""
PART_HEADER_BYTES_MAX = 16 * 1024
BOUNDARY_CHARS_MAX = 70
"""RFC 2046, 5.1.1."""

_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"


def encode_multipart(form: FormData) -> tuple[bytes, str]:
    """The body of a form, and its content type with the boundary."""
    parts = [_head_and_content(name, value) for name, value in form.items()]
    boundary = _free_boundary([content for _, content in parts])
    line = b"--" + boundary.encode()
    pieces: list[bytes] = []
    for head, content in parts:
        pieces += [line, b"\r\n", head, b"\r\n\r\n", content, b"\r\n"]
    pieces += [line, b"--\r\n"]
    return b"".join(pieces), f"{_MULTIPART}; boundary={boundary}"


def parse_form(data: bytes, content_type: str | None) -> FormData:
    """The form in a body.

    Raises:
        TypeError: another content type, no boundary, or not a form; the texts are Cloudflare's.
        RefusedError: 413, too many fields or an oversized part header.
    """
    if not content_type:
        raise TypeError("Parsing a Body as FormData requires a Content-Type header.")
    mime, parameters = parse_content_type(content_type)
    if mime == _URLENCODED:
        return _parse_urlencoded(data)
    if mime != _MULTIPART:
        msg = (
            "Unrecognized Content-Type header value. FormData can only parse the following MIME types: "
            f"{_MULTIPART}, {_URLENCODED}."
        )
        raise TypeError(msg)
    boundary = parameters.get("boundary", "")
    if not 0 < len(boundary) <= BOUNDARY_CHARS_MAX:
        msg = (
            "No boundary string in Content-Type header. The multipart/form-data MIME type requires a boundary "
            "parameter, e.g. 'Content-Type: multipart/form-data; boundary=\"abcd\"'. See RFC 7578, section 4."
        )
        raise TypeError(msg)
    return _parse_multipart(data, utf8(boundary))


def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """`type/subtype` in lower case, and the parameters by lower-case name; quoted values are unquoted."""
    essence, _, rest = value.partition(";")
    return essence.strip().lower(), dict(_parameters(rest))


def _parse_multipart(data: bytes, boundary: bytes) -> FormData:
    form = FormData()
    view = memoryview(data)
    delimiter = b"\r\n--" + boundary
    # The first boundary may open the body; a preamble before it is allowed and ignored (RFC 2046, 5.1.1).
    at = 0 if data.startswith(delimiter[2:]) else data.find(delimiter) + 2
    if at == 1:
        raise TypeError("No initial boundary string in multipart/form-data body.")
    at += len(delimiter) - 2
    while not data.startswith(b"--", at):
        if len(form) == PARTS_MAX:
            raise RefusedError(413, f"The form has more than {PARTS_MAX} fields.")
        # Blanks may stand between boundary and line end (RFC 2046, 5.1.1).
        line_end = data.find(b"\r\n", at, at + PART_HEADER_BYTES_MAX)
        if line_end < 0 or data[at:line_end].strip(b" \t"):
            raise _truncated()
        # Searched from the line end on: a part may have no header lines at all.
        head_end = data.find(b"\r\n\r\n", line_end, line_end + PART_HEADER_BYTES_MAX)
        if head_end < 0:
            if len(data) - line_end > PART_HEADER_BYTES_MAX:
                raise RefusedError(413, f"A part's header is over {PART_HEADER_BYTES_MAX} bytes.")
            raise _truncated()
        content_at = head_end + 4
        end = data.find(delimiter, content_at - 2)
        if end < 0:
            raise _truncated()
        _add_part(form, data[line_end + 2 : head_end], view[content_at : max(end, content_at)])
        at = end + len(delimiter)
    return form


def _add_part(form: FormData, head: bytes, content: memoryview) -> None:
    fields = {}
    for line in text_of(head).split("\r\n"):
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    kind, parameters = parse_content_type(fields.get("content-disposition", ""))
    if kind != "form-data" or "name" not in parameters:
        raise TypeError("Content-Disposition header in FormData part is missing a name.")
    name = _unescaped(parameters["name"])
    if "filename" in parameters:
        content_type = fields.get("content-type", "application/octet-stream")
        form.append(name, file_of(content, _unescaped(parameters["filename"]), content_type))
    else:
        form.append(name, str(content, "utf-8", "replace"))


def _parse_urlencoded(data: bytes) -> FormData:
    form = FormData()
    try:
        fields = parse_qsl(text_of(data), keep_blank_values=True, errors="replace", max_num_fields=PARTS_MAX)
    except ValueError:
        raise RefusedError(413, f"The form has more than {PARTS_MAX} fields.") from None
    for name, value in fields:
        form.append(name, value)
    return form


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """`; name=value; name="quoted"`. There is no backslash escape: clients write a quote in a name as %22."""
    at = 0
    while at < len(text):
        equals = text.find("=", at)
        if equals < 0:
            return
        name = text[at:equals].strip(" \t;").lower()
        at = equals + 1
        if text[at : at + 1] == '"':
            end = text.find('"', at + 1)
            end = len(text) if end < 0 else end
            value = text[at + 1 : end]
            at = end + 1
        else:
            end = text.find(";", at)
            end = len(text) if end < 0 else end
            value = text[at:end].strip(" \t")
            at = end
        semicolon = text.find(";", at)
        at = len(text) if semicolon < 0 else semicolon + 1
        yield name, value


def _head_and_content(name: str, value: str | File) -> tuple[bytes, bytes]:
    head = f'Content-Disposition: form-data; name="{_escaped(name)}"'
    if isinstance(value, str):
        return utf8(head), utf8(value)
    content_type = value.content_type or "application/octet-stream"
    head += f'; filename="{_escaped(value.name)}"\r\nContent-Type: {content_type}'
    return utf8(head), bytes(value._data)


def _escaped(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _unescaped(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%22", '"')


def _free_boundary(contents: list[bytes]) -> str:
    """A boundary made of the contents' digest: none of them can hold it, and no randomness is needed."""
    from hashlib import blake2b  # noqa: PLC0415 - loads OpenSSL; few Workers send forms

    digest = blake2b(digest_size=16)
    for content in contents:
        digest.update(content)
    return f"----EdgeFormBoundary{digest.hexdigest()}"


def _truncated() -> TypeError:
    return TypeError("No subsequent boundary string after multipart message.")
