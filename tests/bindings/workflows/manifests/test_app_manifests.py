"""A manifest in edge.toml, in the whole app: bound in env, read again when saved, applied by another process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.manifests.problems import ManifestError
from edge.runtime.core.errors import ConfigError
from edge.runtime.core.request import incoming_request
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import App, ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EDGE = Path(sys.executable).parent / "edge"
ENTRY = """
    from workers import Response, WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            what, instance_id = request.url.rsplit("/", 2)[1:]
            if what == "create":
                return Response((await self.env.GREET.create({"id": instance_id, "params": {"who": "ada"}})).id)
            instance = await self.env.GREET.get(instance_id)
            if what == "go":
                await instance.send_event({"type": "go"})
            return Response.json(await instance.status())
"""

WORDS = """
    from workers import env

    async def greet(who):
        return f"{env.GREETING} {who}, CODE"
"""

MANIFEST = """
    kind: Workflow/v1
    steps:
      wait: {wait_for_event: go}
      greet: {uses: "./words.py:greet", with: {who: "${params.who}"}, needs: wait}
    output: ["${steps.greet.out}", VERSION]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = {
        "name": "demo",
        "main": "src/entry.py",
        "compatibility_date": "2026-09-08",
        "compatibility_flags": ["python_workers"],
        "vars": {"GREETING": "hello"},
    }
    (tmp_path / "wrangler.jsonc").write_text(json.dumps(config))
    (tmp_path / "edge.toml").write_text('[workflows.greeter]\nmanifest = "flows/greet.yaml"\nbinding = "GREET"\n')
    (tmp_path / "src").mkdir()
    (tmp_path / "flows").mkdir()
    write(tmp_path, "src/entry.py", ENTRY)
    write(tmp_path, "src/words.py", WORDS)
    write(tmp_path, "flows/greet.yaml", MANIFEST)
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


@asynccontextmanager
async def opened(folder: Path, log: RecordingLog | None = None) -> AsyncIterator[App]:
    choice = ConfigChoice(folder / "wrangler.jsonc")
    log = log or RecordingLog()
    host = LocalMachine(prepare_state_folder(folder / ".edge"), log)
    try:
        async with open_local_app(choice, host, load_config(choice), is_dev=True) as app:
            yield app
    finally:
        await host.aclose()
    assert log.events("error") == []


async def ask(app: App, path: str) -> Any:
    response = await app.fetch(incoming_request("GET", f"http://localhost/{path}", []))
    text = await response.text()
    return json.loads(text) if text.startswith("{") else text


async def reach(app: App, instance_id: str, status: str) -> Any:
    async with asyncio.timeout(60):
        while (found := await ask(app, f"status/{instance_id}"))["status"] != status:
            assert found["status"] != "errored", found
            await asyncio.sleep(0.001)  # its threads want the interpreter
    return found.get("output")


async def test_a_saved_manifest_is_for_new_instances_and_a_saved_function_for_all(folder: Path) -> None:
    async with opened(folder) as app:
        assert folder / "flows" / "greet.yaml" in app.watched_files()
        await ask(app, "create/a")
        await reach(app, "a", "waiting")
        await app.reload({write(folder, "flows/greet.yaml", MANIFEST.replace("VERSION", "2"))})
        await ask(app, "create/b")
        await reach(app, "b", "waiting")
        await ask(app, "go/b")
        assert await reach(app, "b", "complete") == ["hello ada, CODE", 2]
        await app.reload({write(folder, "src/words.py", WORDS.replace("CODE", "again"))})
        await ask(app, "go/a")
        assert await reach(app, "a", "complete") == ["hello ada, again", "VERSION"]


async def test_what_another_process_applies_is_live_here(folder: Path) -> None:
    async with opened(folder) as app, opened(folder) as other:
        service = other.environment.admins["workflows"]
        await service.apply_manifest(None, "kind: Workflow/v1\nname: new\nsteps: {a: {sleep: 0}}\noutput: done")
        here = app.environment.admins["workflows"]
        made = await here.create("new", {})
        async with asyncio.timeout(60):
            while (await here.instance("new", made.id)).instance.status != "complete":  # noqa: ASYNC110 - a user has nothing else
                await asyncio.sleep(0.01)


def test_problems_of_a_manifest_are_told_with_those_of_the_config(folder: Path) -> None:
    write(folder, "flows/greet.yaml", MANIFEST.replace("needs: wait", "needs: wiat").replace("go}", "''}"))
    with pytest.raises(ConfigError) as caught:
        load_config(ConfigChoice(folder / "wrangler.jsonc"))
    report = str(caught.value)
    assert "edge.toml:2:1: workflows.greeter.manifest cannot be used:" in report
    assert "flows/greet.yaml:4:26: wait_for_event: The type of an event is a text" in report
    assert 'flows/greet.yaml:5:74: There is no step "wiat". Did you mean "wait"?' in report


async def test_manifests_that_make_each_other_without_end_are_refused(folder: Path) -> None:
    """Those of edge.toml at once; what was applied beside them is warned of at the start, so that it can be mended."""
    there, back = (f"kind: Workflow/v1\nsteps: {{a: {{workflow: {name}}}}}" for name in ("other", "greeter"))
    write(folder, "flows/greet.yaml", there)
    async with opened(folder) as app:
        service = app.environment.admins["workflows"]
        with pytest.raises(
            ManifestError, match=r'other\.yaml:2:9: .* other -> greeter -> other\. .* "greeter" as it is'
        ):
            await service.apply_manifest("other", back, "other.yaml")
        await service.apply_manifest("other", back.replace("greeter", "third"), "other.yaml")
        await service.apply_manifest("third", back.replace("greeter", "nobody"), "third.yaml")
    write(folder, "flows/greet.yaml", there.replace("other", "fourth"))
    async with opened(folder) as app:
        await app.environment.admins["workflows"].apply_manifest("third", back, "third.yaml")
    write(folder, "flows/greet.yaml", there)
    log = RecordingLog()
    async with opened(folder, log) as app:
        assert log.events("warning") == ["workflow_manifests_endless"]
        service = app.environment.admins["workflows"]
        await service.apply_manifest("third", back.replace("greeter", "nobody"), "third.yaml")
    write(folder, "flows/other.yaml", back)
    with (folder / "edge.toml").open("a") as settings:
        settings.write('[workflows.other]\nmanifest = "flows/other.yaml"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(ConfigChoice(folder / "wrangler.jsonc"))
    report = str(caught.value)
    assert "edge.toml:5:1: workflows.other.manifest cannot be used:" in report
    assert "flows/greet.yaml:2:9: " in report
    assert "other -> greeter -> other" in report


def test_a_child_that_is_no_workflow_is_warned_of_until_it_is_applied(folder: Path) -> None:
    write(folder, "mum.yaml", "kind: Workflow/v1\nsteps:\n  nap: {sleep: 0}\n  kid: {workflow: kidd, if: false}")
    write(folder, "aunt.yaml", "kind: Workflow/v1\nname: aunt\nsteps: {a: {workflow: mum}, b: {workflow: greeter}}")
    write(folder, "kidd.yaml", "kind: Workflow/v1\nname: kidd\nsteps: {a: {sleep: 0}}")
    missing = 'makes an instance of "{}", and there is no such workflow: it fails until one is applied. Known: {}.\n'

    def apply(*arguments: str) -> str:
        command = [EDGE, "workflows", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return done.stderr

    told = 'warning: aunt: The step "a" (line 3) ' + missing.format("mum", "aunt, greeter")
    assert apply("apply", "aunt.yaml") == told
    told = 'warning: mum: The step "kid" (line 4) ' + missing.format("kidd", "aunt, greeter, mum")
    assert apply("apply", "mum.yaml", "--name", "mum", "--json") == told
    assert apply("describe", "mum") == told.replace("mum: ", "", 1)
    assert apply("apply", "aunt.yaml", "kidd.yaml") == ""
    assert apply("describe", "mum") == ""


async def test_a_child_that_is_no_workflow_is_told_to_who_puts_a_manifest(folder: Path) -> None:
    async with opened(folder) as app:
        text = "kind: Workflow/v1\nsteps: {a: {workflow: greter}, b: {workflow: '${params}'}, c: {workflow: greeter}}"
        applied = await app.environment.admins["workflows"].apply_manifest("new", text)
    (note,) = applied.notes
    assert note.startswith('The step "a" (line 2) makes an instance of "greter", and there is no such workflow: ')
    assert note.endswith('Did you mean "greeter"?')


def test_what_a_manifest_uses_and_is_not_there_is_told_with_the_config(folder: Path) -> None:
    write(folder, "flows/greet.yaml", MANIFEST.replace("words.py:greet", "words.py:great"))
    write(folder, "flows/keep.yaml", MANIFEST.replace('"./words.py:greet"', '"binding:GREAT.create"'))
    with (folder / "edge.toml").open("a") as settings:
        settings.write('[workflows.keeper]\nmanifest = "flows/keep.yaml"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(ConfigChoice(folder / "wrangler.jsonc"))
    report = str(caught.value)
    assert 'flows/greet.yaml:5:17: words.py has no function great. Did you mean "greet"?' in report
    assert 'flows/keep.yaml:5:17: There is no binding "GREAT". Did you mean "GREET"?' in report


def test_functions_are_not_looked_for_beside_a_main_that_is_not_there(folder: Path) -> None:
    (folder / "src" / "entry.py").unlink()
    (folder / "src" / "words.py").unlink()
    with pytest.raises(ConfigError, match=r'"src/entry\.py" was not found') as caught:
        load_config(ConfigChoice(folder / "wrangler.jsonc"))
    assert "words.py" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('manifest = "no.yaml"', "no.yaml:1:1: The manifest cannot be read: No such file or directory."),
        ('binding = "X"', "workflows.greeter.binding names a manifest in env"),
        ("manifest = 3", "workflows.greeter.manifest"),
        ('class_name = "Greeter"', "class_name"),
    ],
)
def test_settings_that_make_no_sense_are_told(folder: Path, settings: str, expected: str) -> None:
    (folder / "edge.toml").write_text(f"[workflows.greeter]\n{settings}\n")
    choice = ConfigChoice(folder / "wrangler.jsonc")
    try:
        report = "\n".join(load_config(choice).warnings)
    except ConfigError as error:
        report = str(error)
    assert expected in report
