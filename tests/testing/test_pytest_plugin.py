"""The pytest plugin, as a project's own tests meet it: real projects, run by another pytest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.worker import WorkerUnderTest
    from edge.runtime.testing.workflows import WorkflowsUnderTest

pytest_plugins = ["pytester"]

CLASSES = """
    from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            @step.do("charge", config={"retries": {"limit": 1, "delay": "1 hour"}})
            async def charge():
                return pay(event["payload"]["cents"])

            await step.sleep("cool off", "1 day")
            return await charge()

    def pay(cents):
        if cents < 0:
            raise ValueError(f"{cents} cents")
        return cents

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            order = await request.json()
            await self.env.KV.put("last", str(order["cents"]))
            await self.env.ORDERS.create({"id": "a", "params": order})
            return Response.json({"price": self.env.PRICE})
"""
FUNCTIONS = """
    from workers import Response

    async def fetch(request, env, ctx):
        await env.KV.put("last", "function")
        return Response(env.PRICE if isinstance(env.PRICE, str) else f"{env.PRICE}!")
"""
INI = """
    [pytest]
    asyncio_mode = {mode}
    asyncio_default_fixture_loop_scope = function
    filterwarnings = error
    {more}
"""
ASYNCIO = ("-p", "asyncio")
ORDERS = Path(__file__).parent.parent.parent / "handlers/orders/wrangler.jsonc"
HEAVY = {"aiohttp", "click", "mangum", "msgspec", "pydantic", "sqlite3", "structlog", "uvloop"}


@pytest.fixture
def run(
    pytester: pytest.Pytester, write_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """`run(entry, test)`: what a pytest of its own says of a project with that main file and that test."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # those of this environment take seconds to load

    def run(entry: str, test: str, *options: str, mode: str = "auto", ini: str = "", **config: Any) -> pytest.RunResult:
        write_project(pytester.path / "project", entry, **config)
        pytester.makeini(INI.format(mode=mode, more=ini))
        (pytester.path / "project" / "tests").mkdir()
        pytester.makepyfile(**{"project/tests/test_it": test})
        return pytester.runpytest_subprocess("-p", "edge", "-p", "no:cacheprovider", *(options or ASYNCIO))

    return run


def test_fixtures_share_one_project_that_each_test_has_for_itself(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        CLASSES,
        """
        async def test_an_order_is_charged_after_a_day(env, worker, workflows):
            answer = await worker.fetch("/", json={"cents": 5})
            assert await answer.json() == {"price": 5}
            assert await env.KV.get("last") == "5"
            await workflows.advance("1 day")
            order = workflows.introspect_workflow_instance(env.ORDERS, "a")
            assert await order.get_output() == 5

        async def test_nothing_is_left_of_it(env, workflows):
            assert await env.KV.get("last") is None
            assert await workflows.introspect_workflow(env.ORDERS).get() == []

        def test_that_needs_no_loop(env):
            assert env.PRICE == 5
        """,
    )
    result.assert_outcomes(passed=3)


def test_strict_mode_and_functions_work_alike(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        FUNCTIONS,
        """
        import pytest

        @pytest.mark.asyncio
        async def test_it(env, worker):
            assert await (await worker.fetch("http://x/")).text() == "5!"
            assert await env.KV.get("last") == "function"

        @pytest.mark.asyncio
        @pytest.mark.edge(vars={"PRICE": "7"})
        async def test_marker(worker):
            assert await (await worker.fetch("http://x/")).text() == "7"
        """,
        mode="strict",
        workflows=[],
    )
    result.assert_outcomes(passed=2)


def test_a_failure_shows_the_users_lines_and_spoils_no_other_test(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        CLASSES,
        """
        import asyncio
        import threading

        async def test_fails(env, workflows):
            await env.ORDERS.create(id="a", params={"cents": -1})
            order = workflows.introspect_workflow_instance(env.ORDERS, "a")
            await order.modify(lambda m: m.disable_sleeps().disable_retry_delays())
            await order.wait_for_status("complete")

        async def test_hangs(env, workflows, monkeypatch):
            monkeypatch.setattr("entry.pay", lambda _: asyncio.Event().wait())
            await env.ORDERS.create(id="a", params={"cents": 1})
            await workflows.introspect_workflow_instance(env.ORDERS, "a").modify(lambda m: m.disable_sleeps())
            raise RuntimeError("in the middle")

        async def test_waits_in_vain(env, workflows):
            await env.ORDERS.create(id="a", params={"cents": 1})
            await workflows.introspect_workflow_instance(env.ORDERS, "a").get_output()

        async def test_raises(worker):
            await worker.fetch("/", body="no json")

        async def test_passes(env):
            assert await env.KV.get("last") is None
            writers = [one.name for one in threading.enumerate() if one.name.endswith("writer")]
            assert len(set(writers)) == len(writers), "every project but this one is closed"
        """,
        "--tb=short",
        *ASYNCIO,
    )
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(
        [
            'E   *IntrospectionError: It does not become "complete". Instance "a" of workflow "orders" is "errored"*',
            "E   ValueError: -1 cents",
            'E   Step "charge" (1), attempt 2:',
            "E     *entry.py*in pay",
            "E       raise ValueError(*",
            "*RuntimeError: in the middle",
            '*it sleeps in "cool off" until *Z (in 1 day, 0:00:00)',
            "*entry.py*in fetch",
            "*JSONDecodeError*",
        ]
    )
    result.stdout.no_fnmatch_line("*instance_pass.py*")
    result.stdout.no_fnmatch_line("*live_worker.py*")


def test_the_config_is_named_by_the_ini_file_or_the_marker(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, write_project: Callable[..., Path]
) -> None:
    write_project(pytester.path / "one", FUNCTIONS, vars={"PRICE": 1}, workflows=[])
    write_project(
        pytester.path / "two", FUNCTIONS, vars={"PRICE": 2}, workflows=[], env={"night": {"vars": {"PRICE": 3}}}
    )
    result = run(
        FUNCTIONS,
        """
        import pytest

        def test_ini(env):
            assert env.PRICE == 1

        @pytest.mark.edge(config="two/wrangler.jsonc")
        def test_marker(env):
            assert env.PRICE == 2

        @pytest.mark.edge(config="two/wrangler.jsonc", environment="night")
        def test_environment(env):
            assert env.PRICE == 3
        """,
        ini="edge_config = one/wrangler.jsonc",
    )
    result.assert_outcomes(passed=3)


def test_what_cannot_be_opened_is_said_without_our_frames(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    (pytester.path / "wrong.jsonc").write_text('{"name": 5}')
    result = run(
        "import json\njson.loads('{')",
        """
        import pytest

        def test_broken_worker(env): ...

        @pytest.mark.edge(config="wrong.jsonc")
        def test_wrong_config(env): ...

        @pytest.mark.edge("wrong.jsonc", confg="x")
        def test_wrong_marker(env): ...
        """,
    )
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            '*entry.py", line 2*',
            "*JSONDecodeError: *",
            '*"name" to be of type string*',
            "*@pytest.mark.edge takes config, environment, replay, vars, each by name; got 'wrong.jsonc', confg.",
        ]
    )
    result.stdout.no_fnmatch_line("*runtime/loader.py*")


def test_what_the_marker_names_must_be_there(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        FUNCTIONS,
        """
        import pytest

        @pytest.mark.edge(config="nope.jsonc")
        def test_config(env): ...

        @pytest.mark.edge(environment="staging")
        def test_environment(env): ...

        @pytest.mark.edge(replay="sometimes")
        def test_replay(env): ...
        """,
    )
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            "*Could not read file: nope.jsonc",
            'wrangler.jsonc has no environment "staging": it declares none. Add it under "env", or name none.',
            "`replay` is 'resident' or 'always', or left out, not 'sometimes'.",
        ]
    )
    for chained in ("Traceback *", "*another exception*", "*direct cause*"):
        result.stdout.no_fnmatch_line(chained)


def test_without_pytest_asyncio_it_says_what_to_install(run: Callable[..., pytest.RunResult]) -> None:
    result = run(FUNCTIONS, "def test_it(env): ...", "-W", "ignore")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*pip install pytest-asyncio*"])


def test_a_project_that_uses_no_fixture_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(): ...\n")
    (tmp_path / "conftest.py").write_text(
        "import json, sys\n"
        "def pytest_collection_finish(session):\n"
        "    (session.config.rootpath / 'loaded.json').write_text(json.dumps(list(sys.modules)))\n"
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "edge.runtime.testing.pytest_plugin"]
    environment = {"PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=environment)
    loaded = json.loads((tmp_path / "loaded.json").read_text())
    assert "edge.runtime.testing.pytest_plugin" in loaded
    assert not HEAVY & set(loaded)
    assert not [
        name for name in loaded if name.startswith(("edge.bindings", "edge.wrangler_config", "edge.runtime.serve"))
    ]


@pytest.mark.edge(config=ORDERS)
async def test_the_example_is_refunded_when_it_is_refused(
    env: Any, worker: WorkerUnderTest, workflows: WorkflowsUnderTest
) -> None:
    async with workflows.introspect_workflow(env.ORDERS) as orders:
        await orders.modify_all(
            lambda m: (
                m.mock_step_result({"name": "charge"}, {"id": "c1"})
                .mock_step_result({"name": "refund"}, {"id": "r1"})
                .mock_event({"type": "decision", "payload": {"approved": False, "by": "ada"}})
            )
        )
        assert (await worker.fetch("/", json={"item": "lamp", "cents": 1900})).status < 300
        [order] = await orders.get()
        await order.wait_for_status("errored")
        assert (await order.get_error())["message"] == "refused by ada"
        assert await order.wait_for_step_result({"name": "refund"}) == {"id": "r1"}
