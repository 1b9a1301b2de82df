"""The one place that joins a config, a host, bindings, the user's Worker and the gateway.

An adapter or a command asks for what it serves: `open_local_app` (edge dev, edge serve, ASGI) or `open_aws_app`
(Lambda). Both yield an App: a Fetcher, plus what a doorway for events and a reload need.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..bindings.registry import sections, spec_of
from ..wrangler_config.find import find_environment
from ..wrangler_config.plan import plan_path, thaw
from .core.context import Context, PendingWork, current_invocation
from .core.errors import HandlerError
from .environment import open_environment
from .gateway import Gateway
from .live_worker import Generation, LiveWorker
from .loader import Loader
from .plain_answer import plain_answer
from .rest.door import RestDoor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from ..bindings._shared.tokens import TokenStore
    from ..bindings.spec import EventClaim
    from ..wrangler_config.section import Problem, ProductSettings, ReadProducts
    from ..wrangler_config.worker_config import WorkerConfig
    from .core.host import Host, LocalHost
    from .core.request import Request
    from .core.response import Response
    from .environment import BindingRow, Environment
    from .rest.app import RestApi


class ConfigChoice(NamedTuple):
    """Which config to read, and what the command line puts over it."""

    path: Path | None = None
    environment: str | None = None
    var_overrides: Mapping[str, str] = {}
    env_files: Sequence[Path] = ()
    is_strict: bool = False
    """`--compat strict`: what works on Edge only is refused."""
    hosts: Sequence[str] = ()
    """`--host-allow`: added to the hosts that the config allows."""


def load_config(
    choice: ConfigChoice, *, further: Callable[[ReadProducts], Sequence[Problem]] | None = None
) -> WorkerConfig:
    """Read and check the config; `further` as in `load`: what a start has no time to look for.

    Raises:
        ConfigError: no config, or errors in it; the text lists every one.
    """
    from ..wrangler_config.load import load  # noqa: PLC0415 - a Lambda with a frozen plan never needs it

    config = load(
        choice.path,
        environment=choice.environment,
        sections=_entry_types(),
        products=product_settings,
        further=further,
        var_overrides=choice.var_overrides,
        env_files=choice.env_files,
        is_strict=choice.is_strict,
    )
    server = config.settings.server
    server = server._replace(allowed_hosts=(*server.allowed_hosts, *choice.hosts))
    return config._replace(settings=config.settings._replace(server=server))


class _Stage(NamedTuple):
    """An open environment and the config it was opened for."""

    config: WorkerConfig
    environment: Environment
    stack: AsyncExitStack


def _entry_types() -> dict[str, type[Any]]:
    return {name: spec_of(name).entry for name in sections()}


def product_settings() -> list[ProductSettings]:
    """The sections of edge.toml that bindings bring."""
    specs = (spec_of(name) for name in sections())
    return [spec.settings() for spec in specs if spec.settings is not None]


class App:
    """A Worker with its environment behind the gateway."""

    def __init__(
        self,
        choice: ConfigChoice,
        host: Host,
        *,
        platform: str,
        is_dev: bool,
        answer_error: Callable[[Request, BaseException], Response],
    ) -> None:
        self.host = host
        self.live = LiveWorker(host, answer_error)
        self.gateway = Gateway(self.live)
        self.on_api_used: Callable[[], None] = lambda: None
        """Called once, at the first call of the REST API."""
        self.on_config_changed: Callable[[WorkerConfig], None] = lambda _config: None
        """Called when a reload has taken in another config."""
        self._choice = choice
        self._platform = platform
        self._is_dev = is_dev
        self._has_api = platform == "local"
        self._loader = Loader(is_fresh=is_dev)
        self._stage: _Stage | None = None
        self._tokens: TokenStore | None = None
        """Of the API. They outlive a reload: whoever still listens on a socket of the old environment is checked on."""
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._is_drained = False

    @property
    def config(self) -> WorkerConfig:
        return self._open_stage.config

    @property
    def environment(self) -> Environment:
        """The open bindings."""
        return self._open_stage.environment

    @property
    def events(self) -> Sequence[EventClaim]:
        """Platform events that bindings take care of."""
        return self._open_stage.environment.events

    @property
    def admins(self) -> Mapping[str, Any]:
        """Section -> the object its REST routes and commands work on."""
        return self._open_stage.environment.admins

    @property
    def rows(self) -> tuple[BindingRow, ...]:
        """The table of bindings."""
        return self._open_stage.environment.rows

    @property
    def handlers(self) -> tuple[str, ...]:
        """Events the current Worker has a handler for; empty while none is loaded."""
        return self.live.current.worker.handlers if self.live.current else ()

    @property
    def pending(self) -> PendingWork:
        """The current generation's `waitUntil` work, which a Lambda invocation waits for."""
        assert self.live.current is not None, "a Worker is loaded"
        return self.live.current.pending

    def watched_files(self) -> set[Path]:
        """Files whose change calls for a reload: the user's loaded modules and everything the config was read from."""
        config = self.config
        return {*self._loader.files(), *config.files, config.path, *([config.main] if config.main else [])}

    async def fetch(self, request: Request) -> Response:
        """Answer a request; never raises but for cancellation."""
        return await self.gateway.fetch(request)

    async def call(self, handler: str, event: object) -> Any:
        """Deliver any other event to the Worker's handler of that name; raises what the handler raises."""
        return await self.live.call(handler, event)

    async def open(self, config: WorkerConfig) -> None:
        """Open the bindings, load the Worker, start background work.

        In dev a Worker that cannot be loaded is kept as `live.failure`, answered to every request until it is mended.

        Raises:
            HandlerError: the Worker cannot be loaded (not in dev).
            BackendError, UnsupportedError: a binding cannot be opened.
        """
        stage = await self._open_environment(config)
        try:
            self.live.swap(self._load_generation(stage))
        except HandlerError as error:
            if not self._is_dev:
                await stage.stack.aclose()
                self._loader.close()
                raise
            self.live.failure = error
        self._enter(stage)

    async def reload(self, changed: set[Path]) -> None:
        """Load what changed: the user's modules, and the config with its bindings when anything but Python did.

        The old generation finishes its requests and its pending work in the background.

        Raises:
            ConfigError, HandlerError, BackendError, UnsupportedError: the new version cannot run. The last good one
                keeps running.
        """
        async with self._reloading:
            if all(path.suffix == ".py" for path in changed):
                self._retire(self.live.swap(self._load_generation(self._open_stage)))
            else:
                await self._reload_config()

    async def drain(self, seconds: float) -> bool:
        """Let requests and `waitUntil` work finish, at most `seconds`; False when work had to be cut.

        Once: what was cut is not waited for again.
        """
        if self._is_drained:
            return True
        self._is_drained = True
        self._retire(self.live.current)
        if not self._retiring:
            return True
        _, unfinished = await asyncio.wait(self._retiring, timeout=seconds)
        for task in unfinished:
            task.cancel()
        return not unfinished

    async def close(self) -> None:
        """Stop background work and close the bindings."""
        if self._stage is not None:
            await self._stage.environment.stop_sources()
            await self._stage.stack.aclose()
            self._stage = None
        if self._tokens is not None:
            self._tokens.close()
        self._loader.close()

    @property
    def _open_stage(self) -> _Stage:
        assert self._stage is not None, "the app is open"
        return self._stage

    async def _open_environment(self, config: WorkerConfig) -> _Stage:
        stack = AsyncExitStack()
        environment = await stack.enter_async_context(
            open_environment(
                config,
                self._platform,
                self.host,
                worker=self.live,
                is_preview=self._is_dev,
                with_apis=self._has_api,
            )
        )
        return _Stage(config, environment, stack)

    def _load_generation(self, stage: _Stage) -> Generation:
        """Import the user's modules; `workers.env` works while they run."""
        generation = Generation(stage.environment.env, self.host, is_strict=stage.config.is_strict)
        current_invocation.set(generation.invoked_with(Context(generation.pending)))
        generation.worker = self._loader.load(stage.config)
        return generation

    def _enter(self, stage: _Stage) -> None:
        self._stage = stage
        self.gateway.doors = stage.environment.doors
        if self._has_api:
            self.gateway.api = RestDoor(lambda: self._open_api(stage))
        stage.environment.start_sources()

    def _open_api(self, stage: _Stage) -> RestApi:
        from ..bindings._shared.tokens import TokenStore  # noqa: PLC0415 - loaded by who calls it
        from .rest.app import RestApi  # noqa: PLC0415 - as above

        called, self.on_api_used = self.on_api_used, lambda: None
        called()
        host = cast("LocalHost", self.host)
        if self._tokens is None:
            self._tokens = TokenStore(host.state_dir, now=host.now)
        return RestApi(host, self._tokens, stage.config.account_id, stage.environment.admins, has_explorer=self._is_dev)

    async def _reload_config(self) -> None:
        """Make before break: the new environment opens beside the old one, so shared backends never close."""
        old = self._open_stage
        config = await asyncio.to_thread(load_config, self._choice)
        await old.environment.stop_sources()
        new: _Stage | None = None
        try:
            new = await self._open_environment(config)
            generation = self._load_generation(new)
        except BaseException:
            if new is not None:
                await new.stack.aclose()
            old.environment.start_sources()
            raise
        self._retire(self.live.swap(generation), stage=old)
        self._enter(new)
        self.on_config_changed(config)

    def _retire(self, generation: Generation | None, *, stage: _Stage | None = None) -> None:
        """Let an old generation finish, then close its environment, once every earlier one that shares it is done."""
        earlier = tuple(self._retiring)

        async def finish() -> None:
            if generation is not None:
                await generation.drain()
            if stage is not None:
                await asyncio.gather(*earlier, return_exceptions=True)
                await stage.stack.aclose()

        task = self.host.spawn(finish(), name="retire_generation")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


@asynccontextmanager
async def open_local_app(
    choice: ConfigChoice,
    host: Host,
    config: WorkerConfig,
    *,
    is_dev: bool = False,
    answer_error: Callable[[Request, BaseException], Response] | None = None,
) -> AsyncIterator[App]:
    """An open App on this machine; on exit it drains for `limits.drain_seconds` and closes."""
    app = App(choice, host, platform="local", is_dev=is_dev, answer_error=answer_error or plain_answer)
    await app.open(config)
    try:
        yield app
    finally:
        if not await app.drain(app.config.settings.limits.drain_seconds):
            host.log.warning("work_cut_at_shutdown", after_s=app.config.settings.limits.drain_seconds)
        await app.close()


@asynccontextmanager
async def open_aws_app(path: Path) -> AsyncIterator[App]:
    """An open App in a Lambda function, on AWS bindings. The environment is CLOUDFLARE_ENV, as wrangler has it.

    Raises:
        EdgeError: the config, a binding or the Worker cannot be used.
    """
    from .hosts.aws import LambdaMachine  # noqa: PLC0415 - only where Lambda is
    from .hosts.json_log import JsonLog  # noqa: PLC0415 - only where Lambda is

    choice = ConfigChoice(path)
    plan = plan_path(path, find_environment(choice.environment))
    config = thaw(plan, lambda section: spec_of(section).entry) or load_config(choice)
    log = JsonLog()
    log.hide(str(config.vars[name]) for name in config.secret_names if name in config.vars)
    host = LambdaMachine(log, region=config.settings.aws.region)
    app = App(choice, host, platform="aws", is_dev=False, answer_error=plain_answer)
    try:
        await app.open(config)
        yield app
    finally:
        await app.close()
        await host.aclose()
