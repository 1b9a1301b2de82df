"""Keeping an Iceberg table small: old snapshots go, with the files that only they name.

pyiceberg lets go of snapshots and removes no file. Only tables that this Edge made are tended.
Source: Iceberg docs, "Maintenance"; spec "Pipelines" 5.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .iceberg_errors import as_sink_errors
from .sink import SinkMisconfiguredError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from .iceberg_place import TablePlace

SNAPSHOT_COUNT_MAX = 100
"""Also when they are young: every commit reads and writes the list of all of them. Measured on two busy cores: 48 ms a
publish with 20 of them, 100 ms with 80, 205 ms with 240."""
EXPIRE_COUNT_MIN = 20
"""Snapshots are let go of by that many, as doing so is a commit of its own."""


def expire_snapshots(table: Table, place: TablePlace, host: Any) -> None:
    """Let go of snapshots past their age. Never fails: the next publish tries again, and the log says why."""
    try:
        with as_sink_errors(place):
            _expire(table, older_than_ms=int((host.now() - place.snapshot_max_age_s) * 1000))
    except (SinkUnavailableError, SinkMisconfiguredError) as error:
        host.log.warning("iceberg_snapshots_kept", table=str(place), reason=str(error))


def _expire(table: Table, older_than_ms: int) -> None:
    named = {ref.snapshot_id for ref in table.metadata.refs.values()}
    free = sorted((s for s in table.metadata.snapshots if s.snapshot_id not in named), key=lambda s: s.timestamp_ms)
    surplus_count = len(table.metadata.snapshots) - SNAPSHOT_COUNT_MAX
    expired = [s for at, s in enumerate(free) if s.timestamp_ms < older_than_ms or at < surplus_count]
    if len(expired) < EXPIRE_COUNT_MIN:
        return
    gone = {snapshot.snapshot_id for snapshot in expired}
    kept = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id not in gone]
    needless = files_of(table, expired) - files_of(table, kept)
    table.maintenance.expire_snapshots().by_ids(sorted(gone)).commit()
    for location in needless:  # only now: a crash before leaves them to remove_orphans, never a snapshot without files
        table.io.delete(location)


def files_of(table: Table, snapshots: Iterable[Snapshot]) -> set[str]:
    """Every file the snapshots need: manifest lists, manifests, data and delete files."""
    found: set[str] = set()
    for snapshot in snapshots:
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in found:
                found.add(manifest.manifest_path)
                found.update(entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))
    return found
