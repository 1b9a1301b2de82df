"""A project under test: its Worker called, its bindings, what it leaves behind."""

from __future__ import annotations

import asyncio
import sys
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.errors import HandlerError
from edge.runtime.core.request import Request
from edge.runtime.core.response import Response
from edge.runtime.testing.project import open_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKER = """
    from workers import Response, WorkerEntrypoint, fetch, wait_until

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            match request.url.removeprefix("http://localhost"):
                case "/echo":
                    return Response(f"{request.method} {request.headers['content-type']} {await request.text()}")
                case "/boom":
                    return self.boom()
                case "/later":
                    wait_until(self.env.KV.put("later", "done"))
                    return Response("soon")
                case "/outside":
                    return await fetch("https://example.com/rates")
            return Response(f"{request.url} costs {self.env.PRICE}")

        async def scheduled(self, controller, env, ctx):
            await self.env.KV.put("cron", f"{controller.cron} {controller.scheduledTime}")

        def boom(self):
            raise ValueError("no price")
"""
FUNCTIONS = """
    from workers import Response

    async def fetch(request, env, ctx):
        return Response(str(env.PRICE))

    async def scheduled(controller, env, ctx):
        await env.KV.put("cron", controller.cron)
"""


async def test_fetch_takes_a_path_a_url_or_a_request(opened: Callable[..., Any]) -> None:
    worker = (await opened(WORKER)).worker
    for asked in ("/a", "http://localhost/a", Request("http://localhost/a")):
        assert await (await worker.fetch(asked)).text() == "http://localhost/a costs 5"


async def test_a_body_is_posted_and_json_is_said_to_be_json(opened: Callable[..., Any]) -> None:
    worker = (await opened(WORKER)).worker
    assert await (await worker.fetch("/echo", json=[1])).text() == "POST application/json [1]"
    sent = await worker.fetch("/echo", method="PUT", headers={"content-type": "text/x"}, body="hi")
    assert await sent.text() == "PUT text/x hi"
    with pytest.raises(TypeError, match="takes body or json, not both"):
        await worker.fetch("/echo", json=1, body="1")


async def test_what_a_handler_raises_is_raised_from_the_users_line_on(opened: Callable[..., Any]) -> None:
    worker = (await opened(WORKER)).worker
    with pytest.raises(ValueError, match="no price") as raised:
        await worker.fetch("/boom")
    frames = [frame.name for frame in extract_tb(raised.tb)]
    assert frames[-2:] == ["fetch", "boom"]
    assert not [frame for frame in extract_tb(raised.tb) if frame.filename.endswith("live_worker.py")]


async def test_scheduled_is_called_at_the_clock_of_the_test(opened: Callable[..., Any]) -> None:
    project = await opened(WORKER)
    await project.workflows.advance("1 hour")
    await project.worker.scheduled("0 * * * *")
    assert await project.env.KV.get("cron") == f"0 * * * * {int(project.workflows.now().timestamp() * 1000)}"


async def test_a_worker_of_functions_is_called_alike(opened: Callable[..., Any]) -> None:
    project = await opened(FUNCTIONS, vars={"PRICE": "7"})
    assert await (await project.worker.fetch("/")).text() == "7"
    await project.worker.scheduled()
    assert await project.env.KV.get("cron") == "* * * * *"


async def test_work_that_goes_on_after_the_answer_can_be_waited_for(opened: Callable[..., Any]) -> None:
    project = await opened(WORKER)
    await project.worker.fetch("/later")
    await project.worker.drain()
    assert await project.env.KV.get("later") == "done"


async def test_the_internet_can_be_answered_for(opened: Callable[..., Any]) -> None:
    worker = (await opened(WORKER)).worker

    async def rates(request: Request) -> Response:
        return Response(f"for {request.url}")

    worker.on_fetch = rates
    assert await (await worker.fetch("/outside")).text() == "for https://example.com/rates"


async def test_without_that_it_is_asked(opened: Callable[..., Any]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nreal")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        worker = (await opened(WORKER.replace("https://example.com/rates", url))).worker
        assert await (await worker.fetch("/outside")).text() == "real"


async def test_keys_expire_by_the_clock_of_the_test(opened: Callable[..., Any]) -> None:
    project = await opened(WORKER)
    await project.env.KV.put("a", "1", expirationTtl=60)
    await project.workflows.advance("59 seconds")
    assert await project.env.KV.get("a") == "1"
    await project.workflows.advance("2 seconds")
    assert await project.env.KV.get("a") is None


async def test_nothing_of_a_project_is_left_after_it(tmp_path: Path, write_project: Callable[..., Path]) -> None:
    path = write_project(tmp_path / "project", WORKER)
    before = list(sys.path)
    async with open_project(path, state=tmp_path / "one") as project:
        await project.env.KV.put("a", "1")
        assert "entry" in sys.modules
    assert "entry" not in sys.modules
    assert sys.path == before
    async with open_project(path, state=tmp_path / "two") as project:
        assert await project.env.KV.get("a") is None


async def test_a_worker_that_cannot_be_loaded_is_said_at_once(opened: Callable[..., Any]) -> None:
    with pytest.raises(HandlerError, match="failed while it was imported: ZeroDivisionError"):
        await opened("1 / 0")
