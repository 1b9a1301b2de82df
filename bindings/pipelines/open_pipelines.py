"""Opens what streams need: one partition of each log, its delivery (to NDJSON files by default), the doors."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import TYPE_CHECKING

from ...runtime.core.errors import BackendError
from .._shared.threads import to_its_end
from .._shared.tokens import TokenStore
from ..spec import Opened
from .addresses import is_of_metrics, is_of_otlp
from .admin import PipelinesAdmin
from .catalogue import Catalogue
from .declared import declared_objects
from .ingest.backlog import BacklogWatch
from .ingest.endpoint import StreamEndpoint
from .ingest.events import EventsEndpoint
from .ingest.idempotency import IdempotencyKeys
from .ingest.intake import BoundStream, Intake
from .late_parts import DoorOnDemand, LateRunner
from .observability.intake_rate import IntakeMeter
from .open_streams import LocalStream, OpenStreams, loss_values
from .pipeline_readers import PipelineReaders
from .reconcile import reconcile
from .stream import Stream
from .stream_log.disk import Disk
from .stream_log.drain import OrphanDrain
from .stream_log.exporter import FILES_BYTES_MAX, remove_oldest_files
from .stream_log.segments import DamagedLogError
from .stream_log.stream_folders import StreamFolders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ...runtime.core.host import LocalHost
    from ..spec import Door, Site, Source
    from . import PipelineEntry
    from .objects import StreamObject
    from .observability.metrics_endpoint import MetricsEndpoint
    from .processing.processor import Processor

CHECK_SECONDS = 1.0
"""How often it is asked whether a file is due."""
DRAIN_SECONDS = 15.0
"""How often slot 0 looks for partitions without an owner, besides at its start and at its end."""


@asynccontextmanager
async def open_pipelines(entries: Sequence[PipelineEntry], site: Site) -> AsyncIterator[Opened]:
    """Open each entry's stream; an unknown one is created, unstructured.

    Raises:
        BackendError: another process holds a partition, or the state folder cannot be written.
    """
    host: LocalHost = site.host
    async with AsyncExitStack() as stack:
        # Leased, as the logs that ask it what they must keep: both outlive a config reload.
        catalogue = await stack.enter_async_context(
            host.lease(("pipelines", "catalogue"), lambda: _open_catalogue(host))
        )
        folders = StreamFolders(host.state_dir, PipelineReaders(catalogue))
        admin = PipelinesAdmin(host.state_dir, catalogue, folders)
        if host.process_slot == 0:
            admin.remove_deleted_logs()
        if site.config is not None:
            for warning in reconcile(catalogue, declared_objects(site.config), host.now()):
                host.log.warning("catalogue_differs", text=warning)
        streams = await stack.enter_async_context(OpenStreams(host, folders, catalogue))
        keys = await stack.enter_async_context(
            host.lease(("pipelines", "idempotency"), lambda: IdempotencyKeys(host, folders))
        )
        tokens = stack.enter_context(closing(TokenStore(host.state_dir, now=host.now)))
        processor_of = _processors(site)
        intake = Intake(host, keys, processor_of)
        bound = {
            entry.binding: BoundStream(intake, streams, await streams.bound(entry.stream_id), entry.stream_id)
            for entry in entries
        }
        await streams.resume()
        orphans = Orphans(host, folders)
        try:
            yield Opened(
                env={name: Stream(log) for name, log in bound.items()},
                resources={entry.binding: entry.stream_id for entry in entries},
                sources=[
                    Delivery(host, folders, streams),
                    orphans,
                    BacklogWatch(host, folders, streams),
                    IntakeMeter(host, streams),
                    LateRunner(host, catalogue, lambda: _runner(site, catalogue, folders, processor_of)),
                ],
                doors=[
                    *(door(streams, intake, tokens) for door in (StreamEndpoint, EventsEndpoint)),
                    DoorOnDemand(is_of_otlp, lambda: _otlp(streams, intake, tokens)),
                    DoorOnDemand(
                        is_of_metrics, lambda: stack.enter_context(closing(_metrics(host, admin, streams, keys)))
                    ),
                ],
                admin=admin,
            )
        finally:
            await orphans.drain()


@asynccontextmanager
async def _open_catalogue(host: LocalHost) -> AsyncIterator[Catalogue]:
    with closing(Catalogue(host.state_dir)) as catalogue:
        yield catalogue


def _otlp(streams: OpenStreams, intake: Intake, tokens: TokenStore) -> Door:
    from .ingest.otlp_endpoint import OtlpEndpoint  # noqa: PLC0415 - when it is asked

    return OtlpEndpoint(streams, intake, tokens)


def _metrics(host: LocalHost, admin: PipelinesAdmin, streams: OpenStreams, keys: IdempotencyKeys) -> MetricsEndpoint:
    from .observability.metrics_endpoint import MetricsEndpoint  # noqa: PLC0415 - as above

    return MetricsEndpoint(host, admin, streams, keys)


def _runner(
    site: Site,
    catalogue: Catalogue,
    folders: StreamFolders,
    processor_of: Callable[[StreamObject], Processor | None],
) -> Source:
    from .delivery.runner import INTERVAL_S, SERVE_INTERVAL_S, PipelineRunner  # noqa: PLC0415 - with the SQL parser

    return PipelineRunner(
        site.host,
        catalogue,
        folders,
        config_folder=site.config.path.parent if site.config else site.host.state_dir,
        default_interval_s=INTERVAL_S if site.is_preview and not site.config.is_strict else SERVE_INTERVAL_S,
        processor_of=processor_of,
    )


def _processors(site: Site) -> Callable[[StreamObject], Processor | None]:
    """What finds a stream's `[ingest]` steps; loads nothing when there are none."""
    declared = site.config.settings.products.get("ingest") if site.config else None
    if declared is None:
        return lambda _: None
    from .processing.processor import Processor  # noqa: PLC0415 - for streams with steps

    folder = site.config.path.parent
    return lambda stream: Processor.of(declared, stream.name, folder)


class Delivery:
    """Source: writes records out as files when they are due, keeps the files' total bounded."""

    def __init__(self, host: LocalHost, folders: StreamFolders, streams: OpenStreams) -> None:
        self._host = host
        self._folders = folders
        self._streams = streams
        self._disk = Disk()

    async def run(self) -> None:
        while True:
            await self._host.sleep(CHECK_SECONDS)
            for stream in self._streams.opened():
                if isinstance(stream.log, LocalStream) and stream.log.is_due(self._host.now()):
                    await self._deliver(stream.log)

    async def _deliver(self, stream: LocalStream) -> None:
        try:
            count = await to_its_end(stream.deliver)
            await to_its_end(self._remove_oldest)
        except DamagedLogError as error:
            self._host.log.error("stream_stopped", stream=stream.name, error=str(error))
        except (OSError, BackendError) as error:  # a full disk: the records stay in the log, the next round tries again
            self._host.log.warning("records_not_delivered", stream=stream.name, error=str(error))
        else:
            self._host.log.debug("records_delivered", stream=stream.name, record_count=count)

    def _remove_oldest(self) -> None:
        files = (path for folder in self._folders.all() for path in folder.files.glob("*.ndjson"))
        for path in remove_oldest_files(files, FILES_BYTES_MAX, self._disk):
            self._host.log.warning("oldest_file_removed", file=str(path), files_bytes_max=FILES_BYTES_MAX)


class Orphans:
    """Source of slot 0: delivers what partitions hold that no process owns."""

    def __init__(self, host: LocalHost, folders: StreamFolders) -> None:
        self._host = host
        self._drain = OrphanDrain(folders, Disk(), host.now)

    async def run(self) -> None:
        while True:
            await self.drain()
            await self._host.sleep(DRAIN_SECONDS)

    async def drain(self) -> None:
        """Look once. A sibling that wants a partition meanwhile waits (DRAIN_WAIT_SECONDS)."""
        if self._host.process_slot != 0:
            return
        for orphan in await to_its_end(self._drain.run_once):
            which = {"stream_id": orphan.stream_id, "partition": orphan.partition}
            if orphan.loss:
                self._host.log.error("acknowledged_records_gone", **which, **loss_values(orphan.loss))
            if orphan.failure:
                self._host.log.error("orphan_not_drained", **which, error=str(orphan.failure))
            else:
                self._host.log.info("orphan_drained", **which, record_count=orphan.record_count)
