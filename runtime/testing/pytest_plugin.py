"""Edge's pytest plugin: fixtures `env`, `worker` and `workflows`, each test with a project of its own.

Every pytest that finds this package loads this file, so it imports nothing else: a test that asks for a fixture pays.
`-p no:edge` leaves it out. See docs/testing.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from ..core.env import Env
    from .project import ProjectUnderTest
    from .worker import WorkerUnderTest
    from .workflows import WorkflowsUnderTest

ASYNCIO_NAMES = ("asyncio", "pytest_asyncio", "pytest_asyncio.plugin")
"""As pytest finds pytest-asyncio by itself, and as `-p` may name it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("edge_config", "Wrangler file of the Worker under test, from the rootdir; else found upwards.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "edge(config, environment, vars, replay): what the fixtures env, worker and workflows open; all are optional.",
    )
    plugins = config.pluginmanager
    if any(plugins.hasplugin(name) for name in ASYNCIO_NAMES):
        plugins.import_plugin(f"{__package__}.pytest_project")
    else:
        plugins.register(_WithoutAsyncio(), "edge_without_asyncio")


@pytest.fixture
def env(_edge_project: ProjectUnderTest) -> Env:
    """All bindings and vars of the project's wrangler file, as handlers get them, on state of this test's own."""
    return _edge_project.env


@pytest.fixture
def worker(_edge_project: ProjectUnderTest) -> WorkerUnderTest:
    """The project's Worker: `await worker.fetch("/path", json={...})`, `await worker.scheduled("0 * * * *")`."""
    return _edge_project.worker


@pytest.fixture
def workflows(_edge_project: ProjectUnderTest) -> WorkflowsUnderTest:
    """The project's workflows: introspection, the clock (`await workflows.advance("2 hours")`), a crash."""
    return _edge_project.workflows


class _WithoutAsyncio:
    @pytest.fixture
    def _edge_project(self) -> NoReturn:
        pytest.fail("The fixtures of Edge are asynchronous: pip install pytest-asyncio.", pytrace=False)
