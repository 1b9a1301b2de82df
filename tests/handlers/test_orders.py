"""The orders example, killed with -9 on its way: what is paid is paid once, and the order goes on by itself."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import re
import shutil
import signal
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.journal.sqlite_journal import open_journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import ModuleType

EXAMPLE = Path(__file__).parent.parent.parent / "handlers/orders"
EDGE = Path(sys.executable).parent / "edge"
PATIENCE_S = 60.0
LAMP = {"item": "lamp", "cents": 1900}
YES, NO = {"approved": True, "by": "ada"}, {"approved": False, "by": "bob"}


def services_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("services", EXAMPLE / "services.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class World:
    """The bank and the warehouse of the example, with a ledger outside; it can keep an answer back."""

    def __init__(self, ledger: Path) -> None:
        world = self

        class Services(services_module().Services):  # type: ignore[misc]  # loaded from a file
            def answer(self, kind: str, key: str, asked: Any) -> Any:
                answered = super().answer(kind, key, asked)
                if kind == world._held:
                    world._held = None
                    world._has_come.set()
                    world._may_answer.wait()
                return answered

        self._held: str | None = None
        self._has_come, self._may_answer = threading.Event(), threading.Event()
        self._ledger = ledger
        self._services = Services(0, ledger)
        self._thread = threading.Thread(target=self._services.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._services.server_port}"

    def hold(self, kind: str) -> None:
        """Do what the next such request asks for, and do not answer until `close`."""
        self._held = kind

    async def has_done_what_it_holds(self) -> None:
        assert await asyncio.to_thread(self._has_come.wait, PATIENCE_S)

    def close(self) -> None:
        self._may_answer.set()
        self._services.shutdown()
        self._services.server_close()
        self._thread.join()

    @property
    def asked(self) -> list[str]:
        return [line["kind"] for line in self._lines()]

    @property
    def done(self) -> list[str]:
        return [line["kind"] for line in self._lines() if line["done"]]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._ledger.read_text().splitlines()]


class Shop:
    """The example in a folder of its own, served by `edge serve`, which may be killed."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder = folder
        self._world = world
        self._child: asyncio.subprocess.Process | None = None
        self._authority = ""

    async def start(self) -> None:
        child = self._child = await asyncio.create_subprocess_exec(
            EDGE, "serve", "--port", "0", "--var", f"SERVICES_URL={self._world.url}", "--var", "COOLING_OFF=2 seconds",
            cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert child.stdout is not None
        told = b""
        while not (ready := re.search(rb"Ready on http://([\w.:]+)", told)):
            line = await child.stdout.readline()
            assert line, f"edge serve did not start:\n{told.decode()}"
            told += line
        self._authority = ready[1].decode()

    async def end(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)
            await self._child.communicate()
            self._child = None

    async def kill_and_start(self) -> None:
        await self.end(signal.SIGKILL)
        await self.start()

    async def order(self, order: dict[str, Any]) -> str:
        status, answer = await self.ask("POST", "/", order)
        assert status == 202, answer
        order_id: str = json.loads(answer)["id"]
        return order_id

    async def decide(self, order_id: str, decision: dict[str, Any]) -> None:
        assert (await self.ask("POST", f"/{order_id}/decision", decision))[0] == 202

    async def reach(self, order_id: str, status: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while (found := json.loads((await self.ask("GET", f"/{order_id}"))[1]))["status"] != status:
                pass
        return found

    async def has_begun_to_sleep(self, order_id: str) -> None:
        """Wait until its journal says so; on a slow machine the sleep may be over by then."""
        path = self.folder / ".edge/state/workflows/workflows.sqlite"
        async with asyncio.timeout(PATIENCE_S), open_journal(path) as journal:
            while "cool off" not in {step.key.name for step in await journal.steps("orders", order_id)}:
                pass

    async def send_decision(self, order_id: str, decision: dict[str, Any]) -> None:
        """As somebody at a terminal does."""
        child = await asyncio.create_subprocess_exec(
            EDGE, "workflows", "instances", "send-event", "orders", order_id,
            "--type", "decision", "--payload", json.dumps(decision), cwd=self.folder,
        )  # fmt: skip
        assert await child.wait() == 0

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        return await asyncio.to_thread(self._ask, method, path, None if body is None else json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._authority, timeout=PATIENCE_S)
        connection.request(method, path, body)
        answer = connection.getresponse()
        read = answer.status, answer.read().decode()
        connection.close()
        return read


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger.ndjson")
    yield world
    world.close()


@asynccontextmanager
async def shop_of(folder: Path, world: World) -> AsyncIterator[Shop]:
    shop = Shop(folder, world)
    try:
        await shop.start()
        yield shop
    finally:
        await shop.end(signal.SIGTERM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "orders"))


async def test_an_order_is_paid_once_and_goes_on_by_itself_over_three_kills(folder: Path, world: World) -> None:
    async with shop_of(folder, world) as shop:
        world.hold("charges")
        order_id = await shop.order(LAMP)
        await world.has_done_what_it_holds()
        await shop.kill_and_start()  # paid, and the answer never came

        await shop.reach(order_id, "waiting")
        await shop.kill_and_start()  # waiting for a decision

        await shop.decide(order_id, YES)
        await shop.has_begun_to_sleep(order_id)
        await shop.kill_and_start()  # asleep

        found = await shop.reach(order_id, "complete")
    assert found["output"] == {"approved_by": "ada", "parcel": "shipments-2"}
    assert world.asked == ["charges", "charges", "shipments"]
    assert world.done == ["charges", "shipments"]


async def test_a_refused_order_is_refunded_once_although_it_is_killed_meanwhile(folder: Path, world: World) -> None:
    async with shop_of(folder, world) as shop:
        world.hold("refunds")
        order_id = await shop.order(LAMP)
        await shop.decide(order_id, NO)
        await world.has_done_what_it_holds()
        await shop.kill_and_start()  # refunded, and the answer never came
        found = await shop.reach(order_id, "errored")
    assert found["error"] == {"name": "NonRetryableError", "message": "refused by bob"}
    assert world.asked == ["charges", "refunds", "refunds"]
    assert world.done == ["charges", "refunds"]


async def test_what_cannot_be_shipped_is_refunded(folder: Path, world: World) -> None:
    async with shop_of(folder, world) as shop:
        order_id = await shop.order({"item": "moon", "cents": 9})
        await shop.send_decision(order_id, YES)
        found = await shop.reach(order_id, "errored")
    assert found["error"]["message"] == '{"error": "the moon is out of stock"}'
    assert world.done == ["charges", "refunds"]


async def test_control_a_key_of_every_attempts_own_pays_twice(folder: Path, world: World) -> None:
    entry = folder / "entry.py"
    source = entry.read_text()
    careless = source.replace('f"{order_id}-{what}"', "str(__import__('uuid').uuid4())")
    assert careless != source
    entry.write_text(careless)
    async with shop_of(folder, world) as shop:
        world.hold("charges")
        order_id = await shop.order(LAMP)
        await world.has_done_what_it_holds()
        await shop.kill_and_start()
        await shop.reach(order_id, "waiting")
    assert world.done == ["charges", "charges"]


async def test_what_is_no_order_is_refused(folder: Path, world: World) -> None:
    async with shop_of(folder, world) as shop:
        assert (await shop.ask("GET", "/"))[1].startswith("Order, look, decide:")
        assert await shop.ask("POST", "/", ["lamp"]) == (400, 'An order is {"item": "...", "cents": 1900}.\n')
        assert await shop.ask("GET", "/nobody") == (404, "There is no order nobody.\n")
        order_id = await shop.order(LAMP)
        status, answer = await shop.ask("POST", f"/{order_id}/decision", {"approved": "yes"})
        assert (status, answer) == (400, 'A decision is {"approved": true, "by": "..."}.\n')
