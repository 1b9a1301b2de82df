"""Saves are told; folders that hold no modules are not watched."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from edge.runtime.cli import watch
from edge.runtime.cli.watch import changes_in, folders_with_modules

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import pytest


async def test_writes_renames_and_deletes_are_told(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    async with aclosing(watching({tmp_path})) as changes:
        assert await anext(changes) == set()
        file.write_text("1")
        assert file in await anext(changes)
        (tmp_path / "b.py").write_text("2")
        (tmp_path / "b.py").rename(file)
        assert file in await until(changes, file)
        file.unlink()
        assert file in await until(changes, file)


async def test_a_file_that_is_emptied_before_it_is_written_is_told_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.py"
    file.write_text("1")
    is_empty = watch._is_empty

    def fill(path: Path) -> bool:
        """Write on, now that it was seen."""
        was_empty = is_empty(path)
        if was_empty:
            path.write_text("12")
        return was_empty

    monkeypatch.setattr(watch, "_is_empty", fill)
    async with aclosing(watching({tmp_path})) as changes:
        await anext(changes)
        file.write_text("")
        assert file in await until(changes, file)
        assert file.read_text() == "12"


async def test_what_was_saved_before_watching_began_is_told_whole_and_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "a.py", tmp_path / "b.py"
    file.write_text("")
    is_empty, looks = watch._is_empty, iter((other, other, file))

    def save_another(path: Path) -> bool:
        """Another file is saved twice before this one is filled."""
        was_empty = is_empty(path)
        if was_empty:
            next(looks).write_text("12")
        return was_empty

    monkeypatch.setattr(watch, "_is_empty", save_another)
    async with aclosing(changes_in(lambda: {tmp_path}, before=lambda: {file})) as changes:  # type: ignore[type-var]  # it is a generator
        assert file in await anext(changes)
        assert file.read_text() == "12"


async def test_a_folder_that_joins_is_watched_and_nothing_between_is_lost(tmp_path: Path) -> None:
    folders = {tmp_path}
    package = tmp_path / "package"
    package.mkdir()
    async with aclosing(watching(folders)) as changes:
        await anext(changes)
        (tmp_path / "a.py").write_text("1")
        await anext(changes)
        folders.add(package)
        (tmp_path / "a.py").write_text("12")
        assert tmp_path / "a.py" in await until(changes, tmp_path / "a.py")
        (package / "b.py").write_text("1")
        assert package / "b.py" in await until(changes, package / "b.py")


def test_environments_and_hidden_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("package/inner", "node_modules/x", ".venv/lib", "myenv/lib", "__pycache__", ".edge/state"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "myenv" / "pyvenv.cfg").touch()
    found = folders_with_modules(tmp_path, [tmp_path / "gone"])
    assert found == {tmp_path, tmp_path / "package", tmp_path / "package" / "inner"}


def watching(folders: set[Path]) -> AsyncGenerator[set[Path], None]:
    return changes_in(lambda: set(folders))  # type: ignore[return-value]  # it is a generator


async def until(changes: AsyncGenerator[set[Path], None], file: Path) -> set[Path]:
    """Changes until the file is among them: the system may tell one save in two pieces."""
    async with asyncio.timeout(10):
        async for changed in changes:
            if file in changed:
                return changed
    raise AssertionError("the watcher ended")
