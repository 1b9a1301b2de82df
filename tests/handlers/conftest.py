"""Each example behind each doorway, whole: its own wrangler file, real bindings, fresh state."""

from __future__ import annotations

import asyncio
import base64
import http.client
import re
import sys
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.adapters.asgi import asgi_app
from edge.runtime.adapters.aws_lambda import handler_for
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    Ask = Callable[..., Awaitable[tuple[int, bytes]]]

HANDLERS = Path(__file__).parent.parent.parent / "handlers"
EDGE = Path(sys.executable).parent / "edge"


@asynccontextmanager
async def behind_aiohttp(example: str, state: Path) -> AsyncIterator[Ask]:
    """`edge serve`, as a user starts it, on a real socket."""
    config = HANDLERS / example / "wrangler.jsonc"
    child = await asyncio.create_subprocess_exec(
        EDGE, "serve", "--config", config, "--port", "0", "--persist-to", state,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert child.stdout is not None
    told = ""
    while not (ready := re.search(r"Ready on http://([\w.:]+)", told)):
        line = await child.stdout.readline()
        assert line, f"edge serve did not start:\n{told}"
        told += line.decode()

    def ask_now(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(ready[1], timeout=60)
        connection.request(method, path, body or None)
        answer = connection.getresponse()
        read = answer.status, answer.read()
        connection.close()
        return read

    async def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        return await asyncio.to_thread(ask_now, method, path, body)

    try:
        yield ask
    finally:
        child.terminate()
        await child.communicate()
    assert child.returncode == 0


@asynccontextmanager
async def behind_asgi(example: str, state: Path) -> AsyncIterator[Ask]:
    """The ASGI app over local bindings, called in process."""
    choice = ConfigChoice(HANDLERS / example / "wrangler.jsonc")
    host = LocalMachine(prepare_state_folder(state), RecordingLog())
    async with aclosing(host), open_local_app(choice, host, load_config(choice)) as opened:
        app = asgi_app(opened, host, opened.config.settings.limits)

        async def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
            scope = {
                "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path,
                "raw_path": path.encode(), "query_string": b"", "headers": [(b"host", b"localhost")],
            }  # fmt: skip
            messages = [{"type": "http.request", "body": body, "more_body": False}]
            sent: list[Any] = []

            async def receive() -> dict[str, Any]:
                if not messages:  # the client stays until it is answered
                    await asyncio.get_running_loop().create_future()
                return messages.pop()

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            await app(scope, receive, send)
            return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

        yield ask


@asynccontextmanager
async def behind_lambda(example: str, _state: Path) -> AsyncIterator[Ask]:
    """The Lambda handler over AWS bindings, with a Function URL's events."""
    handler = await asyncio.to_thread(handler_for, HANDLERS / example / "wrangler.jsonc")

    async def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        event = {
            "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {"host": "worker.test"},
            "requestContext": {"http": {"method": method, "path": path, "sourceIp": "192.0.2.1"}},
            "body": base64.b64encode(body).decode(), "isBase64Encoded": True,
        }  # fmt: skip
        context = SimpleNamespace(aws_request_id="one", get_remaining_time_in_millis=lambda: 30_000)
        answer = await asyncio.to_thread(handler, event, context)
        text = answer.get("body") or ""
        return answer["statusCode"], base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()

    try:
        yield ask
    finally:
        await asyncio.to_thread(handler.close)


DOORWAYS: dict[str, Callable[[str, Path], AbstractAsyncContextManager[Ask]]] = {
    "aiohttp": behind_aiohttp,
    "asgi": behind_asgi,
    "lambda": behind_lambda,
}


@pytest.fixture(params=DOORWAYS)
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, aws: None
) -> Callable[[str], AbstractAsyncContextManager[Ask]]:
    """`async with opened("hello") as ask: status, body = await ask("GET", "/")`."""
    return lambda example: DOORWAYS[request.param](example, tmp_path)


@pytest.fixture
def aws(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS as moto serves it, with the resources that the examples' bindings name by default."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    _make_resources(moto_url)


def _make_resources(moto_url: str) -> None:
    import boto3  # a quarter of a second: only for tests that ask
    from botocore.exceptions import ClientError

    from edge.bindings.kv_namespaces.aws import table_definition

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=moto_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    made = (
        lambda: client("dynamodb").create_table(**table_definition("edge-counter-production-kv")),
        lambda: client("s3").create_bucket(Bucket="events-example"),
        lambda: client("firehose").create_delivery_stream(
            DeliveryStreamName="edge-events-production-events",
            DeliveryStreamType="DirectPut",
            S3DestinationConfiguration={
                "RoleARN": "arn:aws:iam::123456789012:role/r",
                "BucketARN": "arn:aws:s3:::events-example",
            },
        ),
    )
    for make in made:
        try:
            make()
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"ResourceInUseException", "BucketAlreadyOwnedByYou"}:
                raise
