"""The project that the fixtures of one test share: opened before it, closed after it, also when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pytest_asyncio import fixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .project import ProjectUnderTest

MARKER = "edge"
OPTIONS = {"config", "environment", "replay", "vars"}
"""Of the marker."""


@fixture
async def _edge_project(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ProjectUnderTest]:
    from ...wrangler_config.find import find_wrangler_file  # noqa: PLC0415 - only where a test uses a fixture
    from ..core.errors import ConfigError, EdgeError  # noqa: PLC0415 - as above
    from ..error_trace import format_error  # noqa: PLC0415 - as above
    from .project import open_project  # noqa: PLC0415 - as above

    options = _options(request)
    failure = None
    try:
        config = _config(request.config, options.pop("config", None)) or find_wrangler_file(request.path.parent)
        opening = open_project(config, state=tmp_path / "edge", **options)
        project = await opening.__aenter__()
    except ConfigError as error:
        failure = str(error)  # a whole report; that a file was not there to be read is no line of the user's
    except EdgeError as error:
        failure = format_error(error)
    if failure is not None:  # not while the error is handled: pytest would print it, and its causes, once more
        pytest.fail(failure, pytrace=False)
    try:
        yield project
    finally:
        await opening.__aexit__(None, None, None)


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    marker = request.node.get_closest_marker(MARKER)
    if marker is None:
        return {}
    unknown = sorted(marker.kwargs.keys() - OPTIONS)
    if marker.args or unknown:
        got = ", ".join([*map(repr, marker.args), *unknown])
        msg = f"@pytest.mark.edge takes {', '.join(sorted(OPTIONS))}, each by name; got {got}."
        raise pytest.UsageError(msg)
    return dict(marker.kwargs)


def _config(config: pytest.Config, named: str | Path | None) -> Path | None:
    """The wrangler file that the marker or the ini option names, from the rootdir; None: neither does."""
    name = named or config.getini("edge_config")
    return config.rootpath / name if name else None
