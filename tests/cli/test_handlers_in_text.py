"""`edge check` finds handler files without a usable handler, and agrees with what loading the file says."""

from __future__ import annotations

import textwrap
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from edge.runtime.cli.handlers_in_text import handler_notes
from edge.runtime.core import workers_shim
from edge.runtime.core.errors import HandlerError
from edge.runtime.core.worker import worker_of
from edge.wrangler_config.worker_config import WorkerConfig

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = "from workers import WorkerEntrypoint\nclass Default(WorkerEntrypoint):\n    def fetch(self, request): ...\n"
REFUSED = {
    "nothing": ("x = 1\n", 1, "entry.py has no handler. Write async def fetch(request, env, ctx)"),
    "empty": ("", 1, "entry.py has no handler."),
    "our own fetch": ("from workers import fetch, Response\n", 1, "entry.py has no handler."),
    "a class without a base": ("class Default:\n    def fetch(self, request): ...\n", 1, "entry.py has no handler."),
    "both": (f"{DEFAULT}def fetch(request): ...\n", 4, "defines both class Default and a module-level fetch()"),
    "legacy": ("import workers\n\ndef on_fetch(request): ...\n", 3, "entry.py defines on_fetch(), which Cloudflare"),
}
LOADED = {
    "function": "async def fetch(request, env): ...\n",
    "decorated": "def same(function): return function\n@same\ndef fetch(request): ...\n",
    "class": DEFAULT,
    "class and helpers": f"{DEFAULT}def queue(name): ...\n",
    "class and ignored legacy": f"{DEFAULT}def on_fetch(request): ...\n",
    "assigned": "fetch = lambda request: None\n",
    "under if": "if True:\n    def fetch(request): ...\n",
    "under try": "try:\n    from nowhere import fetch\nexcept ImportError:\n    def fetch(request): ...\n",
    "inherited": "import workers\nBase = workers.WorkerEntrypoint\nclass Default(Base):\n    def fetch(self): ...\n",
    "deleted": f"{DEFAULT}def fetch(request): ...\ndel fetch\n",
    "in a function": "def make():\n    global fetch\n    def fetch(request): ...\nmake()\n",
    "as a key": "globals()['fetch'] = lambda request: None\n",
    "star": "from textwrap import *\ndef fetch(request): ...\n",
    "workflow": "from workers import WorkflowEntrypoint\nclass Job(WorkflowEntrypoint): ...\n",
}


@pytest.mark.parametrize(("source", "line", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_loaded_is_an_error_at_its_place(tmp_path: Path, source: str, line: int, text: str) -> None:
    (note,) = handler_notes(source.encode(), config(tmp_path))
    assert (note.line, note.column, note.is_error) == (line, 1, True)
    assert text in note.text
    with pytest.raises(HandlerError) as refused:
        load(source, tmp_path)
    assert str(refused.value) == note.text


@pytest.mark.parametrize("source", LOADED.values(), ids=LOADED)
def test_what_may_be_loaded_is_no_error(tmp_path: Path, source: str) -> None:
    assert handler_notes(source.encode(), config(tmp_path)) == []
    load(source, tmp_path)


def test_a_workflow_that_the_config_binds_may_be_imported(tmp_path: Path) -> None:
    bound = config(tmp_path)._replace(bindings={"workflows": ()})
    assert handler_notes(b"from orders import Order\n", bound) == []


def test_legacy_handlers_count_before_their_date(tmp_path: Path) -> None:
    early = config(tmp_path)._replace(compatibility_date="2025-01-01")
    assert handler_notes(b"def on_fetch(request): ...\n", early) == []


def config(folder: Path) -> WorkerConfig:
    return WorkerConfig(
        path=folder / "wrangler.jsonc",
        name="demo",
        main=folder / "entry.py",
        environment=None,
        compatibility_date="2026-09-08",
        compatibility_flags=(),
        vars={},
        secret_names=frozenset(),
        bindings={},
        unsupported={},
    )


def load(source: str, folder: Path) -> None:
    """Run the file, as `edge dev` does."""
    workers_shim.install()
    module = ModuleType("entry")
    module.__file__ = "entry.py"
    exec(compile(textwrap.dedent(source), folder / "entry.py", "exec"), vars(module))
    worker_of(module, compatibility_date="2026-09-08")
