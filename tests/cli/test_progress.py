"""The bar that commands show while much is done."""

from __future__ import annotations

import asyncio

import pytest

from edge.runtime.cli import progress
from edge.runtime.cli.progress import with_bar


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.001)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


class Work:
    """Is done once it was asked twice how much is left."""

    def __init__(self) -> None:
        self.asked_count = 0
        self._enough = asyncio.Event()

    async def run(self) -> int:
        await self._enough.wait()
        return 7

    async def count_left(self) -> int:
        self.asked_count += 1
        if self.asked_count == 2:
            self._enough.set()
        return 3


@pytest.mark.usefixtures("terminal")
async def test_a_terminal_is_shown_how_much_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()
    assert await with_bar(work.run(), "Purging", 5, work.count_left) == 7
    told = capsys.readouterr()
    assert "Purging" in told.err
    assert " 40%" in told.err
    assert told.out == ""


async def test_elsewhere_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    work = Work()
    assert await with_bar(work.run(), "Purging", 5, work.count_left) == 7
    assert capsys.readouterr() == ("", "")


async def test_what_fails_is_told_and_leaves_nothing_running() -> None:
    async def fail() -> int:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await with_bar(fail(), "Purging", 5, fail)
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ValueError, match="full"):
        await with_bar(work(), "Purging", 5, fail)
    await cancelled.wait()
