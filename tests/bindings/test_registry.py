"""What a section has is found by the names of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.bindings import registry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a section "things" that has nothing yet."""
    monkeypatch.setattr(registry, "_FOLDER", tmp_path)
    registry.has_api.cache_clear()
    (tmp_path / "things").mkdir()
    yield tmp_path / "things"  # type: ignore[misc]
    registry.has_api.cache_clear()


@pytest.mark.parametrize("file", ["rest.py", "rest.pyc", "rest/routes.py", "rest/routes.pyc"])
def test_a_section_has_an_api_where_its_routes_are(things: Path, file: str) -> None:
    (things / "rest").mkdir()
    assert not registry.has_api("things")
    registry.has_api.cache_clear()
    (things / file).touch()
    assert registry.has_api("things")


def test_every_section_that_has_an_api_has_routes() -> None:
    found = [section for section in registry.sections() if registry.has_api(section)]
    assert {"pipelines", "workflows"} <= set(found)
    for section in found:
        assert callable(registry.routes_of(section))
    assert registry.local_routes_of("workflows") is not None
