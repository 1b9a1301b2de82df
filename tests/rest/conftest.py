"""A Worker without any pipelines binding, served on a real socket, and clients for its REST API."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import pytest

from edge.bindings._shared.tokens import TokenStore
from edge.runtime.adapters.aiohttp_server import HttpServer
from edge.runtime.adapters.listening import open_sockets
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import FakeHost
from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID, Limits, ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from cloudflare import AsyncCloudflare

    from edge.runtime.serve import App

EMAIL = "ada@example.com"
CONFIG = {"name": "demo", "main": "entry.py", "compatibility_flags": ["python_workers"]}
ENTRY = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("the worker")
"""

WORKFLOWS_CONFIG = {
    **CONFIG,
    "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Order", "limits": {"steps": 50}}],
}
WORKFLOWS_ENTRY = (
    ENTRY
    + """
from datetime import UTC, datetime
from workers import WorkflowEntrypoint
from workers.workflows import NonRetryableError

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("price")
        async def price():
            return {"eur": 5}

        eur = await price()
        approval = await step.wait_for_event("approval", "approved", timeout="1 hour")
        if approval["payload"] == "no":
            raise NonRetryableError("refused")
        return {"price": eur, "by": approval["payload"], "params": event["payload"]}

class Echo(WorkflowEntrypoint):
    async def run(self, event, step):
        return event["payload"]

class Kinds(WorkflowEntrypoint):
    async def run(self, event, step):
        async def pieces():
            for number in range(3):
                yield b"%d" % number * 200_000

        @step.do("stream")
        async def stream():
            return pieces()

        @step.do("secret", config={"sensitive": "output"})
        async def secret():
            return "planted"

        @step.do("odd")
        async def odd():
            return {"at": datetime(2026, 1, 2, tzinfo=UTC), "raw": b"hi", "set": {1}, ("a", 1): "\\ud800", "big": 2**70}

        @step.do("refused", config={"retries": {"limit": 1, "delay": "1 hour"}})
        async def refused():
            raise ValueError("no")

        await stream()
        await secret()
        await odd()
        await step.sleep("nap", 1)
        await refused()
"""
)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[int]:
        return [error["code"] for error in self.json()["errors"]]


@dataclass(frozen=True)
class Api:
    """A server with its tokens, and a way to ask it."""

    url: str
    app: App
    host: FakeHost
    tokens: TokenStore
    client: aiohttp.ClientSession
    token: str
    """Allows everything."""

    @property
    def base_url(self) -> str:
        return f"{self.url}/cdn-cgi/api/client/v4"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
        raw: Any = None,
    ) -> Reply:
        """Ask under /client/v4; `{A}` in the path is our account's. With the good token unless told otherwise."""
        sent = {"authorization": f"Bearer {self.token if token is None else token}"} if headers is None else headers
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        data = io.BytesIO(data) if isinstance(data, bytes) else data  # aiohttp warns of large bytes
        url = self.base_url + path.replace("{A}", f"/accounts/{LOCAL_ACCOUNT_ID}")
        async with self.client.request(method, url_of(url), headers=sent, data=data) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    def revoke(self, token: str) -> None:
        """Make a token worthless, by the id that is in its text."""
        self.tokens.revoke(jwt.decode(token, options={"verify_signature": False})["jti"])

    async def reach(self, workflow: str, instance_id: str, *statuses: str) -> Any:
        """An instance, without its steps, once it is in one of these statuses."""
        async with asyncio.timeout(60):
            while True:
                found = await self.call("GET", f"{{A}}/workflows/{workflow}/instances/{instance_id}?simple=true")
                if found["status"] in statuses:
                    return found

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The result of a call that goes well."""
        reply = await self.ask(method, path, body=body)
        assert reply.status == 200, reply.body
        assert reply.json()["success"] is True
        return reply.json()["result"]


def url_of(text: str) -> Any:
    """The URL exactly as written."""
    from yarl import URL

    return URL(text, encoded=True)


@asynccontextmanager
async def open_api(
    folder: Path, *, config: dict[str, Any] = CONFIG, entry: str = ENTRY, is_dev: bool = False
) -> AsyncIterator[Api]:
    (folder / "wrangler.jsonc").write_text(json.dumps(config))
    (folder / "entry.py").write_text(entry)
    state = folder / "state"
    state.mkdir(mode=0o700)
    host = FakeHost(state)
    choice = ConfigChoice(folder / "wrangler.jsonc")
    tokens = TokenStore(state, now=host.now)
    async with open_local_app(choice, host, load_config(choice), is_dev=is_dev) as app:  # type: ignore[arg-type]  # a Host in all but name
        server = HttpServer(host, Limits(), ServerSettings())
        await server.start(app, open_sockets("127.0.0.1", 0))
        try:
            async with aiohttp.ClientSession() as client:
                url = f"http://127.0.0.1:{server.port}"
                yield Api(url, app, host, tokens, client, tokens.create("All Write"))
        finally:
            await server.close()
    tokens.close()
    await host.aclose()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path) as opened:
        yield opened


@pytest.fixture
async def orders(tmp_path: Path) -> AsyncIterator[Api]:
    """A dev server whose Worker has the workflow `orders`, and a class `Echo` that nothing is made of yet."""
    async with open_api(tmp_path, config=WORKFLOWS_CONFIG, entry=WORKFLOWS_ENTRY, is_dev=True) as opened:
        yield opened


@pytest.fixture
async def served_orders(tmp_path: Path) -> AsyncIterator[Api]:
    """The same Worker, as `edge serve` has it."""
    async with open_api(tmp_path, config=WORKFLOWS_CONFIG, entry=WORKFLOWS_ENTRY) as opened:
        yield opened


@pytest.fixture
def sdk() -> Any:
    """Makes the unmodified cloudflare SDK, pointed at an Api.

    In 5.8 and 5.9 two types of `client.pipelines` import each other in a circle; stand-ins break it.
    """
    cloudflare = importlib.import_module("cloudflare")
    for name in ("source_field", "source_field_param"):
        module = f"cloudflare.types.pipelines.{name}"
        if module not in sys.modules:
            stand_in = ModuleType(module)
            setattr(stand_in, "".join(part.capitalize() for part in name.split("_")), Any)
            sys.modules[module] = stand_in

    def make(api: Api, **options: Any) -> AsyncCloudflare:
        return cloudflare.AsyncCloudflare(base_url=api.base_url, **({"api_token": api.token} | options))

    return make
