"""What a handler sees: results, refusals in Cloudflare's words, the rules of the wrapper."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge import Blob, File, FormData, Request, Response
from edge.runtime.core.body import Body
from edge.runtime.core.errors import BindingError
from edge.runtime.core.js_dict import JsDict
from edge.runtime.core.js_proxy import js_value
from edge.runtime.core.js_values import jsnull
from edge.runtime.core.streams import ReadableStream
from edge.runtime.core.url import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge.bindings.kv_namespaces.namespace import KVNamespace
    from edge.runtime.testing.fake_host import FakeHost

NOW = 1_767_225_600
"""FakeHost's start."""
VALUE_BYTES_MAX = 26_214_400
AT_LEAST = "Please specify integer greater than the current number of seconds since the UNIX epoch."


async def chunks(*parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        yield part


def refuses(text: str) -> Any:
    return pytest.raises(BindingError, match=f"^{re.escape(text)}$")


# Values


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("é", "é"),
        ("", ""),
        (b"bytes", "bytes"),
        pytest.param(memoryview(b"view"), "view", id="memoryview"),
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        (2**60, str(2**60)),
        (True, "true"),
        (None, "null"),
        (jsnull, "null"),
        ("\ud800", "\ufffd"),
    ],
    ids=repr,
)
async def test_a_value_is_stored_as_javascript_would_write_it(kv: KVNamespace, value: Any, stored: str) -> None:
    assert await kv.put("key", value) is None
    assert await kv.get("key") == stored


async def test_a_stream_is_stored_whole(kv: KVNamespace) -> None:
    await kv.put("key", chunks(b"a", memoryview(b"b"), b""))
    assert await kv.get("key") == "ab"
    await kv.put("copy", await kv.get("key", "stream"))
    assert await kv.get("copy") == "ab"


async def test_a_stream_over_the_limit_is_read_no_further(kv: KVNamespace) -> None:
    taken = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(10_000_000)

    with refuses("Error: KV PUT failed: 413 Value length of 30000000 exceeds limit of 26214400."):
        await kv.put("key", endless())
    assert len(taken) == 3
    assert await kv.get("key") is None


async def test_a_value_may_be_as_large_as_the_limit_and_no_larger(kv: KVNamespace) -> None:
    await kv.put("key", bytes(VALUE_BYTES_MAX))
    with refuses("Error: KV PUT failed: 413 Value length of 26214401 exceeds limit of 26214400."):
        await kv.put("key", bytes(VALUE_BYTES_MAX + 1))
    assert (await kv.get("key", "arrayBuffer")).nbytes == VALUE_BYTES_MAX


@pytest.mark.parametrize("value", [{"a": 1}, [1], {1}, datetime(2026, 1, 1, tzinfo=UTC)], ids=repr)
async def test_an_object_is_no_value(kv: KVNamespace, value: Any) -> None:
    await refuses_as_no_value(kv, value)


OF_JAVASCRIPT = [
    Blob(["x"]),
    File(["x"], "x.txt"),
    Response("x"),
    Request("http://localhost/"),
    Request("http://localhost/").js_object,
    FormData({"a": "b"}),
    URL("http://localhost/"),
    js_value({"a": [1]}),
    len,
]


@pytest.mark.parametrize("value", OF_JAVASCRIPT, ids=type)
async def test_an_object_of_javascript_is_no_value_either(kv: KVNamespace, value: Any) -> None:
    await refuses_as_no_value(kv, value)
    await refuses_as_no_value(kv, [value])


async def test_an_object_that_contains_itself_is_no_value(kv: KVNamespace) -> None:
    circle: list[Any] = []
    circle.append(circle)
    await refuses_as_no_value(kv, circle)


async def refuses_as_no_value(kv: KVNamespace, value: Any) -> None:
    text = "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values."
    with refuses(f"TypeError: {text}"):
        await kv.put("key", value)


@pytest.mark.parametrize("value", [(1, 2), bytearray(b"x")], ids=repr)
async def test_what_cannot_be_sent_is_no_value(kv: KVNamespace, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(f'{type(value)} cannot be sent over RPC.')}$"):
        await kv.put("key", value)
    with pytest.raises(TypeError, match="cannot be sent over RPC"):
        await kv.put("key", chunks(value))
    with pytest.raises(TypeError, match="cannot be sent over RPC"):
        await kv.put("key", "value", metadata={"nested": [value]})


@pytest.mark.parametrize("value", [object(), 1j, range(3)], ids=["object", "complex", "range"])
async def test_what_cannot_be_cloned_is_no_value(kv: KVNamespace, value: Any) -> None:
    with refuses(f"DataCloneError: {type(value)} could not be cloned."):
        await kv.put("key", value)
    with refuses(f"DataCloneError: {type(value)} could not be cloned."):
        await kv.put("key", "value", metadata=value)


# Types


async def test_each_type_gives_its_own(kv: KVNamespace) -> None:
    await kv.put("key", '{"a": {"b": 1.0}, "list": [1.5, 9007199254740993], "none": null}')
    text = await kv.get("key", "text")
    assert text == await kv.get("key") == await kv.get("key", {"type": "text"}) == await kv.get("key", None)
    value = await kv.get("key", type="json")
    assert value == {"a": {"b": 1}, "list": [1.5, 9007199254740992.0], "none": None}
    assert value.a.b == 1
    assert isinstance(value.a.b, int)
    assert isinstance(value["list"][1], float)
    buffer = await kv.get("key", "arrayBuffer")
    assert isinstance(buffer, memoryview)
    assert bytes(buffer).decode() == text
    stream = await kv.get("key", "stream")
    assert b"".join([chunk async for chunk in stream]).decode() == text


async def test_bytes_that_are_no_text_are_replaced(kv: KVNamespace) -> None:
    await kv.put("key", b"a\xff")
    assert await kv.get("key") == "a\ufffd"


async def test_an_unknown_type_is_refused_only_when_the_key_is_there(kv: KVNamespace) -> None:
    assert await kv.get("key", "xml") is None
    await kv.put("key", "value")
    text = 'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".'
    for call in (kv.get("key", "xml"), kv.getWithMetadata("key", {"type": "xml"})):
        with refuses(f"TypeError: {text}"):
            await call


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("", "Unexpected end of JSON input"),
        ('{"a":', "Unexpected end of JSON input"),
        ("hello", "Unexpected token 'h', \"hello\" is not valid JSON"),
        ("NaN", "Unexpected token 'N', \"NaN\" is not valid JSON"),
        (
            "[1, 2, 3, 4, 5, 6, x, 7, 8, 9, 10, 11]",
            "Unexpected token 'x', ...\" 4, 5, 6, x, 7, 8, 9\"... is not valid JSON",
        ),
    ],
)
async def test_a_value_that_is_no_json_is_a_syntax_error(kv: KVNamespace, stored: str, text: str) -> None:
    await kv.put("key", stored)
    with refuses(f"SyntaxError: {text}"):
        await kv.get("key", "json")


async def test_json_nested_without_end_is_refused_not_fatal(kv: KVNamespace) -> None:
    await kv.put("key", "[" * 1_000_000)
    with pytest.raises(BindingError, match="SyntaxError"):
        await kv.get("key", "json")


async def test_an_integer_of_many_digits_is_a_float(kv: KVNamespace) -> None:
    await kv.put("key", "1" + "0" * 300)
    assert await kv.get("key", "json") == 1e300


# Keys


@pytest.mark.parametrize("call", ["get", "getWithMetadata", "delete", "put"])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("", "Key name cannot be empty."),
        (".", '"." is not allowed as a key name.'),
        ("..", '".." is not allowed as a key name.'),
    ],
)
async def test_a_name_that_cannot_be_a_key_is_a_type_error(kv: KVNamespace, call: str, key: str, text: str) -> None:
    with refuses(f"TypeError: {text}") as caught:
        await kv[call](key, *(["value"] if call == "put" else []))
    assert caught.value.name == "TypeError"
    assert caught.value.message == text


@pytest.mark.parametrize(
    ("call", "verb"), [("get", "GET"), ("getWithMetadata", "GET"), ("delete", "DELETE"), ("put", "PUT")]
)
async def test_a_key_has_at_most_512_bytes(kv: KVNamespace, call: str, verb: str) -> None:
    longest, value = "é" * 256, ["value"] if call == "put" else []
    await kv[call](longest, *value)
    text = "414 UTF-8 encoded length of 513 exceeds key length limit of 512."
    with refuses(f"Error: KV {verb} failed: {text}"):
        await kv[call](longest + "a", *value)


async def test_a_number_is_a_key_by_its_text(kv: KVNamespace) -> None:
    await kv.put(1.0, "value")
    assert await kv.get("1") == "value"
    with pytest.raises(TypeError, match="KV takes text"):
        await kv.get({"a": 1})


# Expiration and metadata


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"expirationTtl": 59}, "400 Invalid expiration_ttl of 59. Expiration TTL must be at least 60."),
        ({"expirationTtl": 1}, "400 Invalid expiration_ttl of 1. Expiration TTL must be at least 60."),
        ({"expirationTtl": 0}, "400 Invalid expiration_ttl of 0. Please specify integer greater than 0."),
        ({"expirationTtl": -1}, "400 Invalid expiration_ttl of -1. Please specify integer greater than 0."),
        ({"expirationTtl": "soon"}, "400 Invalid expiration_ttl of 0. Please specify integer greater than 0."),
        ({"expirationTtl": float("inf")}, "400 Invalid expiration_ttl of 0. Please specify integer greater than 0."),
        (
            {"expiration": NOW},
            f"400 Invalid expiration of {NOW}. {AT_LEAST}",
        ),
        (
            {"expiration": NOW + 59},
            f"400 Invalid expiration of {NOW + 59}. Expiration times must be at least 60 seconds in the future.",
        ),
        (
            {"expirationTtl": 10**30},
            f"400 Invalid expiration_ttl of {10**30}. Please specify integer up to 9007199254740991.",
        ),
        (
            {"expiration": 10**30},
            f"400 Invalid expiration of {10**30}. Please specify integer up to 9007199254740991.",
        ),
        ({"metadata": "m" * 1025}, "413 Metadata length of 1027 exceeds limit of 1024."),
    ],
    ids=str,
)
async def test_options_of_put_are_refused_in_cloudflares_words(kv: KVNamespace, options: Any, text: str) -> None:
    for call in (kv.put("key", "value", options), kv.put("key", "value", **options)):
        with refuses(f"Error: KV PUT failed: {text}"):
            await call
    assert await kv.get("key") is None


async def test_options_that_are_no_object_are_refused(kv: KVNamespace) -> None:
    with refuses("TypeError: Options must be an object, got str."):
        await kv.put("key", "value", "expirationTtl=60")


async def test_a_key_expires_with_its_second_and_never_early(kv: KVNamespace, host: FakeHost) -> None:
    await host.advance(0.9)
    await kv.put("key", "value", expirationTtl=60)
    assert (await kv.list())["keys"] == [{"name": "key", "expiration": NOW + 61}]
    await host.advance(60)
    assert await kv.get("key") == "value"
    await host.advance(0.1)
    assert await kv.get("key") is None
    assert await kv.getWithMetadata("key") == {"value": None, "metadata": None, "cacheStatus": None}
    assert (await kv.list())["keys"] == []


async def test_expiration_ttl_wins_over_expiration(kv: KVNamespace) -> None:
    await kv.put("key", "value", {"expirationTtl": "60", "expiration": NOW + 1000})
    assert (await kv.list())["keys"][0].expiration == NOW + 60


async def test_a_later_put_clears_metadata_and_expiration(kv: KVNamespace, host: FakeHost) -> None:
    await kv.put("key", "1", {"metadata": {"a": 1}, "expiration": NOW + 60})
    await kv.put("key", "2")
    await host.advance(1000)
    assert await kv.getWithMetadata("key") == {"value": "2", "metadata": None, "cacheStatus": None}


@pytest.mark.parametrize(
    ("metadata", "returned"),
    [
        ({"a": {"b": [1, 2.0, None]}}, {"a": {"b": [1, 2, None]}}),
        ({1: True, None: False}, {"1": True, "null": False}),
        ("m" * 1022, "m" * 1022),
        (0, 0),
        ("", ""),
        (float("nan"), None),
        (jsnull, None),
        ([jsnull], [None]),
        (datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        ({"s": {1}}, {"s": {}}),
        (b"ab", {"0": 97, "1": 98}),
        ("\ud800", "\ufffd"),
    ],
    ids=repr,
)
async def test_metadata_returns_as_json_has_it(kv: KVNamespace, metadata: Any, returned: Any) -> None:
    await kv.put("key", "value", metadata=metadata)
    found = await kv.getWithMetadata("key")
    assert found == {"value": "value", "metadata": returned, "cacheStatus": None}
    assert found.cacheStatus is None


async def test_metadata_that_contains_itself_is_refused(kv: KVNamespace) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with refuses("TypeError: Converting circular structure to JSON"):
        await kv.put("key", "value", metadata=circle)


async def test_metadata_nested_too_deep_is_not_called_circular(kv: KVNamespace) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with refuses("RangeError: Maximum call stack size exceeded"):
        await kv.put("key", "value", metadata=[deep, deep])


@pytest.mark.parametrize("options", [{"cacheTtl": 10}, {"cacheTtl": "10", "type": "json"}], ids=str)
async def test_cache_ttl_is_at_least_30(kv: KVNamespace, options: Any) -> None:
    text = "400 Invalid cache_ttl of 10. Cache TTL must be at least 30."
    for call in (kv.get("key", options), kv.get("key", **options), kv.getWithMetadata("key", options)):
        with refuses(f"Error: KV GET failed: {text}"):
            await call
    with refuses(f"Error: KV GET_BULK failed: {text}"):
        await kv.get(["key"], options)
    assert await kv.get("key", "text", cacheTtl=30) is None


# Bulk


async def test_a_bulk_get_keeps_order_and_names_what_is_missing(kv: KVNamespace) -> None:
    await kv.put("b", "1", metadata="m")
    await kv.put("a", "2")
    found = await kv.get(["b", "missing", "a", "b"])
    assert list(found.items()) == [("b", "1"), ("missing", None), ("a", "2")]
    assert await kv.get(["b"], "json") == {"b": 1}
    found = await kv.getWithMetadata(["b", "missing", "a"])
    assert found == {"b": {"value": "1", "metadata": "m"}, "missing": None, "a": {"value": "2", "metadata": None}}
    assert found.b.metadata == "m"


@pytest.mark.parametrize(
    ("keys", "options", "text"),
    [
        (["k"] * 101, None, "400 You can request a maximum of 100 keys"),
        ([], None, "400 You must request a minimum of 1 key"),
        (["a", ""], None, "400 Key names must not be empty"),
        (["."], None, '400 Illegal key name ".". Please use a different name.'),
        (["k" * 513], None, "414 UTF-8 encoded length of 513 exceeds key length limit of 512."),
        (["a"], "stream", '400 "stream" is not a valid type. Use "json" or "text"'),
        (["a"], {"type": "arrayBuffer"}, '400 "arrayBuffer" is not a valid type. Use "json" or "text"'),
        (["text"], "json", "400 At least one of the requested keys corresponds to a non-json value"),
    ],
    ids=["101", "0", "empty", "dot", "long", "stream", "arrayBuffer", "json"],
)
async def test_a_bulk_get_is_refused_in_cloudflares_words(
    kv: KVNamespace, keys: list[str], options: Any, text: str
) -> None:
    await kv.put("text", "no json")
    for call in (kv.get, kv.getWithMetadata):
        with refuses(f"Error: KV GET_BULK failed: {text}"):
            await call(keys, options)


async def test_a_bulk_get_gives_25_mib_at_most(kv: KVNamespace) -> None:
    for name, size_bytes in {"half": VALUE_BYTES_MAX // 2, "other half": VALUE_BYTES_MAX // 2, "byte": 1}.items():
        await kv.put(name, bytes(size_bytes))
    assert len(await kv.get(["half", "other half"])) == 2
    with refuses("Error: KV GET_BULK failed: 413 Total size of request exceeds the limit of 25MB"):
        await kv.get(["half", "byte", "other half"])


# Lists


async def test_pages_of_a_list_join_by_cursor(kv: KVNamespace) -> None:
    for name in ("b", "a/2", "a/1", "é"):
        await kv.put(name, "value", metadata=name)
    first = await kv.list(prefix="a/", limit=1)
    assert first == {
        "keys": [{"name": "a/1", "metadata": "a/1"}],
        "list_complete": False,
        "cursor": "YS8x",
        "cacheStatus": None,
    }
    second = await kv.list({"prefix": "a/", "limit": 1, "cursor": first.cursor})
    assert [key.name for key in second["keys"]] == ["a/2"]
    assert second.list_complete
    assert "cursor" not in second
    assert [key.name for key in (await kv.list())["keys"]] == ["a/1", "a/2", "b", "é"]


async def test_a_list_has_at_most_1000_keys(kv: KVNamespace) -> None:
    await asyncio.gather(*(kv.put(f"{number:04}", "") for number in range(1001)))
    listing = await kv.list()
    assert len(listing["keys"]) == 1000
    assert not listing.list_complete
    assert len((await kv.list(cursor=listing.cursor))["keys"]) == 1
    for ignored in (0, -1, "many", None):
        assert len((await kv.list(limit=ignored))["keys"]) == 1000
    text = "400 Invalid key_count_limit of 1001. Please specify an integer less than 1000."
    with refuses(f"Error: KV GET failed: {text}"):
        await kv.list(limit=1001)


async def test_a_prefix_over_512_bytes_is_refused(kv: KVNamespace) -> None:
    text = "414 UTF-8 encoded length of 513 exceeds key length limit of 512."
    with refuses(f"Error: KV GET failed: {text}"):
        await kv.list(prefix="p" * 513)


@pytest.mark.parametrize("cursor", ["YQ", "YQ=", "YQ==", "Y Q", "YQ==junk", "YR"])
async def test_an_unknown_cursor_is_a_position(kv: KVNamespace, cursor: str) -> None:
    """All of these are "a" to Node's lenient base64."""
    await kv.put("a", "")
    await kv.put("b", "")
    assert [key.name for key in (await kv.list(cursor=cursor))["keys"]] == ["b"]


@pytest.mark.parametrize("cursor", ["", "!", "Y", None])
async def test_a_cursor_that_says_nothing_is_the_beginning(kv: KVNamespace, cursor: Any) -> None:
    await kv.put("a", "")
    assert len((await kv.list(cursor=cursor))["keys"]) == 1


# The wrapper


async def test_a_namespace_is_true_without_length_or_items(kv: KVNamespace) -> None:
    assert kv
    with pytest.raises(TypeError, match=r"^'KvNamespace' object is not iterable$"):
        iter(kv)
    with pytest.raises(TypeError, match=r"^object of type 'KvNamespace' has no len\(\)$"):
        len(kv)
    assert kv["get"] == kv.get
    assert repr(kv) == "<KvNamespace test>"


def test_snake_case_names_are_told_apart(kv: KVNamespace) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'get_with_metadata'\. Write getWithMetadata\."):
        kv.get_with_metadata  # noqa: B018 - the access is the test
    assert not hasattr(kv, "KEYS")


async def test_results_allow_attributes_and_dict_methods_win(kv: KVNamespace) -> None:
    listing = await kv.list()
    assert isinstance(listing, JsDict)
    assert callable(listing.keys)
    assert listing["keys"] == []


async def test_a_body_is_a_value(kv: KVNamespace) -> None:
    await kv.put("key", ReadableStream(Body(b"body")))
    assert await kv.get("key") == "body"
