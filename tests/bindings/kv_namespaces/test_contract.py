"""What the port promises, on every backend."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bindings.kv_namespaces.store import Entry

if TYPE_CHECKING:
    from edge.bindings.kv_namespaces.store import KVStore

NOW = 1_000_000.0
VALUE_BYTES_MAX = 25 * 1024 * 1024

AWKWARD = ["A", "a", "a/", "a/b", "a\0", "a\uffff", "a😀", "b", "é", "\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "😀"]
"""Names whose order differs between bytes, UTF-16 and locales, and that sit at the ends of ranges."""

names = st.text(st.sampled_from("ab/é\uffff😀\U0010ffff\0"), min_size=1, max_size=4)
namespaces = (f"n{number}" for number in count())


async def listed(store: KVStore, namespace: str, *, prefix: bytes = b"", limit: int = 1000) -> list[bytes]:
    """Every page of a list, joined."""
    found: list[bytes] = []
    while True:
        after = found[-1] if found else b""
        page = await store.list(namespace, prefix=prefix, after=after, limit=limit, now=NOW)
        found += [key.name for key in page.keys]
        if not page.has_more:
            return found
        assert len(page.keys) == limit


async def test_a_put_is_read_back_with_everything_beside_it(store: KVStore) -> None:
    entry = Entry(b"\0\xff", '{"a":1}', NOW + 60)
    await store.put("n", b"key", entry)
    assert list(await store.get("n", [b"key"], NOW)) == [entry]


async def test_an_empty_value_is_a_value(store: KVStore) -> None:
    await store.put("n", b"key", Entry(b""))
    assert list(await store.get("n", [b"key"], NOW)) == [Entry(b"")]


async def test_a_put_replaces_metadata_and_expiry_too(store: KVStore) -> None:
    await store.put("n", b"key", Entry(b"1", "1", NOW + 60))
    await store.put("n", b"key", Entry(b"2"))
    assert list(await store.get("n", [b"key"], NOW + 100)) == [Entry(b"2")]
    (key,) = (await store.list("n", prefix=b"", after=b"", limit=10, now=NOW + 100)).keys
    assert (key.metadata, key.expires_at) == (None, None)


async def test_get_answers_in_the_order_asked_for(store: KVStore) -> None:
    for name in (b"a", b"b", b"c"):
        await store.put("n", name, Entry(name.upper()))
    found = await store.get("n", [b"c", b"missing", b"a"], NOW)
    assert list(found) == [Entry(b"C"), None, Entry(b"A")]


async def test_a_hundred_keys_are_read_at_once(store: KVStore) -> None:
    keys = [b"%d" % number for number in range(100)]
    await asyncio.gather(*(store.put("n", key, Entry(key)) for key in keys))
    assert list(await store.get("n", keys, NOW)) == [Entry(key) for key in keys]


async def test_a_deleted_key_is_absent_everywhere(store: KVStore) -> None:
    await store.put("n", b"key", Entry(b"value"))
    await store.delete("n", b"key")
    assert list(await store.get("n", [b"key"], NOW)) == [None]
    assert await listed(store, "n") == []


async def test_deleting_a_missing_key_is_fine(store: KVStore) -> None:
    await store.delete("n", b"never")


async def test_an_expired_key_is_absent_from_its_second_on_and_not_before(store: KVStore) -> None:
    await store.put("n", b"key", Entry(b"value", None, NOW))
    assert list(await store.get("n", [b"key"], NOW - 0.001)) == [Entry(b"value", None, NOW)]
    assert len((await store.list("n", prefix=b"", after=b"", limit=10, now=NOW - 0.001)).keys) == 1
    assert list(await store.get("n", [b"key"], NOW)) == [None]
    assert (await store.list("n", prefix=b"", after=b"", limit=10, now=NOW)).keys == []


async def test_expired_keys_do_not_shorten_a_page(store: KVStore) -> None:
    keys = [b"%02d" % number for number in range(30)]
    await asyncio.gather(*(store.put("n", key, Entry(b"", None, NOW if key < b"26" else None)) for key in keys))
    page = await store.list("n", prefix=b"", after=b"", limit=3, now=NOW)
    assert [key.name for key in page.keys] == [b"26", b"27", b"28"]
    assert page.has_more
    last = await store.list("n", prefix=b"", after=b"28", limit=3, now=NOW)
    assert [key.name for key in last.keys] == [b"29"]
    assert not last.has_more


async def test_namespaces_do_not_see_each_other(store: KVStore) -> None:
    await store.put("a", b"b:c", Entry(b"1"))
    await store.put("a:b", b"c", Entry(b"2"))
    assert list(await store.get("a", [b"b:c"], NOW)) == [Entry(b"1")]
    assert list(await store.get("a:b", [b"c"], NOW)) == [Entry(b"2")]
    assert await listed(store, "a") == [b"b:c"]


async def test_a_list_is_in_byte_order(store: KVStore) -> None:
    keys = [name.encode() for name in AWKWARD]
    await asyncio.gather(*(store.put("n", key, Entry(b"")) for key in keys))
    assert await listed(store, "n", limit=4) == sorted(keys)


async def test_a_list_carries_metadata_and_expiry(store: KVStore) -> None:
    await store.put("n", b"key", Entry(b"value", '"m"', NOW + 60))
    (key,) = (await store.list("n", prefix=b"k", after=b"", limit=1, now=NOW)).keys
    assert (key.name, key.metadata, key.expires_at) == (b"key", '"m"', NOW + 60)


async def test_a_position_need_not_be_a_key_nor_text(store: KVStore) -> None:
    for name in ("a", "b", "é", "ê"):
        await store.put("n", name.encode(), Entry(b""))
    for after, expected in [(b"aa", "béê"), (b"\xc3", "éê"), (b"\xc3\xa9", "ê"), (b"\xff", ""), (b"b\xff", "éê")]:
        page = await store.list("n", prefix=b"", after=after, limit=10, now=NOW)
        assert [key.name.decode() for key in page.keys] == list(expected), after


async def test_a_large_value_is_kept_whole_replaced_and_deleted(store: KVStore) -> None:
    largest = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
    await store.put("n", b"key", Entry(largest, '"m"'))
    assert list(await store.get("n", [b"key"], NOW)) == [Entry(largest, '"m"')]
    await store.put("n", b"key", Entry(b"x" * 400_000))
    assert list(await store.get("n", [b"key"], NOW)) == [Entry(b"x" * 400_000)]
    await store.put("n", b"key", Entry(b"small"))
    assert list(await store.get("n", [b"key"], NOW)) == [Entry(b"small")]
    await store.delete("n", b"key")
    assert list(await store.get("n", [b"key"], NOW)) == [None]


async def test_the_longest_key_and_metadata_fit(store: KVStore) -> None:
    key, entry = "é".encode() * 256, Entry(b"x" * 350 * 1024, "m" * 1024)
    await store.put("n", key, entry)
    assert list(await store.get("n", [key], NOW)) == [entry]
    assert await listed(store, "n") == [key]


async def test_of_puts_that_overlap_one_stays_whole(store: KVStore) -> None:
    entries = [Entry(b"%d" % number, f"{number}") for number in range(20)]
    await asyncio.gather(*(store.put("n", b"key", entry) for entry in entries))
    (entry,) = await store.get("n", [b"key"], NOW)
    assert entry in entries


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    puts=st.lists(names, max_size=12),
    deletes=st.lists(names, max_size=3),
    prefix=st.one_of(st.just(""), names),
    limit=st.integers(1, 5),
)
async def test_a_list_is_the_models(
    store: KVStore, puts: list[str], deletes: list[str], prefix: str, limit: int
) -> None:
    namespace = next(namespaces)
    for name in puts:
        await store.put(namespace, name.encode(), Entry(b""))
    for name in deletes:
        await store.delete(namespace, name.encode())
    model = sorted({name.encode() for name in puts} - {name.encode() for name in deletes})
    expected = [key for key in model if key.startswith(prefix.encode())]
    assert await listed(store, namespace, prefix=prefix.encode(), limit=limit) == expected
