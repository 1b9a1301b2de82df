"""What `send` accepts, refuses and writes."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.records import BATCH_BYTES_MAX, DEPTH_MAX, Batch, encode_records
from edge.bindings.pipelines.stream import Stream
from edge.runtime.core.errors import BindingError
from edge.runtime.core.js_dict import JsDict


class Kept:
    """A log that keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def append(self, batch: Batch) -> None:
        self.batches.append(batch)

    def records(self) -> list[object]:
        return [json.loads(line) for batch in self.batches for line in batch.lines.splitlines()]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def stream(kept: Kept) -> Stream:
    return Stream(kept)


def nested(levels: int) -> object:
    record: object = 1
    for _ in range(levels):
        record = [record]
    return record


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(st.lists(JSON, min_size=1, max_size=8))
def test_any_json_is_written_unchanged(records: list[object]) -> None:
    batch = encode_records(records)
    lines = batch.lines.split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == records
    assert batch.count == len(records)


async def test_send_resolves_to_none_and_writes_one_batch(stream: Stream, kept: Kept) -> None:
    assert await stream.send([{"a": 1}, {"a": 2}]) is None
    assert kept.batches == [Batch(b'{"a":1}\n{"a":2}\n', 2)]


async def test_empty_list_writes_nothing(stream: Stream, kept: Kept) -> None:
    await stream.send([])
    assert kept.batches == []


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ({"a": 1}, "TypeError: send() takes a list of records, got dict. Wrap one record: send([record])."),
        ("[1]", "TypeError: send() takes a list of records, got str. Wrap one record: send([record])."),
        (None, "TypeError: send() takes a list of records, got NoneType. Wrap one record: send([record])."),
        (({"a": 1},), "TypeError: <class 'tuple'> cannot be sent over RPC. send() takes a list of records."),
    ],
    ids=["dict", "str", "None", "tuple"],
)
async def test_anything_but_a_list_is_refused(stream: Stream, kept: Kept, records: object, text: str) -> None:
    with pytest.raises(TypeError) as refusal:
        await stream.send(records)
    assert isinstance(refusal.value, BindingError)
    assert str(refusal.value) == text
    assert kept.batches == []


NOT_JSON = "which is not JSON. Send dict, list, str, int, float, bool, None, or a datetime."


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"a": (1,)}, "<class 'tuple'> cannot be sent over RPC. Record 1 at $.a is one; send a list."),
        ({"a": [bytearray()]}, "<class 'bytearray'> cannot be sent over RPC. Record 1 at $.a[0] is one; send a list."),
        (b"x", f"Record 1 at $ is of type bytes, {NOT_JSON}"),
        ({"a": {1}}, f"Record 1 at $.a is of type set, {NOT_JSON}"),
        ({"a": Decimal(1)}, f"Record 1 at $.a is of type Decimal, {NOT_JSON}"),
        ({"a": UUID(int=1)}, f"Record 1 at $.a is of type UUID, {NOT_JSON}"),
        ({"a": IntEnum("Colour", "RED").RED}, f"Record 1 at $.a is of type Colour, {NOT_JSON}"),
        ({"a": {"b": object()}}, f"Record 1 at $.a.b is of type object, {NOT_JSON}"),
        ({True: 1}, "Record 1 at $ has the key True of type bool. Keys are str, or int as its text."),
        ({"a": {2.5: 1}}, "Record 1 at $.a has the key 2.5 of type float. Keys are str, or int as its text."),
    ],
    ids=["tuple", "bytearray", "bytes", "set", "Decimal", "UUID", "enum", "object", "bool key", "float key"],
)
async def test_what_json_or_rpc_would_change_is_refused(stream: Stream, kept: Kept, record: object, text: str) -> None:
    with pytest.raises(TypeError) as refusal:
        await stream.send([{"fine": 1}, record])
    assert str(refusal.value) == f"TypeError: {text}"
    assert kept.batches == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": {"b": [1.5, None, x]}}], ids=["bare", "deep"])
async def test_nan_and_infinity_are_refused(stream: Stream, kept: Kept, number: float, wrap: object) -> None:
    with pytest.raises(BindingError, match=rf"Record 0 at \$.* is {number}, which JSON does not have"):
        await stream.send([wrap(number)])
    assert kept.batches == []


async def test_text_that_says_null_beside_floats_is_fine(stream: Stream, kept: Kept) -> None:
    await stream.send([{"a": "null", "b": 1.5, "c": None}])
    assert kept.records() == [{"a": "null", "b": 1.5, "c": None}]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_999), "2026-01-02T03:04:05.678Z"),  # noqa: DTZ001 - naive is the case
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T22:00:00.000Z"),
    ],
    ids=["naive is UTC", "UTC", "another zone"],
)
async def test_datetime_travels_as_a_javascript_date(stream: Stream, kept: Kept, moment: datetime, text: str) -> None:
    await stream.send([{"at": moment}])
    assert kept.records() == [{"at": text}]


async def test_int_keys_become_text_and_the_later_one_wins(stream: Stream, kept: Kept) -> None:
    await stream.send([{1: "a", "1": "b", 2: {3: None}}])
    assert kept.batches[0].lines == b'{"1":"b","2":{"3":null}}\n'


async def test_kinds_of_dict_are_objects(stream: Stream, kept: Kept) -> None:
    await stream.send([JsDict(a=1), OrderedDict(b=2)])
    assert kept.records() == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("text", ["\ud800", {"\udfff": 1}], ids=["value", "key"])
async def test_half_a_surrogate_pair_is_refused(stream: Stream, kept: Kept, text: object) -> None:
    with pytest.raises(BindingError, match="half a surrogate pair"):
        await stream.send([text])
    assert kept.batches == []


async def test_integer_beyond_pythons_digit_limit_is_refused(stream: Stream) -> None:
    with pytest.raises(BindingError, match="too many digits"):
        await stream.send([10**5000])


@pytest.mark.parametrize("leaf", [1, datetime(2026, 1, 1, tzinfo=UTC)], ids=["plain", "needs the exact walk"])
async def test_64_levels_are_the_deepest(stream: Stream, kept: Kept, leaf: object) -> None:
    deepest = nested(DEPTH_MAX - 1)
    await stream.send([[deepest, leaf]])
    with pytest.raises(BindingError, match=r"Record 1 at \$\[0\]\[0\].*\.\.\. is nested more than 64 levels deep"):
        await stream.send([1, [[deepest], leaf]])
    assert len(kept.batches) == 1


async def test_record_inside_itself_is_refused(stream: Stream) -> None:
    record: dict[str, object] = {}
    record["self"] = record
    with pytest.raises(BindingError, match="nested more than 64 levels deep"):
        await stream.send([record])


@pytest.mark.parametrize("leaf", [1, datetime(2026, 1, 1, tzinfo=UTC)], ids=["plain", "needs the exact walk"])
async def test_record_that_repeats_its_parts_is_refused_before_it_fills_memory(stream: Stream, leaf: object) -> None:
    bomb = [leaf]
    for _ in range(40):
        bomb = [bomb, bomb]
    with pytest.raises(BindingError, match="more than 5,242,880 bytes") as refusal:
        await stream.send(bomb)
    assert refusal.value.http_status == 413


async def test_limit_counts_the_json_array(stream: Stream, kept: Kept) -> None:
    largest = ["x" * 10, "y" * (BATCH_BYTES_MAX - 17)]  # [ "10" , "rest" ]
    assert len(json.dumps(largest, separators=(",", ":"))) == BATCH_BYTES_MAX
    await stream.send(largest)
    with pytest.raises(BindingError) as refusal:
        await stream.send(["x" * 11, largest[1]])
    assert refusal.value.http_status == 413
    assert refusal.value.message == (
        "The records are 5,242,881 bytes as JSON; one send takes at most 5,242,880 (5 MB). Send them in parts."
    )
    assert len(kept.batches) == 1


async def test_binding_behaves_as_cloudflares_wrapper(stream: Stream, kept: Kept) -> None:
    assert stream
    await stream["send"]([1])
    assert kept.records() == [1]
    with pytest.raises(TypeError, match="'Stream' object is not iterable"):
        iter(stream)
    with pytest.raises(TypeError, match="has no len"):
        len(stream)
    with pytest.raises(AttributeError, match="put"):
        stream["put"]
    assert not hasattr(stream, "put")
