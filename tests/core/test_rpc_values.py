"""What may cross to another Worker, and what it comes back as."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from edge import Response, python_from_rpc, python_to_rpc
from edge.runtime.core.errors import BindingError
from edge.runtime.core.js_proxy import js_value
from edge.runtime.core.js_values import jsnull


@pytest.mark.parametrize(
    ("sent", "comes_back"),
    [
        (None, None),
        (True, True),
        (1.0, 1),
        (1.5, 1.5),
        (2**70, 2**70),
        ("text", "text"),
        ([1, None], [1, None]),
        ({1: {"a": None}}, {"1": {"a": None}}),
        ({1, 2}, {1, 2}),
        (datetime(2026, 1, 1, 0, 0, 0, 123456), datetime(2026, 1, 1, 0, 0, 0, 123000)),  # noqa: DTZ001 - naive
    ],
    ids=repr,
)
def test_round_trip(sent: Any, comes_back: Any) -> None:
    assert python_from_rpc(python_to_rpc(sent)) == comes_back


def test_types_that_change() -> None:
    assert python_to_rpc([js_value({"a": [None]})]) == [{"a": [jsnull]}]
    assert python_to_rpc(None) is jsnull
    assert type(python_from_rpc(1.0)) is int
    assert type(python_from_rpc(b"x")) is memoryview
    assert python_from_rpc({"a": {"b": 1}}).a.b == 1
    error = python_from_rpc(ValueError("no"))
    assert (type(error), str(error)) == (Exception, "Error: no")
    response = Response("x")
    assert python_to_rpc(response) is response


@pytest.mark.parametrize("value", [(1,), bytearray(b"x"), [(1,)], {"a": bytearray()}], ids=repr)
def test_tuples_and_bytearrays_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^<class '(tuple|bytearray)'> cannot be sent over RPC\.$"):
        python_to_rpc(value)


async def test_awaitables_are_refused() -> None:
    async def work() -> None: ...

    coroutine = work()
    with pytest.raises(TypeError, match=r"^Awaitable <class 'coroutine'> cannot be sent over RPC\.$"):
        python_to_rpc(coroutine)
    coroutine.close()


@pytest.mark.parametrize("value", [1j, range(2), frozenset(), object()], ids=lambda value: type(value).__name__)
def test_what_javascript_cannot_clone_is_refused(value: Any) -> None:
    with pytest.raises(BindingError, match=r"^DataCloneError: .* could not be cloned\.$"):
        python_to_rpc(value)
