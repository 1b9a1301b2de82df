"""A function as Lambda runs it: the real awslambdaric, frozen whenever nothing asks to go on."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edge.runtime.testing.lambda_env import InitError, LambdaEnvironment
from edge.runtime.testing.lambda_events import http_answer, http_event

CONFIG = {
    "name": "demo",
    "main": "entry.py",
    "compatibility_date": "2026-09-08",
    "compatibility_flags": ["python_workers"],
}
HELLO = 'from workers import Response\nasync def fetch(request): return Response("hello")'
APP = """
from edge.runtime.adapters.aws_lambda import handler_for

handler = handler_for("wrangler.jsonc")
"""
PLAIN_MANGUM = """
import asyncio
from mangum import Mangum

async def later():
    await asyncio.sleep(0.05)
    open("done", "w").close()

async def app(scope, receive, send):
    app.task = asyncio.get_running_loop().create_task(later())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"started"})

handler = Mangum(app, lifespan="off")
"""
WAITS = """
    import asyncio
    from workers import Response

    count = 0

    async def later():
        global count
        await asyncio.sleep(0.05)
        count += 1
        open(f"done{count}", "w").close()

    async def fetch(request, env, ctx):
        ctx.waitUntil(later())
        return Response("started")
"""


@pytest.fixture
def function(tmp_path):
    """`function(worker, ...)` is a LambdaEnvironment around a folder with that Worker in it."""

    def make(worker: str, *, settings: str = "", app: str = APP, files: dict[str, str] | None = None, **options):
        written = {"entry.py": textwrap.dedent(worker), "wrangler.jsonc": json.dumps(CONFIG), "app.py": app}
        for name, text in {**written, "edge.toml": settings, **(files or {})}.items():
            (tmp_path / name).write_text(text)
        return LambdaEnvironment("app.handler", tmp_path, **options)

    return make


async def ask(environment, target="/", **options):
    return http_answer((await environment.invoke(http_event("2.0", "GET", target), **options)).value)


async def test_hello(function):
    async with function(HELLO) as environment:
        assert await ask(environment) == (
            200,
            [("content-type", "text/plain;charset=UTF-8"), ("content-length", "5")],
            b"hello",
        )


async def test_handler_that_raises_answers_500_is_logged_and_counted(function):
    async with function("async def fetch(r): raise ValueError('the reason')") as environment:
        status, _, body = await ask(environment)
        await environment.idle()
        line = json.loads(environment.log)
    assert (status, body) == (500, f"Internal Server Error (request {line['request_id']})\n".encode())
    assert (line["event"], line["request_id"]) == ("handler_failed", "00000000-0000-0000-0000-000000000001")
    assert "the reason" in line["exception"]
    assert (line["errors"], line["_aws"]["CloudWatchMetrics"][0]["Namespace"]) == (1, "Edge")


async def test_module_that_raises_at_import_is_an_init_error(function):
    async with function("raise ValueError('at import')") as environment:
        with pytest.raises(InitError, match="at import"):
            await environment.idle()
        assert await environment.process.wait() == 1


@pytest.mark.parametrize("has_extensions", [True, False], ids=["extension", "extensions-refused"])
async def test_wait_until_work_is_done_before_the_freeze(function, tmp_path, has_extensions):
    async with function(WAITS, has_extensions=has_extensions) as environment:
        for number in (1, 2, 3):
            assert (await ask(environment))[2] == b"started"
            await environment.idle()
            assert environment.is_frozen
            assert (tmp_path / f"done{number}").exists()
        assert ("wait_until_before_return" in environment.log) is not has_extensions


async def test_answer_leaves_before_wait_until_work_is_done(function, tmp_path):
    worker = WAITS.replace("asyncio.sleep(0.05)", "asyncio.to_thread(lambda: open('gate').read())")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with function(worker) as environment:
        assert (await ask(environment))[2] == b"started"
        assert not environment.is_frozen
        await asyncio.to_thread(gate.write_text, "go")
        await environment.idle()
        assert environment.is_frozen


async def test_setting_before_return_registers_no_extension(function, tmp_path):
    async with function(WAITS, settings='[aws]\nwait_until = "before-return"\n') as environment:
        await ask(environment)
        assert (tmp_path / "done1").exists()
        assert not any("extension" in request for request in environment.requests)


async def test_plain_mangum_loses_such_work(function, tmp_path):
    """The control: without Edge the task is frozen with its loop."""
    async with function("", app=PLAIN_MANGUM) as environment:
        assert (await ask(environment))[2] == b"started"
        await environment.idle()
        assert environment.is_frozen
        assert not (tmp_path / "done").exists()


async def test_wait_until_work_is_cut_before_the_deadline(function):
    worker = WAITS.replace("asyncio.sleep(0.05)", "asyncio.Event().wait()")
    async with function(worker) as environment:
        await ask(environment, timeout_s=1.2)
        await environment.idle()
        assert '"wait_until_cut"' in environment.log


async def test_every_invocation_runs_on_the_same_loop(function):
    worker = """
        import asyncio
        from workers import Response

        async def fetch(request):
            return Response(str(id(asyncio.get_running_loop())))
    """
    async with function(worker) as environment:
        assert len({(await ask(environment))[2] for _ in range(4)}) == 1


async def test_connection_is_kept_across_a_freeze(function):
    accepted = []

    async def serve(reader, writer):
        accepted.append(writer)
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    worker = f"""
        import asyncio
        from workers import Response

        streams = []

        async def fetch(request):
            if not streams:
                streams.extend(await asyncio.open_connection("127.0.0.1", {port}))
            streams[1].write(b"ping\\n")
            return Response(await streams[0].readline())
    """
    async with function(worker) as environment:
        for _ in range(3):
            assert (await ask(environment))[2] == b"ping\n"
            await environment.idle()
        assert environment.freeze_count == 4
    assert len(accepted) == 1
    server.close()
    await server.wait_closed()


async def test_answer_over_six_megabytes_is_413_and_the_process_lives_on(function):
    worker = """
        from workers import Response

        async def fetch(request):
            return Response(b"x" * (5 * 1024 * 1024 if request.url.endswith("/large") else 5))
    """
    async with function(worker) as environment:
        assert (await ask(environment, "/large"))[0] == 413
        assert (await ask(environment))[0] == 200


async def test_event_that_nobody_takes_is_refused_with_its_keys(function):
    async with function(HELLO) as environment:
        answer = await environment.invoke({"detail-type": "Order", "source": "shop"})
    assert answer.error["errorType"] == "UnsupportedError"
    assert answer.error["errorMessage"] == (
        "No binding of this Worker takes this event from shop (keys seen: detail-type, source). "
        "Or define async def lambda_event(event, env, ctx) to take such events."
    )


async def test_other_events_reach_lambda_event_and_scheduled(function):
    worker = """
        async def lambda_event(event, env, ctx):
            return {"seen": event["n"]}

        async def scheduled(controller, env, ctx):
            print("ran", controller.cron, controller.scheduledTime)
    """
    async with function(worker) as environment:
        assert (await environment.invoke({"n": 7})).value == {"seen": 7}
        event = {"edge": "scheduled", "cron": "*/5 * * * *", "scheduledTime": "2026-01-01T00:00:00Z"}
        assert (await environment.invoke(event)).value is None
        await environment.idle()
        assert "ran */5 * * * * 1767225600000" in environment.log


async def test_secrets_are_not_logged(function):
    worker = """
        async def fetch(request, env):
            raise ValueError(f"key {env.API_KEY}")
    """
    files = {".dev.vars": "API_KEY=s3cr3t-value-of-mine\n"}
    async with function(worker, files=files) as environment:
        await ask(environment)
        await environment.idle()
        assert "key [redacted]" in environment.log
        assert "s3cr3t" not in environment.log


async def test_hello_loads_no_heavy_library(function, tmp_path):
    worker = """
        import sys
        from workers import Response

        async def fetch(request):
            return Response.from_json(sorted({name.partition(".")[0] for name in sys.modules}))
    """
    environment = function(worker)
    edge = Path(sys.executable).with_name("edge")
    await asyncio.to_thread(subprocess.run, [edge, "build", "--plan"], cwd=tmp_path, check=True)
    async with environment:
        loaded = set(json.loads((await ask(environment))[2]))
    assert "mangum" in loaded
    assert not loaded & {"aiohttp", "pydantic", "boto3", "botocore", "structlog", "msgspec", "uvloop"}


async def test_late_registration_is_refused_by_the_environment(function):
    async with function(HELLO) as environment:
        await environment.idle()
        host, port = environment._runner.addresses[0][:2]

        def register():
            with socket.create_connection((host, port)) as connection:
                connection.sendall(
                    b"POST /2020-01-01/extension/register HTTP/1.0\r\nlambda-extension-name: late\r\n"
                    b"content-length: 0\r\n\r\n"
                )
                return connection.recv(64)

        assert b" 403 " in await asyncio.to_thread(register)
