"""What a value is after it was stored, and which cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.workflows.durations import parse_duration_ms
from edge.bindings.workflows.engine.retries import read_config
from edge.bindings.workflows.errors import WorkflowFatalError
from edge.bindings.workflows.values import CyclicValueError, UnserialisableError, ValueTooLargeError, decode, encode
from edge.runtime.core.errors import BindingError
from edge.runtime.core.response import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(UTC) | st.none())
)
VALUES = st.recursive(
    ATOMS | st.sets(st.integers() | st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.dictionaries(st.integers(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


def test_a_value_that_looks_like_a_tag_comes_back_as_it_was() -> None:
    assert decode(encode({"$": ["bytes", "aGk="]})) == {"$": ["bytes", "aGk="]}


def test_tuples_come_back_as_lists_but_keys_stay_hashable() -> None:
    assert decode(encode((1, (2,)))) == [1, [2]]
    assert decode(encode({(1, 2): {(3, 4)}})) == {(1, 2): {(3, 4)}}


@pytest.mark.parametrize(
    "value",
    [{frozenset({1})}, {frozenset({1}): 2}, {(frozenset({1}),): {frozenset({(2, frozenset())})}}],
    ids=["in a set", "as a key", "in a tuple"],
)
def test_sets_in_sets_and_in_keys_come_back_as_they_were(value: object) -> None:
    assert decode(encode(value)) == value


@dataclass(frozen=True)
class Coin:
    cents: int


def test_objects_in_sets_and_in_keys_are_read_with_and_without_their_class() -> None:
    types = {"Coin": Coin}
    value = {Coin(5): {Coin(1), Coin(2)}}
    stored = encode(value, types=types)
    assert decode(stored, types=types) == value
    assert decode(stored) == {(("cents", 5),): {(("cents", 1),), (("cents", 2),)}}


@pytest.mark.parametrize(
    "value",
    [10**640, -(10**640), 10**5000, {"n": 10**5000}, {10**5000: [1, -(16**5000)]}],
    ids=["641 digits", "negative", "5001 digits", "in an object", "as a key"],
)
def test_integers_of_any_size_come_back_as_they_were(value: object) -> None:
    assert decode(encode(value)) == value


def test_an_integer_stored_before_large_ones_had_a_tag_is_read() -> None:
    assert decode(b"1" + 1000 * b"0") == 10**1000


async def stream() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (lambda: 1, UnserialisableError),
        ([Response("x")], UnserialisableError),
        (object(), BindingError),
        (aiter(stream()), BindingError),
        (ValueError("x"), BindingError),
        ("x" * 1024 * 1024, ValueTooLargeError),
    ],
    ids=["function", "response", "object", "stream", "error", "large"],
)
def test_what_cannot_be_stored_is_refused(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode(value)


def test_a_value_in_itself_is_refused_and_one_used_twice_is_not() -> None:
    shared = [1]
    assert decode(encode([shared, shared])) == [[1], [1]]
    shared.append(shared)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(CyclicValueError, match=r"^Converting circular structure to JSON$"):
        encode(shared)


@pytest.mark.parametrize("kind", ["list", "dict", "map"])
def test_a_value_may_be_nested_200_deep(kind: str) -> None:
    value: object = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(200):
        value = {"list": [value], "dict": {"a": value}, "map": {1: value}}[kind]
    assert decode(encode(value)) == value
    with pytest.raises(
        CyclicValueError, match=r"^It is nested deeper than 200 lists and objects, which cannot be stored"
    ):
        encode([[value]])


@pytest.mark.parametrize(
    ("value", "duration_ms"),
    [
        (0, 0),
        (-5, 0),
        (1.5, 2),
        ("20", 20),
        ("20 ms", 20),
        ("1 second", 1000),
        ("1.5 Minutes", 90_000),
        ("24 hours", 86_400_000),
        ("1 week", 604_800_000),
        ("1 year", 31_536_000_000),
        (datetime(2026, 1, 1, tzinfo=UTC), None),
        ("1s", None),
        ("soon", None),
        ("", None),
        (None, None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        ("366 days", None),
        pytest.param(10**400, None, id="401 digits"),
        pytest.param(10**5000, None, id="5001 digits"),
        pytest.param("9" * 5000, None, id="5000 nines"),
    ],
    ids=str,
)
def test_durations(value: object, duration_ms: int | None) -> None:
    if duration_ms is not None:
        assert parse_duration_ms(value, "It") == duration_ms
        return
    with pytest.raises(WorkflowFatalError, match="It is") as caught:
        parse_duration_ms(value, "It")
    assert len(str(caught.value)) < 400


RETRIES = {"limit": 1, "delay": 1}


@pytest.mark.parametrize(
    "config",
    [
        5,
        {"retry": RETRIES},
        {"retries": {"limit": 1}},
        {"retries": {"delay": 1}},
        {"retries": RETRIES | {"limit": -1}},
        {"retries": RETRIES | {"limit": "3"}},
        {"retries": RETRIES | {"limit": float("inf")}},
        {"retries": RETRIES | {"limit": 10_001}},
        {"retries": RETRIES | {"delay": "1s"}},
        {"retries": RETRIES | {"delay": -1}},
        {"retries": RETRIES | {"backoff": "random"}},
        {"retries": RETRIES | {"jitter": 1}},
        {"timeout": 0},
        {"timeout": "never"},
        {"sensitive": "input"},
        {"semantics": "exactly_once"},
        {"sensitive": []},
        {"semantics": {}},
        {"retries": RETRIES | {"backoff": []}},
        {"retries": RETRIES | {"delay": 10**400}},
        {"timeout": 10**400},
    ],
    ids=lambda config: f"{config!r:.60}",
)
def test_a_config_that_cloudflare_refuses_is_refused(config: object) -> None:
    with pytest.raises(WorkflowFatalError, match='Step config for "x" is in a invalid format'):
        read_config("x", config)


def test_a_config_without_backoff_is_exponential() -> None:
    read = read_config("x", {"retries": {"limit": 1.5, "delay": "2 seconds"}, "timeout": "1 minute"})
    assert (read.limit, read.delay, read.backoff, read.timeout_ms) == (1.5, 2000, "exponential", 60_000)
    assert read_config("x", None, delay_ms_default=1000).delay == 1000
