"""Workflows under `--compat strict`: what is Edge only is refused, values and times are Cloudflare's."""

from __future__ import annotations

import asyncio
import json
import textwrap
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.errors import WorkflowError
from edge.runtime.core.edge_only import EdgeOnly
from edge.runtime.core.errors import ConfigError
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge.runtime.serve import App

STRICT = pytest.mark.parametrize("is_strict", [False, True], ids=["edge", "strict"])
ENTRY = """
    from workers import WorkflowEntrypoint

    async def pieces():
        yield b"a"

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            @step.do("plain", config={"retries": {"limit": 0, "delay": 0}})
            async def plain(ctx):
                PLAIN

            try:
                RUN
            except Exception as error:
                return f"{type(error).__name__}: {error}"
"""
MANIFEST = """{"kind": "Workflow/v1", "name": "film", "steps": {"wait": {"sleep": "1 second"}}}"""


@asynccontextmanager
async def opened(folder: Path, *, is_strict: bool, run: str = "return", plain: str = "return") -> AsyncIterator[App]:
    config = {"name": "demo", "main": "entry.py", "compatibility_date": "2026-09-08"}
    workflows = [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}]
    (folder / "wrangler.json").write_text(json.dumps({**config, "workflows": workflows}))
    source = textwrap.dedent(ENTRY).replace("PLAIN", plain).replace("RUN", run)
    (folder / "entry.py").write_text(source)
    choice = ConfigChoice(folder / "wrangler.json", is_strict=is_strict)
    host = LocalMachine(prepare_state_folder(folder / ".edge"), RecordingLog())
    try:
        async with open_local_app(choice, host, load_config(choice), is_dev=True) as app:
            yield app
    finally:
        await host.aclose()


async def output_of(app: App, **options: Any) -> Any:
    instance = await app.environment.env.ORDERS.create(options)
    async with asyncio.timeout(60):
        while (found := await instance.status())["status"] != "complete":
            assert found["status"] in {"queued", "running", "waiting"}, found
    return found["output"]


@STRICT
@pytest.mark.parametrize(
    ("what", "run"),
    [
        (EdgeOnly.STEP_AS_CALL, "return await step.do('a', lambda: 'taken')"),
        (EdgeOnly.ROLLBACK, "return await step.do('a', rollback=print)(lambda: 'taken')()"),
        (EdgeOnly.SEMANTICS, "return await step.do('a', config={'semantics': 'at_most_once'})(lambda: 'taken')()"),
        (EdgeOnly.STEP_RECORD, "return step.instance_version and 'taken'"),
        (EdgeOnly.ASYNC_ITERATOR, "return await step.do('a')(pieces)() and 'taken'"),
    ],
    ids=["call", "rollback", "semantics", "record", "iterator"],
)
async def test_what_is_edge_only_is_refused(tmp_path: Path, what: EdgeOnly, run: str, is_strict: bool) -> None:
    async with opened(tmp_path, run=run, is_strict=is_strict) as app:
        assert (await output_of(app)).endswith(f"UnsupportedError: {what.refusal}" if is_strict else "taken")


@STRICT
async def test_a_context_says_no_more_and_retries_wait_as_long_as_there(tmp_path: Path, is_strict: bool) -> None:
    plain = "return list(ctx)"
    run = "return [*sorted(await plain()), (await step.do('b')(lambda ctx: ctx['config'])())['retries']['delay']]"
    there = ["attempt", "config", "step", 10_000]
    expected = there if is_strict else ["attempt", "config", "idempotencyKey", "step", 1000]
    async with opened(tmp_path, plain=plain, run=run, is_strict=is_strict) as app:
        assert await output_of(app) == expected


@STRICT
async def test_results_go_the_way_through_javascript(tmp_path: Path, is_strict: bool) -> None:
    plain = "return {1: 2.0, 'b': b'x'}"
    run = (
        "got = await plain(); return [[str(key), repr(value)[:7]] for key, value in got.items()] + [type(got).__name__]"
    )
    expected = [["1", "2"], ["b", "<memory"], "JsDict"] if is_strict else [["1", "2.0"], ["b", "b'x'"], "dict"]
    async with opened(tmp_path, plain=plain, run=run, is_strict=is_strict) as app:
        assert await output_of(app) == expected


@STRICT
async def test_a_tuple_is_sent_nowhere(tmp_path: Path, is_strict: bool) -> None:
    refusal = "<class 'tuple'> cannot be sent over RPC."
    async with opened(tmp_path, plain="return (1, 2)", run="return await plain()", is_strict=is_strict) as app:
        assert await output_of(app) == (f"TypeError: {refusal}" if is_strict else [1, 2])


@STRICT
async def test_each_call_of_a_step_is_one_and_dependents_share_the_last(tmp_path: Path, is_strict: bool) -> None:
    plain = "return ctx['step']['count']"
    run = "b = step.do('b')(lambda plain: plain); return [await plain(), await plain(), await b()]"
    async with opened(tmp_path, plain=plain, run=run, is_strict=is_strict) as app:
        assert await output_of(app) == ([1, 2, 2] if is_strict else [1, 1, 1])


@STRICT
async def test_calls_at_once_are_steps_of_their_own_too(tmp_path: Path, is_strict: bool) -> None:
    run = "import asyncio; return await asyncio.gather(plain(), plain())"
    async with opened(tmp_path, plain="return ctx['step']['count']", run=run, is_strict=is_strict) as app:
        assert await output_of(app) == ([1, 2] if is_strict else [1, 1])


@STRICT
async def test_dependents_call_a_step_once(tmp_path: Path, is_strict: bool) -> None:
    run = "b = step.do('b')(lambda plain: plain); c = step.do('c')(lambda plain: plain); return [await b(), await c()]"
    async with opened(tmp_path, plain="return ctx['step']['count']", run=run, is_strict=is_strict) as app:
        assert await output_of(app) == [1, 1]


@STRICT
async def test_an_event_is_what_it_is_there(tmp_path: Path, is_strict: bool) -> None:
    run = "return [type(event).__name__, event['timestamp'].tzinfo is None, event['payload']]"
    async with opened(tmp_path, run=run, is_strict=is_strict) as app:
        found = await output_of(app, params={"n": 1})
        assert found == ([*("JsDict", True), {"n": 1}] if is_strict else ["dict", False, {"n": 1}])


async def test_settings_give_no_more_than_there(tmp_path: Path) -> None:
    settings = '[workflow_engine]\nretry_delay = "1 second"\nresult_bytes_max = 9000000\nstate_bytes_max = 1000\n'
    (tmp_path / "edge.toml").write_text(settings)
    run = "return await step.do('large')(lambda: 'x' * 2_000_000)()"
    async with opened(tmp_path, run=run, is_strict=True) as app:
        assert "Maximum allowed size is 1MiB" in await output_of(app)
    (tmp_path / "edge.toml").write_text(settings.replace("state_bytes_max = 1000\n", ""))
    async with opened(tmp_path, run=run, is_strict=False) as app:
        assert len(await output_of(app)) == 2_000_000


async def test_a_manifest_is_refused_in_edge_toml_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "film.json").write_text(MANIFEST)
    (tmp_path / "edge.toml").write_text('[workflows.film]\nmanifest = "film.json"\n')
    async with opened(tmp_path, is_strict=False):
        pass
    with pytest.raises(ConfigError) as refused:
        load_config(ConfigChoice(tmp_path / "wrangler.json", is_strict=True))
    assert f"edge.toml:2:1: workflows.film: {EdgeOnly.MANIFEST.refusal}" in str(refused.value)


async def test_a_manifest_that_was_applied_before_waits_for_a_server_that_takes_it(tmp_path: Path) -> None:
    async with opened(tmp_path, is_strict=False) as app:
        await app.admins["workflows"].apply_manifest(None, MANIFEST, "film.json")
    async with opened(tmp_path, is_strict=True) as app:
        service = app.admins["workflows"]
        with pytest.raises(WorkflowError, match="a workflow as a manifest works on Edge only"):
            await service.apply_manifest(None, MANIFEST, "film.json")
        assert await service.notes("film") == (f"{EdgeOnly.MANIFEST.refusal} Its instances stay as they are.",)
        await service.create("film", {"id": "one"})
        await output_of(app)  # what came later has run
        assert (await service.instance("film", "one")).instance.status == "queued"
    async with opened(tmp_path, is_strict=False) as app, asyncio.timeout(60):
        while (await app.admins["workflows"].instance("film", "one")).instance.status != "complete":
            pass
