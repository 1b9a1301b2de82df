"""`workers`, `js` and `pyodide`: the modules Worker code imports, and the names that mean the running invocation."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import edge
from edge.runtime.core import workers_shim
from edge.runtime.core.context import Context, Invocation, PendingWork, current_invocation
from edge.runtime.core.env import Env
from edge.runtime.core.errors import BindingError, HandlerError
from edge.runtime.core.fetch_errors import AbortError
from edge.runtime.core.js_proxy import js_value
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    before = {
        name: module for name, module in sys.modules.items() if name.partition(".")[0] in {"workers", "js", "pyodide"}
    }
    workers_shim.install()
    yield
    sys.modules.update(before)


@pytest.fixture
def invocation() -> Iterator[Invocation]:
    host = FakeHost()
    running = Invocation(Env({"NAME": "value"}), Context(PendingWork(host)), host)
    token = current_invocation.set(running)
    yield running
    current_invocation.reset(token)


def test_workers_and_edge_give_the_same_objects() -> None:
    workers: Any = importlib.import_module("workers")
    assert sorted(workers.__all__) == list(edge.__all__)
    assert all(getattr(workers, name) is getattr(edge, name) for name in workers.__all__)


@pytest.mark.parametrize("name", ["Headers", "Body", "BlobValue", "FormDataValue", "JSBody"])
def test_type_aliases_are_text(name: str) -> None:
    assert isinstance(getattr(edge, name), str)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("workers.asgi", "fetch entrypoint websocket Options"),
        ("workers.wsgi", "fetch entrypoint Options"),
        ("workers.workflows", "NonRetryableError"),
        ("workers.gateway", "BaseOptions EncodeBody"),
        (
            "js",
            "Headers Response Request URL URLSearchParams FormData Blob File fetch console JSON Object Array",
        ),
        ("pyodide.ffi", "to_js create_proxy create_once_callable destroy_proxies JsException JsProxy jsnull run_sync"),
        ("pyodide.http", "AbortError BodyUsedError HttpStatusError pyfetch FetchResponse"),
    ],
)
def test_modules_have_their_names(module: str, names: str) -> None:
    loaded = importlib.import_module(module)
    assert all(getattr(loaded, name) is not None for name in names.split())


def test_js_exception_is_a_binding_error() -> None:
    assert importlib.import_module("pyodide.ffi").JsException is BindingError


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("workers", "has no attribute 'Nope'"),
        ("js", r"js\.Nope is not in Edge"),
        ("pyodide.ffi", "Nope is not in Edge"),
    ],
)
def test_a_name_that_is_not_there_says_so(module: str, text: str) -> None:
    with pytest.raises(AttributeError, match=text):
        _ = importlib.import_module(module).Nope


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("from js import Date", r"^js\.Date is not in Edge: there is no JavaScript here\. Names there are: JSON, "),
        ("from workers import Nope", r"^module 'workers' has no attribute 'Nope'$"),
        ("from pyodide.ffi import Nope", r"^pyodide\.ffi\.Nope is not in Edge; there are: JsArray, "),
        ("from workers.workflows import Nope", r"has no attribute 'Nope'$"),
        ("import workers.nope", r"^module 'workers' has no attribute 'nope'$"),
    ],
)
def test_import_of_a_name_that_is_not_there_says_so_too(line: str, text: str) -> None:
    with pytest.raises(ImportError, match=text):
        exec(line)
    assert not hasattr(importlib.import_module("js"), "Date")


def test_ours_win_over_site_packages(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "__init__.py").write_text("Request = 'foreign'")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import workers; assert workers.Request == 'foreign';"
        "import edge; from edge.runtime.core.workers_shim import install; install();"
        "from workers import Request; assert Request is edge.Request;"
        "import workers.asgi, asgi; assert asgi is workers.asgi; from js import Response; import pyodide; print('ok')"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "ok\n"


def test_env_is_the_running_workers(invocation: Invocation) -> None:
    assert (edge.env.NAME, getattr(edge.env, "OTHER", "d"), hasattr(edge.env, "OTHER")) == ("value", "d", False)
    assert repr(edge.env) == "Env(NAME)"
    with pytest.raises(AttributeError, match=r"patch_env\(\)"):
        edge.env.NAME = "x"
    with pytest.raises(TypeError):
        edge.env["NAME"]  # type: ignore[index]  # attributes only


def test_env_outside_a_worker_says_so() -> None:
    with pytest.raises(HandlerError, match=r"workers\.env\.NAME was used outside a Worker"):
        _ = edge.env.NAME


def test_patch_env(invocation: Invocation) -> None:
    with edge.patch_env({"NAME": "patched"}, OTHER=1):
        assert (edge.env.NAME, edge.env.OTHER) == ("patched", 1)
        with edge.patch_env([("OTHER", 2)]):
            assert (edge.env.NAME, edge.env.OTHER) == ("patched", 2)
    assert (edge.env.NAME, hasattr(edge.env, "OTHER")) == ("value", False)


async def test_wait_until_is_the_contexts(invocation: Invocation) -> None:
    done = []

    async def work() -> None:
        done.append(True)

    edge.wait_until(work())
    edge.waitUntil(work())
    await invocation.ctx._pending.drain()
    assert done == [True, True]


def test_import_from_javascript() -> None:
    module = edge.import_from_javascript("cloudflare:workers")
    assert (module.env, module.waitUntil) == (edge.env, edge.wait_until)
    with pytest.raises(ImportError, match="'cloudflare:email': Cloudflare has this module, and Edge does not have it"):
        edge.import_from_javascript("cloudflare:email")
    with pytest.raises(ImportError, match=r"'\./x\.js': there is no such module, and Edge runs no JavaScript"):
        edge.import_from_javascript("./x.js")


async def test_fetch_asks_the_host(invocation: Invocation) -> None:
    async def answer(request: edge.Request) -> edge.Response:
        return edge.Response(f"{request.method} {request.url}")

    invocation.host.on_fetch = answer  # type: ignore[attr-defined]  # a FakeHost
    assert await (await edge.fetch("https://t.com", method="POST", json={})).text() == "POST https://t.com/"
    assert await (await edge.fetch(edge.Request("https://t.com/x").js_object)).text() == "GET https://t.com/x"
    assert await (await edge.fetch("https://t.com", fetcher=answer)).text() == "GET https://t.com/"


async def test_fetch_errors(invocation: Invocation) -> None:
    with pytest.raises(AbortError, match=r"^Invalid URL: zz$") as caught:
        await edge.fetch("zz")
    assert isinstance(caught.value, OSError)
    with pytest.raises(AbortError, match="this FakeHost has no internet"):
        await edge.fetch("https://t.com")
    with pytest.raises(TypeError, match=r"^fetch\(\) takes 1 positional argument but 2 were given$"):
        await edge.fetch("https://t.com", {})  # type: ignore[call-arg]  # the mistake under test


async def test_fetch_sends_no_object_as_the_text_that_javascript_has_for_it(invocation: Invocation) -> None:
    """Where Cloudflare sends "[object Object]", or the repr of a FormData: docs/compat.md."""

    async def echo(request: edge.Request) -> edge.Response:
        return edge.Response(await request.text())

    with pytest.raises(TypeError, match=r"^Unsupported type in Request: dict$"):
        await edge.fetch("https://t.com", method="POST", body={"a": 1}, fetcher=echo)
    sent = await edge.fetch("https://t.com", method="POST", body=edge.FormData({"a": "b"}), fetcher=echo)
    assert 'form-data; name="a"' in await sent.text()


def test_js_objects() -> None:
    import js
    from pyodide.ffi import create_proxy, run_sync, to_js

    made = to_js({"a": {"b": [1]}}, dict_converter=js.Object.fromEntries)
    assert (made.a.b, made.to_py()) == ([1], {"a": {"b": [1]}})
    assert js.JSON.parse('{"a": {"b": 1}}').a.b == 1
    assert js.JSON.stringify({"o": js_value({"a": None})}) == '{"o":{"a":null}}'
    assert js.Object.keys(js_value({"a": 1})) == ["a"]
    assert js.Array.isArray(js_value([]))
    assert js.JSON.stringify({"a": [1, "é"]}) == '{"a":[1,"é"]}'
    assert create_proxy(made) is made
    with pytest.raises(RuntimeError, match=r"^No suspender$"):
        run_sync(None)


def test_js_url() -> None:
    import js

    url = js.URL.new("../b?x=1&x=2#f", "https://user:pw@T.com:8443/a/c/d")
    assert (url.href, url.host, url.hostname, url.port) == (
        "https://user:pw@t.com:8443/a/b?x=1&x=2#f",
        "t.com:8443",
        "t.com",
        "8443",
    )
    assert (url.origin, url.pathname, url.search, url.hash) == ("https://t.com:8443", "/a/b", "?x=1&x=2", "#f")
    assert (url.searchParams.getAll("x"), url.searchParams.get("x")) == (["1", "2"], "1")
    url.searchParams.set("x", "ä b")
    assert str(url).endswith("?x=%C3%A4+b#f")
    assert not js.URL.canParse("zz")


def test_console_writes_lines(capsys: pytest.CaptureFixture[str]) -> None:
    import js

    js.console.log("a", 1, None)
    js.console.error("b")
    assert capsys.readouterr() == ("a 1 null\n", "b\n")


async def test_js_constructors() -> None:
    import js

    blob = js.Blob.new(["a", b"b"], {"type": "text/x"})
    assert (blob.type, (await blob.arrayBuffer()).to_bytes(), blob.constructor.name) == ("text/x", b"ab", "Blob")
    file = js.File.new(["a"], "a.txt", type="text/x", lastModified=5)
    assert (file.name, file.type, file.lastModified) == ("a.txt", "text/x", 5)
    form = js.FormData.new()
    form.set("a", 1)
    assert (form.get("a"), form.getAll("a")) == ("1", ["1"])
    assert js.Uint8Array.new([1, 2]).byteLength == 2
    assert js.Array.isArray(js.Array.new(1, 2))
    assert (js.Object.keys({"a": 1}), js.Object.values({"a": 1}), js.Object.entries({"a": 1})) == (
        ["a"],
        [1],
        [["a", 1]],
    )
    assert js.Object.assign(js.Object.new(), {"a": 1}, {"b": 2}).b == 2
    assert js.JSON.stringify(js.Object.new(), None, 2) == "{}"
