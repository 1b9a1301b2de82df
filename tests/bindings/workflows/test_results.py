"""What steps return beyond plain values: streams of bytes, classes of the user's own, and how large all may be."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from edge.bindings.workflows import values
from edge.bindings.workflows.engine.results import CHUNK_BYTES
from edge.runtime.core.errors import BindingError
from edge.runtime.core.response import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge.runtime.testing.fake_host import FakeHost

SIZE = 3 * 1024 * 1024 + 5
QUICK = {"retries": {"limit": 1, "delay": 0}}
NEVER = {"retries": {"limit": 0, "delay": 0}}


async def numbers(size: int = SIZE, piece: int = 100_000) -> AsyncIterator[bytes]:
    whole = bytes(n % 251 for n in range(size))
    for start in range(0, size, piece):
        yield whole[start : start + piece]


async def read(stream: Any) -> bytes:
    return b"".join([piece async for piece in stream])


def chunk_rows(host: FakeHost) -> list[tuple[str, int, int]]:
    with closing(sqlite3.connect(host.state_dir / "workflows.sqlite")) as connection:
        return connection.execute("SELECT name, attempt, place FROM chunk ORDER BY name, attempt, place").fetchall()


@pytest.mark.parametrize("make", [numbers, lambda: Response(numbers()).body], ids=["iterator", "body"])
async def test_a_stream_is_kept_whole_and_read_afresh_on_every_pass(
    start: Callable[..., Any], host: FakeHost, make: Callable[[], Any]
) -> None:
    calls: list[int] = []
    seen: list[bytes] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        def download() -> Any:
            calls.append(1)
            return make()

        seen.append(await read(await step.do("download", download)))
        await step.sleep("nap", "1 hour")
        return len(seen[-1])

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(3601)
    assert await site.output(instance) == SIZE
    assert calls == [1]
    assert seen == 2 * [await read(numbers())]
    assert len(chunk_rows(host)) == -(-SIZE // CHUNK_BYTES)
    await instance.delete()
    assert chunk_rows(host) == []


async def test_each_call_of_a_decorated_step_reads_its_stream_from_the_beginning(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do()
        async def download() -> Any:
            return numbers(1000)

        @step.do()
        async def size(download: Any) -> int:
            return len(await read(download))

        @step.do()
        async def start(download: Any) -> bytes:
            return (await read(download))[:3]

        together = await asyncio.gather(download(), download())
        return [await size(), await start(), *[len(await read(stream)) for stream in (*together, await download())]]

    site = await start(run)
    assert await site.output(await site.create()) == [1000, b"\x00\x01\x02", 1000, 1000, 1000]


async def test_a_stream_that_breaks_off_is_made_again(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        async def pieces(attempt: int) -> AsyncIterator[bytes]:
            yield bytes(2 * CHUNK_BYTES)
            if attempt == 1:
                raise OSError("the line went dead")
            yield b"end"

        found = await step.do("download", lambda ctx: pieces(ctx["attempt"]), config=QUICK)
        return len(await read(found))

    site = await start(run)
    assert await site.output(await site.create()) == 2 * CHUNK_BYTES + 3
    assert chunk_rows(host) == [("download", 2, place) for place in range(3)]


async def test_a_restart_forgets_the_streams_it_forgets_the_steps_of(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        for name in "ab":
            await step.do(name, lambda: numbers(10))
        await step.sleep("nap", "1 hour")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await site.stop()
    await instance.restart({"from": {"name": "b"}})
    assert chunk_rows(host) == [("a", 1, 0)]


async def test_only_bytes_may_be_streamed_and_only_as_the_whole_result(start: Callable[..., Any]) -> None:
    async def texts() -> AsyncIterator[str]:
        yield "a"

    async def run(self: Any, event: Any, step: Any) -> Any:
        told = []
        for name, returned in (("text", texts()), ("inside", {"stream": numbers(1)})):
            try:
                await step.do(name, lambda: returned, config=QUICK)  # noqa: B023 - called at once
            except BindingError as error:
                told.append(error.message)
        return told

    site = await start(run)
    assert await site.output(await site.create()) == [
        "Step text-1 returned a stream of str: a stream is of bytes.",
        "A stream can only be the whole result of a step.",
    ]


@pytest.mark.parametrize("make", [lambda: "x" * 600, lambda: numbers(600)], ids=["value", "stream"])
async def test_the_state_of_an_instance_has_a_limit_over_all_passes(
    start: Callable[..., Any], host: FakeHost, make: Callable[[], Any]
) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("first", make)
        await step.sleep("nap", "1 hour")
        try:
            await step.do("second", make, config=QUICK)
        except BindingError as error:
            return error.message

    site = await start(run, state_bytes_max=1024)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(3601)
    text = "Step second-1 output takes the state of its instance over the limit of 1,024 bytes."
    assert await site.output(instance) == text


async def test_a_stream_that_broke_off_does_not_count_against_the_state(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        async def pieces(is_good: bool) -> AsyncIterator[bytes]:
            yield bytes(CHUNK_BYTES)
            if not is_good:
                raise OSError("the line went dead")
            yield bytes(CHUNK_BYTES)

        for name in "ab":  # one is made again, one is given up
            with suppress(BindingError):
                await step.do(name, lambda ctx: pieces(ctx["attempt"] == 2), config=QUICK if name == "a" else NEVER)
        await step.do("rest", lambda: bytes(CHUNK_BYTES // 2))

    site = await start(run, state_bytes_max=3 * CHUNK_BYTES)
    await site.output(await site.create())


async def test_the_limit_of_a_value_can_be_raised(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("large", lambda: "x" * 1024 * 1024)
        try:
            await step.do("larger", lambda: "x" * 2 * 1024 * 1024)
        except BindingError as error:
            return error.message

    site = await start(run, result_bytes_max=2 * 1024 * 1024)
    text = "Step larger-1 output is too large. Maximum allowed size is 2MiB."
    assert await site.output(await site.create()) == text


@dataclass(frozen=True)
class Money:
    amount: int
    currency: str


@dataclass
class Receipt:
    total: Money
    lines: list[Money]


class Address(BaseModel):
    street: str
    number: int = 1


async def test_classes_that_the_workflow_names_come_back_as_what_they_were(
    start: Callable[..., Any], host: FakeHost
) -> None:
    seen: list[Any] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        receipt = await step.do("pay", lambda: Receipt(Money(5, "EUR"), [Money(2, "EUR"), Money(3, "EUR")]))
        address = await step.do("address", lambda: {"to": Address(street="Main", number=7)})
        seen.append((receipt, address))
        await step.sleep("nap", "1 hour")
        return receipt

    site = await start(run)
    site.load(run, stored_types=(Receipt, Money, Address))
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(3601)
    assert await site.output(instance) == {
        "total": {"amount": 5, "currency": "EUR"},
        "lines": [{"amount": 2, "currency": "EUR"}, {"amount": 3, "currency": "EUR"}],
    }
    expected = Receipt(Money(5, "EUR"), [Money(2, "EUR"), Money(3, "EUR")]), {"to": Address(street="Main", number=7)}
    assert seen == [expected, expected]


def test_a_class_that_is_not_named_is_refused() -> None:
    with pytest.raises(BindingError, match="DataCloneError"):
        values.encode(Money(1, "EUR"))
    with pytest.raises(BindingError, match="takes dataclasses and pydantic models"):
        values.encode(Plain(), types={"Plain": Plain})


@dataclass
class Token:
    secret: str


async def test_a_result_that_cannot_be_stored_is_told_by_its_type_alone(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("login", lambda: [Token("hunter2")], config={"sensitive": "output", **QUICK})

    site = await start(run)
    assert await site.error(await site.create()) == {"name": "DataCloneError", "message": "Token could not be cloned."}


class Plain:
    """Neither."""
