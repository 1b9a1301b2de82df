"""A journal without an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.bindings.workflows.journal.sqlite_journal import open_journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge.bindings.workflows.journal.sqlite_journal import SqliteJournal


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with open_journal(tmp_path / "workflows.sqlite") as journal:
        yield journal
