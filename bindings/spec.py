"""What a binding's folder says of itself, and what opening it yields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from ..runtime.core.request import Request
    from ..runtime.core.response import Response
    from ..wrangler_config.section import ProductSettings
    from ..wrangler_config.worker_config import WorkerConfig


class BindingSpec(NamedTuple):
    """What a folder says of itself; `SPEC` in its `__init__.py`.

    `entry` is a frozen dataclass of the standard library: one entry of the wrangler section, checked by
    `wrangler_config` (see `wrangler_config/section.py` for what it may declare). It has a property `env_name`.
    """

    title: str
    """As wrangler's table of bindings prints it: "KV Namespace"."""
    entry: type[Any]
    settings: Callable[[], ProductSettings] | None = None
    """What sections of edge.toml the binding brings; called only where there is such a file."""
    uses: tuple[str, ...] = ()
    """Sections whose opened `admin` objects this one needs; opened first and given as `Site.peers`."""


class Site(NamedTuple):
    """What a binding is opened with. Never grows with products: a product's need goes into its own port."""

    host: Any
    """Host; LocalHost in local.py, AwsHost in aws.py."""
    config: WorkerConfig
    worker: WorkerCaller | None = None
    """The Worker as sources see it; None where nothing may call it (the CLI)."""
    peers: Mapping[str, Any] = {}
    is_preview: bool = False
    """`edge dev`: what is slow for the sake of others (a file every five minutes) is quick."""


class WorkerCaller(Protocol):
    """The running Worker, whichever generation is current, for sources that deliver events to it."""

    async def call(self, handler: str, event: object) -> object:
        """Call `scheduled`, `queue` ... with env and ctx; its `waitUntil` work is awaited before this returns."""


class Door(Protocol):
    """An extra Fetcher for the gateway, as a stream's ingest endpoint."""

    def claims(self, host: str, path: str) -> bool: ...

    async def fetch(self, request: Request) -> Response: ...


class Source(Protocol):
    """Background work of a binding; started after the env was handed to the worker, stopped before anything closes."""

    async def run(self) -> None: ...


class EventClaim(Protocol):
    """A platform event a binding takes care of (on Lambda: an SQS batch, a Firehose transformation)."""

    def claims(self, event: Mapping[str, Any]) -> bool: ...

    async def handle(self, event: Mapping[str, Any], worker: WorkerCaller) -> Any: ...


class Opened(NamedTuple):
    """What `open_binding(entries, site)` yields."""

    env: Mapping[str, Any]
    """Names for `env`."""
    resources: Mapping[str, str] = {}
    """Binding name -> what it is bound to, for the table at start: {"STREAM": "flights"}."""
    sources: Sequence[Source] = ()
    doors: Sequence[Door] = ()
    events: Sequence[EventClaim] = ()
    admin: Any = None
    """The object the REST API, the CLI and peers work on."""


class OpenBinding(Protocol):
    """`open_binding` of a `local.py` or `aws.py`. Vars are not bindings; entries are this section's, in file order."""

    def __call__(self, entries: Sequence[Any], site: Site) -> AbstractAsyncContextManager[Opened]: ...
