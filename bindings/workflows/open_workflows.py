"""Opens everything that workflows need: the journal in SQLite, a runner over it, the service, and what they share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from ...runtime.core.errors import UnsupportedError
from ..spec import Opened
from .admission import Admission
from .definition import definition_of
from .engine.doorbell import Doorbells
from .engine.runner import WorkflowRunner
from .engine_settings import engine_settings
from .journal.records import Terminator
from .journal.sqlite_journal import open_journal
from .local import DOORBELLS_NAME, FOLDER_NAME, JOURNAL_FILE
from .manifests.applied import AppliedManifests
from .registry import Registry
from .schedules import Missed, WorkflowSchedules
from .service import WorkflowService
from .workflow import Workflow, WorkflowTools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ...runtime.core.host import LocalHost
    from ...wrangler_config.worker_config import WorkerConfig
    from ..spec import Site, Source
    from . import WorkflowEntry
    from .definition import WorkflowWorker


@asynccontextmanager
async def open_workflows(entries: Sequence[WorkflowEntry], site: Site) -> AsyncIterator[Opened]:
    """Open the journal; it stays open across config reloads, and instances go on after them.

    Raises:
        UnsupportedError: a workflow whose class is in another Worker.
        ManifestError: a manifest that edge.toml names cannot be used.
    """
    for entry in entries:
        if entry.script_name not in {None, site.config.name}:
            msg = (
                f'workflows "{entry.name}" names script_name "{entry.script_name}", another Worker, which Edge cannot '
                f"reach yet. Move the class into this Worker and leave script_name out."
            )
            raise UnsupportedError(msg)
    host: LocalHost = site.host
    folder, path = host.state_dir / FOLDER_NAME, host.state_dir / JOURNAL_FILE
    # Two bindings may name one workflow.
    made = {entry.name: definition_of(entry, site.config, is_dev=site.is_preview) for entry in entries}
    definitions = list(made.values())
    worker = cast("WorkflowWorker", site.worker)
    settings = engine_settings(site.config)
    key = ("workflows", path, settings.durability)
    doorbells = Doorbells(folder / DOORBELLS_NAME)
    async with host.lease(key, lambda: open_journal(path, settings.durability)) as journal:
        runner = WorkflowRunner(
            journal,
            definitions,
            worker,
            host,
            doorbells,
            crash_count_max=settings.crash_count_max,
            resident_count_max=settings.resident_count_max,
        )
        tools = WorkflowTools(journal, host, runner.tell, runner.versions.current, Admission(journal, host))

        def on_change() -> None:
            doorbells.ring_all()  # this process's runner, too
            schedules.look()

        registry = Registry(
            journal,
            host,
            site.config,
            worker,
            runner.definitions,
            manifests=AppliedManifests(tools, runner.definitions, site.config),
            is_dev=site.is_preview,
            on_change=on_change,
        )
        schedules = WorkflowSchedules(tools, registry, missed=Missed(settings.missed_schedules))
        runner.on_ring = registry.look
        await registry.declare(entries)
        bound = {entry.env_name: entry.name for entry in entries} | _bound_manifests(site.config)
        live = runner.definitions
        service = WorkflowService(tools, registry, Terminator.CLI if site.worker is None else Terminator.API)
        is_server = site.worker is not None
        if is_server:
            await service.terminations.resume()
        try:
            yield Opened(
                env={env_name: Workflow(live[name], tools, live=live) for env_name, name in bound.items()},
                resources=bound,
                sources=[runner, registry, schedules, service.terminations, *_grpc(site, service)] if is_server else [],
                admin=service,
            )
        finally:
            await service.aclose()


def _bound_manifests(config: WorkerConfig) -> dict[str, str]:
    """Name in `env` -> workflow, of the manifests of edge.toml."""
    settings = config.settings.products.get("workflows", {})
    return {one.binding: name for name, one in settings.items() if one.manifest is not None and one.binding is not None}


def _grpc(site: Site, service: WorkflowService) -> list[Source]:
    """The server that `[grpc]` of edge.toml asks for; of several processes the first one has it.

    Raises:
        UnsupportedError: grpcio is not installed.
    """
    settings = site.config.settings.products.get("grpc")
    if settings is None or settings.port is None or site.host.process_slot != 0:
        return []
    try:
        from .rpc.grpc_server import GrpcServer  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "[grpc] in edge.toml needs grpcio: pip install 'edge-workers[grpc]', or remove the section."
        raise UnsupportedError(msg) from error
    return [GrpcServer(service, site.host, settings.port)]
