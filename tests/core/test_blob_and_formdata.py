"""Blob, File and FormData as values."""

from __future__ import annotations

from typing import Any

import pytest

from edge import Blob, BlobEnding, File, FormData


@pytest.mark.parametrize(
    ("parts", "data"),
    [("a", b"a"), (b"a", b"a"), (["a", b"b", memoryview(b"c"), bytearray(b"d"), Blob("e")], b"abcde"), ([], b"")],
    ids=["str", "bytes", "mixed", "none"],
)
async def test_blob_parts(parts: Any, data: bytes) -> None:
    blob = Blob(parts)
    assert (blob.size, await blob.bytes(), await blob.text()) == (len(data), data, data.decode())
    assert blob.js_object is blob


@pytest.mark.parametrize("parts", [5, [5], [None]])
def test_other_parts_are_refused(parts: Any) -> None:
    with pytest.raises(TypeError, match=r"^Don't know how to handle <class '\w+'> for Blob\(\)$"):
        Blob(parts)


def test_a_single_blob_passes_on_its_type() -> None:
    assert Blob(Blob("a", "Text/X")).content_type == "text/x"
    assert Blob([Blob("a", "text/x")]).content_type == ""
    assert Blob(Blob("a", "text/x"), "text/y").content_type == "text/y"


async def test_native_endings() -> None:
    assert await Blob("a\r\nb\rc\n", endings=BlobEnding.NATIVE).text() == "a\nb\nc\n"
    assert await Blob("a\r\n", endings="transparent").text() == "a\r\n"


async def test_slice() -> None:
    part = Blob("0123456789", "text/x").slice(2, -3, "text/y")
    assert (await part.text(), part.content_type) == ("23456", "text/y")
    assert Blob("01", "text/x").slice(1).content_type == ""


async def test_stream() -> None:
    assert [chunk.to_bytes() async for chunk in Blob("ab").stream()] == [b"ab"]


def test_file() -> None:
    file = File("x", "a.txt", "text/plain", last_modified=5)
    assert (file.name, file.last_modified, file.size) == ("a.txt", 5, 1)
    assert File(file, "b.txt").last_modified == 5
    assert File("x", "c").last_modified > 1_700_000_000_000
    assert repr(file) == "File(name='a.txt', size=1, content_type='text/plain')"


def test_form_data_is_a_multi_mapping() -> None:
    form = FormData({"a": "1"})
    form.append("a", "2")
    form["b"] = "3"
    assert (form["a"], form.get_all("a"), form["missing"], form.get("missing", "d")) == ("1", ["1", "2"], None, None)
    assert (list(form.keys()), list(form.values()), len(form)) == (["a", "a", "b"], ["1", "2", "3"], 3)
    assert list(form.items()) == [("a", "1"), ("a", "2"), ("b", "3")]
    assert ("a" in form, "missing" in form, form.has("a")) == (True, False, True)
    form["a"] = "4"
    form.delete("b")
    form.delete("missing")
    assert list(form.items()) == [("a", "4")]


def test_form_data_files_get_names() -> None:
    form = FormData({"a": Blob("x"), "b": File("x", "b.txt")})
    form.append("c", Blob("x"), "c.txt")
    assert [value.name for value in form.values()] == ["blob", "b.txt", "c.txt"]


def test_form_data_refuses_lists_and_other_sources() -> None:
    with pytest.raises(TypeError, match=r"^Expected single item in arguments to FormData\.__setitem__$"):
        FormData()["a"] = ["x"]
    with pytest.raises(TypeError, match=r"^Expected form_data to be a dict or an instance of FormData$"):
        FormData("a=b")  # type: ignore[arg-type]  # the mistake under test
