"""The state folder: private, ignored by git, of a known format, held by one Edge at a time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.runtime.core.errors import BackendError
from edge.runtime.hosts.state_folder import hold_state_folder, prepare_state_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    folder = tmp_path / ".edge"
    state = prepare_state_folder(folder)
    assert state == folder / "state"
    assert (folder.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o700, 0o700)
    assert (folder / ".gitignore").read_text() == "*\n"
    assert prepare_state_folder(folder) == state


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    prepare_state_folder(tmp_path / ".edge")
    (tmp_path / ".edge" / "format").write_text("2\n")
    with pytest.raises(BackendError, match=r"has format 2, this Edge knows up to 1. Upgrade edge-workers"):
        prepare_state_folder(tmp_path / ".edge")


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match=r"cannot be used: .* Pass --persist-to with another folder"):
        prepare_state_folder(tmp_path / "file" / ".edge")


def test_a_second_holder_is_told_who_has_it_and_a_dead_one_does_not_count(tmp_path: Path) -> None:
    prepare_state_folder(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from edge.runtime.hosts.state_folder import hold_state_folder\n"
        "with hold_state_folder(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(BackendError, match=f"is in use by process {child.pid}"), hold_state_folder(tmp_path):
            pass
        child.kill()
        child.wait()
    with hold_state_folder(tmp_path):
        pass
