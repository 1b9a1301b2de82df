"""Generations: a swap between two requests, old ones that finish, failures that become answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from edge import Request, Response
from edge.runtime.core.context import request_id
from edge.runtime.core.env import Env
from edge.runtime.core.errors import BackendError, HandlerError, RefusedError
from edge.runtime.core.request import incoming_request
from edge.runtime.core.response import wire_body
from edge.runtime.core.worker import Worker
from edge.runtime.live_worker import Generation, LiveWorker
from edge.runtime.plain_answer import plain_answer
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def generation(host: FakeHost, fetch: Callable[..., object], **handlers: Callable[..., object]) -> Generation:
    made = Generation(Env({}), host)
    made.worker = Worker("entry.py", "function", {"fetch": fetch, **handlers})
    return made


def get() -> Request:
    return incoming_request("GET", "http://localhost/", [])


async def test_an_old_generation_finishes_its_request_and_its_pending_work() -> None:
    host, go, done = FakeHost(), asyncio.Event(), []

    async def slow(request: Request, env: Env, ctx: object) -> Response:
        async def later() -> None:
            done.append("pending")

        await go.wait()
        ctx.waitUntil(later())  # type: ignore[attr-defined]  # ctx is a Context
        return Response("old")

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, slow))
    in_flight = asyncio.ensure_future(live.fetch(get()))
    await host.settle()
    old = live.swap(generation(host, lambda *_: Response("new")))
    assert old is not None
    drained = asyncio.ensure_future(old.drain())
    assert await (await live.fetch(get())).text() == "new"
    assert not drained.done()
    go.set()
    assert await (await in_flight).text() == "old"
    await drained
    assert done == ["pending"]


async def test_a_streamed_body_keeps_its_generation_until_it_is_sent() -> None:
    host = FakeHost()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, lambda *_: Response(chunks())))
    body = wire_body(await live.fetch(get()))
    assert body is not None
    old = live.swap(generation(host, lambda *_: Response("new")))
    assert old is not None
    drained = asyncio.ensure_future(old.drain())
    await host.settle()
    assert not drained.done()
    assert [chunk async for chunk in body.chunks()] == [b"one", b"two"]
    await drained


async def test_a_streamed_body_nobody_reads_lets_its_generation_go() -> None:
    host = FakeHost()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"

    live = LiveWorker(host, plain_answer)
    current = generation(host, lambda *_: Response(chunks()))
    live.swap(current)
    response = await live.fetch(get())
    assert current.in_flight_count == 1
    del response
    await current.drain()
    assert current.in_flight_count == 0


async def test_a_failure_outside_dev_never_tells_its_reason() -> None:
    host = FakeHost()

    def fail(*_: object) -> Response:
        raise ValueError("the secret reason")

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, fail))
    answer = await live.fetch(get())
    assert (answer.status, await answer.text()) == (500, "Internal Server Error\n")
    assert host.log.events("error") == ["handler_failed"]


@pytest.mark.parametrize(
    ("status", "text"), [(429, "Too Many Requests"), (503, "Service Unavailable"), (507, "Insufficient Storage")]
)
async def test_storage_that_failed_may_be_tried_again(status: int, text: str) -> None:
    error = BackendError("state/kv.sqlite: no space left")
    error.http_status = status

    def fail(*_: object) -> Response:
        raise error

    live = LiveWorker(FakeHost(), plain_answer)
    live.swap(generation(FakeHost(), fail))
    request_id.set("00ff")
    answer = await live.fetch(get())
    request_id.set("")
    assert (answer.status, answer.headers["retry-after"]) == (status, "1")
    assert await answer.text() == f"{text} (request 00ff)\n"


async def test_storage_that_refuses_every_request_is_logged_once_a_second_in_one_line() -> None:
    host = FakeHost()

    def fail(*_: object) -> Response:
        raise BackendError("state/kv.sqlite: no space left")

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, fail))
    for _ in range(3):
        await live.fetch(get())
    assert host.log.events("error") == ["backend_failed"]
    await host.advance(1.0)
    await live.fetch(get())
    lines = [values for level, _, values in host.log.lines if level == "error"]
    reason = "state/kv.sqlite: no space left"
    assert lines == [{"reason": reason, "not_logged": 0}, {"reason": reason, "not_logged": 2}]


async def test_sys_exit_in_a_handler_ends_that_request_only() -> None:
    host = FakeHost()

    def leave(*_: object) -> Response:
        raise SystemExit(3)

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, leave))
    assert (await live.fetch(get())).status == 500
    assert host.log.events("error") == ["handler_failed"]


ENDING_MORE = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]


@pytest.mark.parametrize("error", ENDING_MORE, ids=type)
@pytest.mark.usefixtures("handled_ctrl_c")
async def test_a_streamed_body_fails_alone(error: BaseException) -> None:
    host = FakeHost()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        raise error

    live = LiveWorker(host, plain_answer)
    current = generation(host, lambda *_: Response(chunks()))
    live.swap(current)
    body = wire_body(await live.fetch(get()))
    assert body is not None
    with pytest.raises(HandlerError) as raised:
        await body.read()
    assert str(raised.value) == f"The body of an answer raised {error!r}, which ends it alone."
    assert current.in_flight_count == 0


@pytest.mark.parametrize("error", ENDING_MORE, ids=type)
@pytest.mark.usefixtures("handled_ctrl_c")
async def test_an_event_fails_alone(error: BaseException) -> None:
    host = FakeHost()

    def scheduled(*_: object) -> None:
        raise error

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, lambda *_: Response(), scheduled=scheduled))
    with pytest.raises(HandlerError) as raised:
        await live.call("scheduled", "tick")
    assert str(raised.value) == f"The handler scheduled raised {error!r}, which ends it alone."


async def test_a_request_that_is_cancelled_is_not_answered() -> None:
    host = FakeHost()
    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, lambda *_: asyncio.get_running_loop().create_future()))
    asking = asyncio.ensure_future(live.fetch(get()))
    await host.settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert host.log.events("error") == []


async def test_a_refusal_is_the_clients_to_read_and_no_error_of_ours() -> None:
    host = FakeHost()

    def refuse(*_: object) -> Response:
        raise RefusedError(413, "The body is over 100 MB.")

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, refuse))
    answer = await live.fetch(get())
    assert (answer.status, await answer.text()) == (413, "The body is over 100 MB.\n")
    assert host.log.events("error") == []


async def test_pending_work_of_an_event_ends_before_its_call_returns() -> None:
    host, done = FakeHost(), []

    async def scheduled(event: object, env: Env, ctx: object) -> str:
        async def later() -> None:
            await asyncio.sleep(0)
            done.append(event)

        ctx.waitUntil(later())  # type: ignore[attr-defined]  # ctx is a Context
        return "ran"

    live = LiveWorker(host, plain_answer)
    live.swap(generation(host, lambda *_: Response(), scheduled=scheduled))
    assert await live.call("scheduled", "tick") == "ran"
    assert done == ["tick"]


async def test_without_a_generation_the_failure_of_the_first_load_is_answered() -> None:
    live = LiveWorker(FakeHost(), lambda _request, error: Response(str(error), status=500))
    live.failure = HandlerError("entry.py failed while it was imported")
    assert "failed while it was imported" in await (await live.fetch(get())).text()
    with pytest.raises(HandlerError):
        await live.call("scheduled", None)
