"""Reload: the next request sees the save, a broken save changes nothing, nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import json
import signal
import textwrap
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.errors import ConfigError, HandlerError
from edge.runtime.core.request import incoming_request
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import App, ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CONFIG = {
    "name": "demo",
    "main": "src/entry.py",
    "compatibility_date": "2026-09-08",
    "compatibility_flags": ["python_workers"],
    "kv_namespaces": [{"binding": "KV", "id": "one"}],
}


class Project:
    """A Worker on disk, and the App over it."""

    app: App

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "wrangler.jsonc"
        (folder / "src").mkdir()
        self.write_config(**CONFIG)

    def write(self, name: str, source: str) -> Path:
        path = self.folder / "src" / name
        path.write_text(textwrap.dedent(source))
        return path

    def write_config(self, **values: Any) -> Path:
        self.config.write_text(json.dumps(values))
        return self.config

    async def ask(self, path: str = "/") -> str:
        response = await self.app.fetch(incoming_request("GET", f"http://localhost{path}", []))
        return await response.text()


@asynccontextmanager
async def opened(project: Project) -> AsyncIterator[Project]:
    choice = ConfigChoice(project.config)
    host = LocalMachine(prepare_state_folder(project.folder / ".edge"), RecordingLog())
    async with open_local_app(choice, host, load_config(choice), is_dev=True) as app:
        project.app = app
        yield project
    await host.aclose()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def answers(text: str) -> str:
    return f"from workers import Response\nasync def fetch(request, env, ctx): return Response({text!r})\n"


async def test_a_save_is_served_even_twice_in_one_second_with_the_same_size(project: Project) -> None:
    project.write("entry.py", answers("one"))
    async with opened(project):
        assert await project.ask() == "one"
        for text in ("two", "six", "ten"):
            await project.app.reload({project.write("entry.py", answers(text))})
            assert await project.ask() == text


async def test_a_save_of_an_imported_module_is_served(project: Project) -> None:
    project.write("words.py", "greeting = 'hello'")
    project.write("entry.py", "import words\n" + answers("x").replace("'x'", "words.greeting"))
    async with opened(project):
        assert await project.ask() == "hello"
        words = project.write("words.py", "greeting = 'moin'")
        assert words in project.app.watched_files()
        await project.app.reload({words})
        assert await project.ask() == "moin"


async def test_a_hundred_broken_saves_leave_the_last_good_version_running(project: Project) -> None:
    project.write("entry.py", answers("good"))
    broken = (
        "def fetch(",
        "import nothing_of_that_name",
        "1 / 0",
        "raise SystemExit(3)",
        "raise BaseException",
        "x = 1",
    )
    async with opened(project):
        for number in range(100):
            with pytest.raises(HandlerError):
                await project.app.reload({project.write("entry.py", broken[number % len(broken)])})
            assert await project.ask() == "good"
        await project.app.reload({project.write("entry.py", answers("mended"))})
        assert await project.ask() == "mended"


async def test_a_keyboard_interrupt_raised_by_a_module_is_the_modules_failure(project: Project) -> None:
    project.write("entry.py", answers("good"))
    before = signal.signal(signal.SIGINT, lambda *_: None)  # a server handles Ctrl-C itself
    try:
        async with opened(project):
            with pytest.raises(HandlerError):
                await project.app.reload({project.write("entry.py", "raise KeyboardInterrupt")})
            assert await project.ask() == "good"
    finally:
        signal.signal(signal.SIGINT, before)


async def test_a_first_load_that_fails_is_answered_until_it_is_mended(project: Project) -> None:
    entry = project.write("entry.py", "def fetch(")
    async with opened(project):
        assert await project.ask() == "Internal Server Error\n"
        assert isinstance(project.app.live.failure, HandlerError)
        await project.app.reload({project.write(entry.name, answers("mended"))})
        assert await project.ask() == "mended"


async def test_requests_in_flight_and_pending_work_finish_on_the_old_version(project: Project) -> None:
    source = """
        import asyncio
        from workers import Response
        started, go = asyncio.Event(), asyncio.Event()
        async def later(env): await env.KV.put("later", "kept")
        async def fetch(request, env, ctx):
            if request.url.endswith("/go"): go.set(); return Response("went")
            started.set(); await go.wait(); ctx.waitUntil(later(env)); return Response("old")
    """
    project.write("entry.py", source)
    async with opened(project):
        slow = asyncio.ensure_future(project.ask("/slow"))
        await asyncio.sleep(0)
        import entry  # type: ignore[import-not-found]  # the user's module, as the Worker sees it

        await entry.started.wait()
        await project.app.reload({project.write("entry.py", answers("new"))})
        assert await project.ask() == "new"
        entry.go.set()
        assert await slow == "old"
        assert await project.app.drain(5)
        await project.app.reload({project.write("entry.py", READS)})
        assert await project.ask() == "kept"


READS = """
from workers import Response
async def fetch(request, env, ctx): return Response(str(await env.KV.get("later")))
"""


async def test_a_changed_config_changes_bindings_and_keeps_data(project: Project) -> None:
    writes = """
        from workers import Response
        async def fetch(request, env):
            await env.KV.put("later", "kept")
            return Response("put")
    """
    project.write("entry.py", writes)
    async with opened(project):
        assert await project.ask() == "put"
        entry = project.write("entry.py", READS.replace('"later"', 'env.KEY if hasattr(env, "KEY") else "later"'))
        await project.app.reload({entry})
        assert await project.ask() == "kept"
        await project.app.reload({project.write_config(**CONFIG, vars={"KEY": "other"})})
        assert await project.ask() == "None"


async def test_a_broken_config_keeps_the_last_good_one(project: Project) -> None:
    project.write("entry.py", answers("good"))
    async with opened(project):
        project.config.write_text("{ nope")
        with pytest.raises(ConfigError):
            await project.app.reload({project.config})
        assert await project.ask() == "good"
        await project.app.reload({project.write_config(**CONFIG)})
        assert await project.ask() == "good"


async def test_the_reserved_path_never_reaches_the_worker(project: Project) -> None:
    project.write("entry.py", answers("mine"))
    async with opened(project):
        assert "reserved for Edge" in await project.ask("/cdn-cgi/anything")
        assert "reserved for Edge" in await project.ask("/cdn-cgi")
        assert await project.ask("/cdn-cgi-not") == "mine"


NAMED = "import words\n" + answers("x").replace("'x'", "words.WORD")


async def test_main_that_moves_takes_its_own_modules_along(project: Project) -> None:
    """From a folder into one below it, to one of the same name beside it, and back."""
    for folder in ("", "inner/", "other/"):
        (project.folder / "src" / folder).mkdir(exist_ok=True)
        project.write(f"{folder}entry.py", NAMED)
        project.write(f"{folder}words.py", f"WORD = {folder!r}")
    async with opened(project):
        assert await project.ask() == ""
        for folder in ("inner/", "other/", "inner/", ""):
            await project.app.reload({project.write_config(**CONFIG | {"main": f"src/{folder}entry.py"})})
            assert await project.ask() == folder
            await project.app.reload({project.write(f"{folder}words.py", "WORD = 'saved'")})
            assert await project.ask() == "saved"
            await project.app.reload({project.write(f"{folder}words.py", f"WORD = {folder!r}")})


async def test_main_that_moved_does_not_see_modules_it_left_behind(project: Project) -> None:
    (project.folder / "src" / "inner").mkdir()
    project.write("inner/entry.py", NAMED)
    project.write("entry.py", NAMED)
    project.write("words.py", "WORD = 'left behind'")
    async with opened(project):
        with pytest.raises(HandlerError, match="No module named 'words'"):
            await project.app.reload({project.write_config(**CONFIG | {"main": "src/inner/entry.py"})})
        assert await project.ask() == "left behind"
        project.write_config(**CONFIG)
        await project.app.reload({project.config, project.write("words.py", "WORD = 'saved'")})
        assert await project.ask() == "saved"


async def test_vendored_packages_that_come_later_are_found(project: Project) -> None:
    project.write("entry.py", answers("one"))
    async with opened(project):
        vendored = project.folder / "python_modules"
        vendored.mkdir()
        (vendored / "vendored_words.py").write_text("WORD = 'vendored'")
        entry = project.write("entry.py", NAMED.replace("import words", "import vendored_words as words"))
        await project.app.reload({entry})
        assert await project.ask() == "vendored"
