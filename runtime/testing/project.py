"""A project under test: its Worker with all its bindings, on a clock moved by hand, with state of its own.

    async with open_project(Path("wrangler.jsonc"), state=tmp_path) as project:
        await project.env.KV.put("a", "1")
        answer = await project.worker.fetch("/a")
        await project.workflows.advance("2 hours")

It is what `edge serve` runs, from the same files, without a server. The clock is the bindings': what the user's code
reads with `time` or waits for with `asyncio.sleep` is real. So is the internet that `fetch` reaches, unless
`worker.on_fetch` answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from ...bindings.workflows.engine_settings import SECTION, engine_settings
from ...wrangler_config.parse import read_document
from ..core.errors import ConfigError
from ..hosts.state_folder import FOLDER_NAME, prepare_state_folder
from ..serve import ConfigChoice, load_config, open_local_app
from .fake_host import FakeHost, RecordingLog
from .worker import FailedRequests, WorkerUnderTest
from .workflow_engine import HeldEngine
from .workflows import WorkflowsUnderTest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from ...wrangler_config.worker_config import WorkerConfig
    from ..core.env import Env
    from ..core.request import Request
    from ..core.response import Response

Replay = Literal["resident", "always"]

LOGGER_NAME = "edge"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class ProjectUnderTest(NamedTuple):
    """An open project."""

    env: Env
    """All bindings and vars, as handlers get them."""
    worker: WorkerUnderTest
    workflows: WorkflowsUnderTest


@asynccontextmanager
async def open_project(
    config: Path | None = None,
    *,
    state: Path,
    environment: str | None = None,
    vars: Mapping[str, str] | None = None,  # noqa: A002 - the name of the section in the wrangler file
    replay: Replay | None = None,
) -> AsyncIterator[ProjectUnderTest]:
    """Open a project; everything of it is closed on exit, whatever runs.

    One at a time in a process: while it is open, the user's modules are importable by name, as in the Worker.

    Args:
        config: the wrangler file; None finds it upwards from the current folder, as `edge dev` does.
        state: a folder for what bindings keep; a new one for each test keeps tests apart.
        environment: one that the wrangler file has; None asks CLOUDFLARE_ENV, "" is the top level.
        vars: put over those of the files.
        replay: as in edge.toml, over what is there: "always" lets go of an instance at every wait, so that code which
            counts on what it kept in memory shows.

    Raises:
        ConfigError: the files cannot be used, or have no such environment, or `replay` is neither; the text lists every
            problem.
        HandlerError: the Worker cannot be loaded; `__cause__` is what its file raised.
        BackendError, UnsupportedError: a binding cannot be opened.
    """
    choice = ConfigChoice(config, environment, vars or {})
    loaded = _on_test(await asyncio.to_thread(_load, choice), replay)
    host = ProjectHost(prepare_state_folder(state / FOLDER_NAME))
    failed = FailedRequests()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.aclose)
        app = await stack.enter_async_context(open_local_app(choice, host, loaded, answer_error=failed.answer))
        engine = HeldEngine(app, host)
        stack.callback(engine.abandon)
        yield ProjectUnderTest(app.environment.env, WorkerUnderTest(app, host, failed), WorkflowsUnderTest(engine))


def _load(choice: ConfigChoice) -> WorkerConfig:
    config = load_config(choice)
    # Commands warn where no environment is declared at all; a test that names one would test something else.
    if choice.environment and choice.environment not in (read_document(config.path).value.get("env") or {}):
        name = config.path.name
        msg = f'{name} has no environment "{choice.environment}": it declares none. Add it under "env", or name none.'
        raise ConfigError(msg)
    return config


def _on_test(config: WorkerConfig, replay: Replay | None) -> WorkerConfig:
    """The config with what is different under test: no power cut is to be survived, so no disk is waited for."""
    if replay not in (None, *get_args(Replay)):
        raise ConfigError(f"`replay` is {' or '.join(map(repr, get_args(Replay)))}, or left out, not {replay!r:.100}.")
    engine = replace(engine_settings(config), durability="process")
    products = {**config.settings.products, SECTION: replace(engine, replay=replay or engine.replay)}
    return config._replace(settings=config.settings._replace(products=products))


class ProjectHost(FakeHost):
    """A FakeHost that begins now, in whole seconds, reaches the internet, and logs to the standard library too."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir, now=float(int(time.time())))
        self.log = _TellingLog()
        self._close_outbound: Callable[[], Awaitable[None]] | None = None

    async def fetch(self, request: Request, *, may_connect: Callable[[str], bool] | None = None) -> Response:
        if self.on_fetch is not None:
            return await self.on_fetch(request)
        from ..hosts import outbound  # noqa: PLC0415 - the HTTP client loads on the first outgoing request

        self._close_outbound = outbound.aclose
        return await outbound.send_request(request, may_connect=may_connect)

    async def aclose(self) -> None:
        await super().aclose()
        if self._close_outbound is not None:
            await self._close_outbound()


class _TellingLog(RecordingLog):
    """Lines in memory, and on the logger "edge"; tracebacks in memory only: whoever asks gets them raised."""

    def debug(self, event: str, **values: Any) -> None:
        super().debug(event, **values)
        self._tell("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        super().info(event, **values)
        self._tell("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        super().warning(event, **values)
        self._tell("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        super().error(event, **values)
        self._tell("error", event, values)

    def _tell(self, level: str, event: str, values: dict[str, Any]) -> None:
        shown = " ".join(f"{key}={value!r}" for key, value in values.items())
        logging.getLogger(LOGGER_NAME).log(_LEVELS[level], "%s %s", event, shown)
