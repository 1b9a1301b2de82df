"""Forms as bytes and back; floods and broken bodies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import File, FormData, Response
from edge.runtime.core.errors import RefusedError
from edge.runtime.core.form_encoding import PARTS_MAX, encode_multipart, parse_content_type, parse_form

TYPE = "multipart/form-data; boundary=X"
names = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "%" not in text)
files = st.tuples(st.binary(), names, st.sampled_from(["text/csv", "image/png", "application/octet-stream"]))
fields = st.lists(st.tuples(names, st.text(st.characters(exclude_categories=["Cs"])) | files))


def plain(value: Any) -> Any:
    return (bytes(value._data), value.name, value.content_type) if isinstance(value, File) else value


@given(fields)
def test_every_form_makes_the_round_trip(given_fields: list[tuple[str, Any]]) -> None:
    form = FormData()
    for name, value in given_fields:
        form.append(name, value if isinstance(value, str) else File(*value))
    parsed = parse_form(*encode_multipart(form))
    assert [(name, plain(value)) for name, value in parsed.items()] == given_fields


@given(st.binary())
def test_any_bytes_are_a_form_or_refused(data: bytes) -> None:
    for body in (data, b"--X\r\n" + data, b"--X\r\n" + data + b"\r\n--X--"):
        try:
            parse_form(body, TYPE)
        except (TypeError, RefusedError):
            continue


@pytest.mark.parametrize("newline_after", ["", "\r\n", "\r\nepilogue"])
@pytest.mark.parametrize("preamble", ["", "preamble\r\n"])
def test_preamble_and_epilogue_are_ignored(preamble: str, newline_after: str) -> None:
    body = f'{preamble}--X \r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--X--{newline_after}'
    assert dict(parse_form(body.encode(), TYPE).items()) == {"a": "1"}


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('form-data; name="a"; filename="b;c.txt"', "a", "b;c.txt"),
        ("form-data; name=a; filename=b.txt", "a", "b.txt"),
        ('form-data; filename="%22q%22"; name="x"', "x", '"q"'),
        ('Form-Data; Name="a"; FileName=""', "a", ""),
    ],
)
def test_content_disposition(disposition: str, name: str, filename: str) -> None:
    body = f"--X\r\nContent-Disposition: {disposition}\r\nContent-Type: text/csv\r\n\r\nx\r\n--X--\r\n"
    file = parse_form(body.encode(), TYPE)[name]
    assert (file.name, file.content_type, file.size) == (filename, "text/csv", 1)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"", None, "Parsing a Body as FormData requires a Content-Type header."),
        (b"{}", "application/json", "Unrecognized Content-Type header value."),
        (b"", "multipart/form-data", "No boundary string in Content-Type header."),
        (b"", "multipart/form-data; boundary=" + "x" * 71, "No boundary string in Content-Type header."),
        (b"nothing", TYPE, "No initial boundary string"),
        (b"--X\r\n", TYPE, "No subsequent boundary string"),
        (b"--Xjunk\r\n\r\n\r\n--X--", TYPE, "No subsequent boundary string"),
        (b"--X\r\n\r\nx\r\n--X--", TYPE, "Content-Disposition header in FormData part is missing a name."),
    ],
)
def test_what_is_no_form_is_a_type_error(body: bytes, content_type: str | None, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        parse_form(body, content_type)
    assert str(caught.value).startswith(text)


def test_a_flood_of_parts_is_refused() -> None:
    part = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    assert len(parse_form(part * PARTS_MAX + b"--X--", TYPE)) == PARTS_MAX
    with pytest.raises(RefusedError, match="more than 10000 fields") as caught:
        parse_form(part * (PARTS_MAX + 1) + b"--X--", TYPE)
    assert caught.value.http_status == 413


def test_a_flood_of_urlencoded_fields_is_refused() -> None:
    with pytest.raises(RefusedError, match="more than 10000 fields"):
        parse_form(b"a&" * (PARTS_MAX + 1), "application/x-www-form-urlencoded")


def test_an_endless_part_header_is_refused() -> None:
    with pytest.raises(RefusedError, match="header is over 16384 bytes"):
        parse_form(b"--X\r\nA: " + b"x" * 20_000, TYPE)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_search_params_and_urlencoded_forms_agree(pairs: list[tuple[str, str]]) -> None:
    from edge.runtime.core.url import URLSearchParams

    pairs = [(a.encode(errors="replace").decode(), b.encode(errors="replace").decode()) for a, b in pairs]
    parsed = parse_form(str(URLSearchParams(pairs)).encode(), "application/x-www-form-urlencoded;charset=UTF-8")
    assert list(parsed.items()) == list(pairs)


def test_content_type_parameters() -> None:
    assert parse_content_type('Multipart/Form-Data ; Boundary="a;b"; charset=x') == (
        "multipart/form-data",
        {"boundary": "a;b", "charset": "x"},
    )


async def test_a_form_that_was_sent_can_be_read() -> None:
    form = FormData({"a": "1"})
    form.append("f", File(b"x", "f.bin"))
    read = await Response(form).form_data()
    assert (read["a"], read["f"].name, await read["f"].bytes()) == ("1", "f.bin", b"x")
