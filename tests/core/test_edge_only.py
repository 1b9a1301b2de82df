"""What works on Edge only: taken as ever, refused where the Worker that runs is strict."""

from __future__ import annotations

import re
from contextlib import nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from edge import Request, Response
from edge.bindings.kv_namespaces.values import value_bytes
from edge.runtime.core.body import Body
from edge.runtime.core.context import Context, Invocation, PendingWork, current_invocation
from edge.runtime.core.edge_only import EdgeOnly, is_strict
from edge.runtime.core.env import Env
from edge.runtime.core.errors import HandlerError, UnsupportedError
from edge.runtime.core.streams import ReadableStream
from edge.runtime.core.worker import worker_of
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

EVERY = pytest.mark.parametrize("what", EdgeOnly, ids=lambda what: what.name)


@pytest.fixture(params=[False, True], ids=["edge", "strict"])
def strict(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Each test runs in an invocation of either kind: what strict refuses, the other takes."""
    host = FakeHost()
    invocation = Invocation(Env({}), Context(PendingWork(host)), host, is_strict=request.param)
    token = current_invocation.set(invocation)
    yield request.param
    current_invocation.reset(token)


def refusing(what: EdgeOnly, strict: bool) -> AbstractContextManager[object]:
    """It is refused where it has to be, and taken where not."""
    if not strict:
        return nullcontext()
    return pytest.raises((UnsupportedError, HandlerError), match=f"{re.escape(what.refusal)}$")


async def chunks() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


@EVERY
def test_it_is_refused_with_what_to_write_in_its_place(what: EdgeOnly, strict: bool) -> None:
    with refusing(what, strict):
        what.use()


@EVERY
def test_nothing_is_refused_outside_of_a_worker(what: EdgeOnly) -> None:
    assert not is_strict()
    what.use()


@pytest.mark.parametrize(
    "make",
    [
        Response,
        lambda body: Response("").replace_body(body),
        lambda body: Request("http://localhost/", method="POST", body=body),
    ],
    ids=["Response", "replace_body", "Request"],
)
def test_an_async_iterator_is_no_body_on_cloudflare(make: Callable[[Any], Any], strict: bool) -> None:
    with refusing(EdgeOnly.ASYNC_ITERATOR, strict):
        make(chunks())
    make(ReadableStream(Body(chunks=chunks())))


async def test_an_async_iterator_is_no_value_of_a_kv_namespace_there(strict: bool) -> None:
    assert await value_bytes(ReadableStream(Body(chunks=chunks()))) == b"ab"
    with refusing(EdgeOnly.ASYNC_ITERATOR, strict):
        assert await value_bytes(chunks()) == b"ab"


def load(source: str) -> Any:
    module = ModuleType("entry")
    module.__file__ = "entry.py"
    exec(compile("from edge import *\n" + source, "entry.py", "exec"), module.__dict__)
    return worker_of(module)


@pytest.mark.parametrize("name", ["fetch", "scheduled"])
def test_a_worker_of_functions_is_not_loaded_there(name: str, strict: bool) -> None:
    with refusing(EdgeOnly.MODULE_HANDLER, strict):
        load(f"async def {name}(event): ...")


def test_a_workflow_with_stored_types_is_not_loaded_there(strict: bool) -> None:
    with refusing(EdgeOnly.STORED_TYPES, strict):
        load("class Order(WorkflowEntrypoint):\n  stored_types = (int,)")


@pytest.mark.usefixtures("strict")
def test_classes_are_loaded_beside_functions_of_their_own() -> None:
    classes = "class Default(WorkerEntrypoint):\n  def fetch(self): ...\nclass Order(WorkflowEntrypoint): ..."
    assert load(f"{classes}\ndef queue(): ...").handlers == ("fetch", "Order.run")
