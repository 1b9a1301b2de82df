"""Versions of code: what makes another one, and what instances do that began under it, or whose class is gone."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows import values
from edge.bindings.workflows.engine.loaded_code import MISSING_SECONDS
from edge.bindings.workflows.journal.records import NewInstance
from edge.bindings.workflows.versions import UNKNOWN, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.bindings.workflows.versions import CodeVersion
    from edge.runtime.testing.fake_host import FakeHost

FILES = {
    "flows.py": "import prices\nfrom shop import stock\nclass Order:\n    PRICE = prices.of(1)\n",
    "prices.py": "from rates import RATE\ndef of(n):\n    return n * RATE\n",
    "rates.py": "RATE = 2\n",
    "shop/__init__.py": "",
    "shop/stock.py": "from .shelf import SIZE\n",
    "shop/shelf.py": "SIZE = 3\n",
    "pages.py": "TITLE = 'shop'\n",
}


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., CodeVersion]]:
    """`read("file", "text")`: the version of Order when that file has this text."""
    monkeypatch.syspath_prepend(tmp_path)
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in FILES}

    def read(changed: str = "", text: str = "") -> CodeVersion:
        for name, content in {**FILES, **({changed: text} if changed else {})}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        importlib.import_module("pages")
        return version_of("orders", importlib.import_module("flows").Order, tmp_path)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two writes in one second look the same to it
    yield read
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("flows.py", "import prices\nfrom shop import stock\nclass Order:\n    def run(self):\n        return 2\n"),
        ("prices.py", "from rates import RATE\ndef of(n):\n    return n * RATE + 1\n"),
        ("rates.py", "RATE = 3\n"),
        ("shop/shelf.py", "SIZE = 4\n"),
    ],
)
def test_other_code_that_the_class_uses_is_another_version(read: Callable[..., Any], file: str, text: str) -> None:
    before, after = read(), read(file, text)
    assert before.id != after.id
    assert before.code_hash != after.code_hash
    assert read() == before


@pytest.mark.parametrize(
    ("file", "text"),
    [("rates.py", "# what a euro is\n\nRATE = 2  # of 2026\n"), ("pages.py", "TITLE = 'sale'\n")],
    ids=["comment", "not imported"],
)
def test_code_that_reads_the_same_is_the_same_version(read: Callable[..., Any], file: str, text: str) -> None:
    assert read(file, text) == read()


def test_a_class_without_a_file_has_no_version(tmp_path: Path) -> None:
    cls = type("Order", (), {"__module__": "nowhere"})
    assert version_of("orders", cls, tmp_path) is UNKNOWN


async def sleeper(self: Any, event: Any, step: Any) -> Any:
    await step.sleep("one", "1 hour")
    await step.sleep("two", "1 hour")
    return "slept"


async def test_going_on_under_other_code_is_told_once(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(event: Any, step: Any, env: Any) -> Any:
        return await sleeper(None, event, step)

    site = await start(sleeper)
    made = replace(site.definition, run=run, version="first")
    site.use(made)
    instance = await site.create()
    await site.reach(instance, "waiting")
    site.use(replace(made, version="second"))
    await host.advance(3601)
    await site.until(lambda: "workflow_code_changed" in host.log.events())
    await site.until(lambda: not site.runner._passes)
    await host.advance(3601)
    assert await site.output(instance) == "slept"
    (told,) = [values for _, event, values in host.log.lines if event == "workflow_code_changed"]
    assert (told["instance"], told["began_under"], told["version"]) == (instance.id, "first", "second")


def saying(what: str) -> Any:
    async def run(event: Any, step: Any, env: Any) -> Any:
        await step.sleep("nap", "1 hour")
        return what

    return run


async def test_an_instance_of_an_earlier_version_goes_on_with_it(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(sleeper)
    first = replace(site.definition, run=saying("first"), version="first")
    site.use(first)
    before = await site.create()
    await site.reach(before, "waiting")
    site.use(replace(site.definition, run=saying("second"), version="second", earlier={"first": first}))
    after = await site.create()
    await site.reach(after, "waiting")
    await host.advance(3601)
    assert [await site.output(before), await site.output(after)] == ["first", "second"]
    assert "workflow_code_changed" not in host.log.events()


async def test_an_instance_made_without_code_gets_its_version_when_it_begins(
    start: Callable[..., Any], host: FakeHost
) -> None:
    site = await start(sleeper)
    first = replace(site.definition, run=saying("first"), version="first")
    site.use(first)
    await site.journal.create("orders", [NewInstance("a", values.encode({}), 10**14, 10**14)], int(host.now() * 1000))
    site.runner.tell(None)
    instance = await site.workflow.get("a")
    await site.reach(instance, "waiting")
    assert (await site.journal.find("orders", "a")).version == "first"
    site.use(replace(site.definition, run=saying("second"), version="second", earlier={"first": first}))
    await host.advance(3601)
    assert await site.output(instance) == "first"


async def test_the_version_that_is_loaded_is_kept(start: Callable[..., Any]) -> None:
    site = await start(sleeper)
    instance = await site.create()
    await site.reach(instance, "waiting")
    (version,) = await site.journal.versions("orders")
    assert (version.class_name, version.language) == ("Order", "python")
    assert version.id == (await site.journal.find("orders", instance.id)).version


async def test_a_class_that_stays_away_parks_what_is_ready_until_it_is_resumed(
    start: Callable[..., Any], host: FakeHost
) -> None:
    site = await start(sleeper)
    asleep = await site.create()
    await site.reach(asleep, "waiting")
    site.load(sleeper, name="Renamed")
    instance = await site.create()
    await host.advance(MISSING_SECONDS - 2)
    await site.until(lambda: "workflow_class_missing" in host.log.events("error"))
    assert (await instance.status())["status"] == "queued"
    await host.advance(5)
    found = await site.reach(instance, "paused")
    assert found["error"] == {
        "name": "WorkflowClassMissing",
        "message": 'The Worker has no "class Order(WorkflowEntrypoint)" in its main file. '
        "Put it back, then resume this instance.",
    }
    assert (await asleep.status())["status"] == "waiting"
    site.load(sleeper)
    await host.advance(2)
    await instance.resume()
    assert await site.reach(instance, "waiting") == {"status": "waiting", "output": None}


async def test_code_that_does_not_load_parks_nothing(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(sleeper)
    site.live._current = None
    instance = await site.create()
    await host.advance(10 * MISSING_SECONDS)
    assert (await instance.status())["status"] == "queued"
    site.load(sleeper)
    await host.advance(2)
    await site.reach(instance, "waiting")
