"""Which functions and classes of a module become handlers, what they are called with, what their answers become."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

import edge
from edge.runtime.core.context import Context, PendingWork
from edge.runtime.core.env import Env
from edge.runtime.core.errors import HandlerError
from edge.runtime.core.request import incoming_request
from edge.runtime.core.worker import Worker, worker_of
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from edge import Response

HEADER = "from edge import *\nimport edge\n"


def load(source: str, **options: Any) -> Worker:
    module = ModuleType("entry")
    module.__file__ = "entry.py"
    exec(compile(HEADER + source, "entry.py", "exec"), module.__dict__)
    return worker_of(module, **options)


async def answer(worker: Worker) -> Response:
    request = incoming_request("GET", "http://localhost/path", [])
    return await worker.fetch(request, Env({"NAME": "value"}), Context(PendingWork(FakeHost())))


@pytest.mark.parametrize(
    "source",
    [
        "async def fetch(request, env, ctx): return Response(env.NAME)",
        "async def fetch(request, env): return Response(env.NAME)",
        "def fetch(request, env, ctx): return Response(env.NAME)",
        "def fetch(request, env): return Response(env.NAME)",
        "def fetch(*args): return Response(args[1].NAME)",
        "class Default(WorkerEntrypoint):\n  async def fetch(self, request): return Response(self.env.NAME)",
        "class Default(WorkerEntrypoint):\n  async def fetch(self, request, env, ctx): return Response(self.env.NAME)",
        "class Default(WorkerEntrypoint):\n  def fetch(self): return Response(self.env.NAME)",
        "class Base(WorkerEntrypoint):\n  def fetch(self): return Response(self.env.NAME)\nclass Default(Base): pass",
    ],
    ids=["async3", "async2", "sync3", "sync2", "varargs", "class1", "class3", "class0", "inherited"],
)
async def test_every_spelling_of_fetch_answers(source: str) -> None:
    assert await (await answer(load(source))).text() == "value"


async def test_class_handlers_get_none_for_env_and_ctx_as_on_cloudflare() -> None:
    source = "class Default(WorkerEntrypoint):\n  def fetch(self, request, env, ctx): return Response(repr((env, ctx)))"
    assert await (await answer(load(source))).text() == "(None, None)"


async def test_a_new_instance_serves_each_event() -> None:
    source = (
        "class Default(WorkerEntrypoint):\n"
        "  def fetch(self, request):\n    self.n = getattr(self, 'n', 0) + 1\n    return Response(str(self.n))"
    )
    worker = load(source)
    assert [await (await answer(worker)).text() for _ in range(2)] == ["1", "1"]


async def test_other_class_handlers_must_accept_three_arguments() -> None:
    worker = load("class Default(WorkerEntrypoint):\n  def scheduled(self, controller): return 1")
    with pytest.raises(TypeError, match="positional argument"):
        await worker.call("scheduled", object(), Env({}), Context(PendingWork(FakeHost())))


async def test_events_reach_functions_with_env_and_ctx() -> None:
    worker = load("async def scheduled(event, env, ctx): return (event, env.NAME)")
    told = await worker.call("scheduled", "tick", Env({"NAME": "value"}), Context(PendingWork(FakeHost())))
    assert told == ("tick", "value")


def test_imported_fetch_is_no_handler() -> None:
    module = ModuleType("entry")
    module.fetch = edge.fetch  # type: ignore[attr-defined]  # a module made by hand
    with pytest.raises(HandlerError, match="has no handler"):
        worker_of(module)


def test_default_beside_module_level_fetch_is_refused() -> None:
    with pytest.raises(HandlerError, match="both class Default and a module-level fetch"):
        load("class Default(WorkerEntrypoint):\n  def fetch(self): ...\ndef fetch(request, env): ...")


async def test_on_fetch_answers_before_its_compatibility_date() -> None:
    worker = load("def on_fetch(request, env, ctx): return Response(env.NAME)", compatibility_date="2025-08-13")
    assert await (await answer(worker)).text() == "value"


def test_on_fetch_after_its_compatibility_date_names_the_flag() -> None:
    with pytest.raises(HandlerError, match="disable_python_no_global_handlers"):
        load("def on_fetch(request, env, ctx): ...", compatibility_date="2025-08-14")


async def test_on_fetch_with_the_flag_answers() -> None:
    flags = ("disable_python_no_global_handlers",)
    worker = load(
        "def on_fetch(request): return Response('on')", compatibility_date="2026-01-01", compatibility_flags=flags
    )
    assert await (await answer(worker)).text() == "on"


def test_default_beside_active_on_fetch_is_cloudflares_error() -> None:
    with pytest.raises(HandlerError, match="Cannot define multiple default entrypoints"):
        load(
            "class Default(WorkerEntrypoint):\n  def fetch(self): ...\ndef on_fetch(r, e, c): ...",
            compatibility_date="2025-01-01",
        )


def test_a_file_without_handlers_says_what_to_write() -> None:
    with pytest.raises(HandlerError, match="Write async def fetch"):
        load("x = 1")


@pytest.mark.parametrize("value", ["None", "'text'", "{'a': 1}", "42", "[1]"])
async def test_an_answer_that_is_no_response_is_cloudflares_type_error(value: str) -> None:
    worker = load(f"def fetch(request, env): return {value}")
    with pytest.raises(TypeError, match=r"^Incorrect type for Promise: the Promise did not resolve to 'Response'\.$"):
        await answer(worker)


@pytest.mark.parametrize(("value", "name"), [("(1, 2)", "tuple"), ("bytearray(b'')", "bytearray")])
async def test_an_answer_that_cannot_cross_rpc_says_so(value: str, name: str) -> None:
    worker = load(f"async def fetch(request, env): return {value}")
    with pytest.raises(TypeError, match=rf"^<class '{name}'> cannot be sent over RPC\.$"):
        await answer(worker)


async def test_missing_fetch_is_cloudflares_type_error() -> None:
    with pytest.raises(TypeError, match=r"^Method fetch does not exist$"):
        await answer(load("def scheduled(event, env, ctx): ..."))


async def test_missing_on_fetch_names_the_file() -> None:
    worker = load("def on_scheduled(event, env, ctx): ...", compatibility_date="2025-01-01")
    with pytest.raises(TypeError, match=r'^Python entrypoint "entry.py" does not export a handler named "on_fetch"$'):
        await answer(worker)
