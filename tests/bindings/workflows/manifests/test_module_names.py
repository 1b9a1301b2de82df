"""Functions are looked for in the text of files: what Python would find is found, and nothing is run."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from edge.bindings.workflows.manifests.module_names import missing_function

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THERE = {
    "def": "def probe(): ...",
    "async": "async def probe(): ...",
    "class": "class probe: ...",
    "assigned": "probe = print",
    "annotated": "probe: object = print",
    "unpacked": "[(_, probe), *_] = [(1, print)]",
    "walrus": "if (probe := print): pass",
    "walrus in a comprehension": "[(probe := print) for _ in range(1)]",
    "walrus in an inner comprehension": "[[(probe := print) for _ in range(1)] for _ in range(1)]",
    "match": "match {'a': print}:\n    case {'a': probe}: pass",
    "match as": "match print:\n    case object() as probe: pass",
    "match star": "match [print]:\n    case [*probe]: pass",
    "match rest": "match {'a': print}:\n    case {**probe}: pass",
    "in if": "if 1 > 0:\n    def probe(): ...\nelse:\n    pass",
    "in try": "try:\n    import nowhere\nexcept ImportError:\n    def probe(): ...",
    "in with": "import contextlib\nwith contextlib.suppress(KeyError):\n    probe = print",
    "in for": "for probe in [print]: pass",
    "global": "def make():\n    global probe\n    probe = print\nmake()",
    "imported": "from json import loads as probe",
    "of a file": "from lib import thumb as probe",
    "of a file's import": "from again import probe",
    "of a package": "from pack import probe",
    "of a file in a package": "from pack.inner import inside as probe",
    "of a star": "from lib import *",
    "of somebody's star": "from string import *\nprobe = ascii_letters",
    "globals": "globals()['probe'] = print",
    "vars": "vars()['probe'] = print",
    "locals": "locals()['probe'] = print",
    "exec": "exec('probe = print')",
    "sys.modules": "import sys\nsetattr(sys.modules[__name__], 'probe', print)",
    "getattr": "def __getattr__(name): return print",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lib.py").write_text("def thumb(): ...\ndef probe(): ...\n")
    (tmp_path / "again.py").write_text("from lib import thumb as probe\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("from .inner import inside as probe\n")
    (tmp_path / "pack" / "inner.py").write_text("def inside(): ...\n")
    return tmp_path


@pytest.fixture
def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Python's own answer."""
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield lambda: importlib.import_module("media")  # type: ignore[misc]
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("source", THERE.values(), ids=THERE)
def test_what_python_finds_is_there(folder: Path, loaded: Callable[[], object], source: str) -> None:
    (folder / "media.py").write_text(source)
    assert missing_function(folder, "media.py", "probe") is None
    assert hasattr(loaded(), "probe")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def prob(): ...", 'media.py has no function probe. Did you mean "prob"?'),
        ("def make():\n    probe = 1", "media.py has no function probe. Known: make."),
        ("class Media:\n    def probe(self): ...", "media.py has no function probe. Known: Media."),
        ("x = [probe for probe in range(3)]", "media.py has no function probe. Known: x."),
        ("def make():\n    return [probe := i for i in range(3)]", "media.py has no function probe. Known: make."),
        ("import lib as probe", "media.py has no function probe."),
        ("from timed import time as probe", "media.py imports probe, but timed.py has no function time. Known: now."),
        ("from lib import thum as probe", "media.py imports probe, but lib.py has no function thum. Did you mean "),
        ("from bare import *", "media.py has no function probe."),
        ("from pack import *", None),
        ("from again import thumb as probe", "media.py imports probe, but again.py has no function thumb."),
        ("from ring import probe", None),
        ("def probe(:", "media.py is no Python: invalid syntax"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(folder: Path, source: str, expected: str | None) -> None:
    (folder / "bare.py").write_text("def other(): ...\n")
    (folder / "timed.py").write_text("import time\nfrom time import time as now\n")
    (folder / "ring.py").write_text("from ring import probe\n")
    (folder / "media.py").write_text(source)
    found = missing_function(folder, "media.py", "probe")
    assert found is expected if expected is None else str(found).startswith(expected)


def test_a_file_is_read_again_when_it_was_changed(folder: Path) -> None:
    media = folder / "media.py"
    media.write_text("def prob(): ...")
    assert missing_function(folder, "media.py", "probe") is not None
    media.write_text("def probe(): ...")
    assert missing_function(folder, "media.py", "probe") is None
    media.unlink()
    told = missing_function(folder, "media.py", "probe")
    assert str(told).startswith("media.py cannot be read (No such file or directory).")


def test_nothing_is_run(folder: Path) -> None:
    (folder / "media.py").write_text("raise SystemExit(3)\ndef probe(): ...")
    assert missing_function(folder, "media.py", "probe") is None
