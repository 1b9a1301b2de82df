"""WorkerConfig + platform -> the open bindings of one Worker, with `env` on top.

Order: bindings open on one exit stack (a section after those it uses), `env` is handed to the worker, sources start.
Closing goes in reverse, so no source runs while a binding closes.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..bindings._shared.sources import keep_running
from ..bindings.registry import has_api, opener_of, sections, spec_of
from ..bindings.spec import Site
from .core.env import Env
from .core.js_proxy import js_value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from ..bindings.spec import Door, EventClaim, Opened, Source, WorkerCaller
    from ..wrangler_config.worker_config import WorkerConfig
    from .core.host import Host

VARIABLE = "Environment Variable"
"""Kind of a row whose resource is a value."""


class BindingRow(NamedTuple):
    """One line of the table printed at start: `env.NAME (resource)  kind`."""

    name: str
    resource: str
    kind: str


class Environment:
    """The open bindings of one Worker."""

    def __init__(self, env: Env, host: Host, rows: tuple[BindingRow, ...], opened: Mapping[str, Opened]) -> None:
        self.env = env
        self.host = host
        self.rows = rows
        self.doors: tuple[Door, ...] = _joined(one.doors for one in opened.values())
        self.events: tuple[EventClaim, ...] = _joined(one.events for one in opened.values())
        self.admins = {section: one.admin for section, one in opened.items()}
        self.sources: tuple[Source, ...] = _joined(one.sources for one in opened.values())
        self._running: list[asyncio.Task[None]] = []

    def start_sources(self) -> None:
        """Start background work; call when the worker can be called."""
        assert not self._running, "sources are started once"
        self._running = [
            self.host.spawn(keep_running(source, self.host), name=type(source).__name__) for source in self.sources
        ]

    async def stop_sources(self) -> None:
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def open_environment(
    config: WorkerConfig,
    platform: str,
    host: Host,
    *,
    worker: WorkerCaller | None = None,
    is_preview: bool = False,
    with_apis: bool = False,
) -> AsyncIterator[Environment]:
    """Open every binding of `config` on a platform ("local", "aws").

    Args:
        is_preview: use each entry's `as_preview()`, as `edge dev` does (`preview_id` of a KV namespace).
        with_apis: open each section that has routes of the REST API, also where the config binds nothing of it.

    Raises:
        UnsupportedError: a section has no backend for this platform.
        BackendError: a backend could not be opened; what was open is closed again.
    """
    async with AsyncExitStack() as stack:
        opened: dict[str, Opened] = {}
        rows: list[BindingRow] = []
        for section in _in_order_of_use(config, with_apis=with_apis):
            spec = spec_of(section)
            entries = config.bindings.get(section, ())
            if is_preview:
                entries = tuple(e.as_preview() if hasattr(e, "as_preview") else e for e in entries)
            peers = {name: opened[name].admin for name in spec.uses if name in opened}
            site = Site(host, config, worker, peers, is_preview)
            one = opened[section] = await stack.enter_async_context(opener_of(section, platform)(entries, site))
            rows += [BindingRow(name, one.resources.get(name, ""), spec.title) for name in one.env]
        values = {name: js_value(value) for name, value in config.vars.items()}
        for one in opened.values():
            values.update(one.env)
        environment = Environment(Env(values, config.unsupported), host, (*rows, *_var_rows(config)), opened)
        try:
            yield environment
        finally:
            await environment.stop_sources()


def _joined(parts: Any) -> tuple[Any, ...]:
    return tuple(item for part in parts for item in part)


def _in_order_of_use(config: WorkerConfig, *, with_apis: bool) -> Sequence[str]:
    """The sections to open, each after the ones its SPEC.uses."""
    wanted = {section: None for section, entries in config.bindings.items() if entries}
    if with_apis:
        wanted |= {section: None for section in sections() if has_api(section)}
    ordered: list[str] = []

    def visit(section: str) -> None:
        if section not in ordered:
            for used in spec_of(section).uses:
                if used in config.bindings:
                    visit(used)
            ordered.append(section)

    for section in wanted:
        visit(section)
    return ordered


def _var_rows(config: WorkerConfig) -> list[BindingRow]:
    return [
        BindingRow(name, "(hidden)" if name in config.secret_names else repr(value)[:40], VARIABLE)
        for name, value in config.vars.items()
    ]
