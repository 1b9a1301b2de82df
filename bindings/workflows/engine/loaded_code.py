"""The code that is loaded, as a runner sees it: whether it has what a workflow runs, and which version that is.

A class may be missing for two reasons. A save in the middle of an edit is mended a moment later, so instances wait for
it a while; code that does not even load is never taken for code without the class. When the class stays away, it is
gone for good or was renamed: instances that become ready are parked as paused, with the reason as their error, and
`resume` lets them go on once it is back.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ..errors import ErrorRecord
from ..journal.records import Version
from ..versions import UNKNOWN
from .timers import now_ms

if TYPE_CHECKING:
    from ....runtime.core.host import Host
    from ..definition import Definition, WorkflowWorker
    from ..journal.journal import Journal
    from ..journal.records import Claimed
    from ..versions import Versions

MISSING_SECONDS = 10.0
"""How long instances wait for a class that loaded code does not have."""
TOLD_COUNT_MAX = 100_000
LANGUAGE = "python"


class Readiness(Enum):
    """Of a workflow's code."""

    READY = "it can run"
    LATER = "ask again soon"
    GONE = "its class is missing: park its instances"


class LoadedCode:
    """What a runner asks before it claims an instance."""

    def __init__(self, worker: WorkflowWorker, versions: Versions, journal: Journal, host: Host) -> None:
        self._worker = worker
        self._versions = versions
        self._journal = journal
        self._host = host
        self._missing_since: dict[str, float] = {}
        self._kept: set[str] = set()
        self._told: set[tuple[int, str]] = set()

    def readiness(self, definition: Definition) -> Readiness:
        """Whether instances of a workflow can run now; what is wrong is logged once."""
        code = self._worker.current
        if code is None or code.is_retiring:  # a reload or a shutdown: what left that code must not go back to it
            return Readiness.LATER
        if definition.run is not None or definition.handler in code.worker.handlers:
            self._missing_since.pop(definition.name, None)
            return Readiness.READY
        now = self._host.now()
        if definition.name not in self._missing_since:
            self._missing_since[definition.name] = now
            self._host.log.error(
                "workflow_class_missing",
                workflow=definition.name,
                class_name=definition.class_name,
                remedy=f"export class {definition.class_name}(WorkflowEntrypoint) from main; its instances wait for it",
            )
        is_gone = now - self._missing_since[definition.name] >= MISSING_SECONDS
        return Readiness.GONE if is_gone else Readiness.LATER

    async def keep_version(self, definition: Definition) -> None:
        """Have the journal know the version that is loaded; a definition that brings its own was kept with it."""
        version = self._versions.current(definition)
        if definition.run is not None or version is UNKNOWN or version.id in self._kept:
            return
        name, created_ms = definition.class_name, now_ms(self._host)
        await self._journal.put_version(
            Version(version.id, definition.name, name, LANGUAGE, version.code_hash, created_ms=created_ms)
        )
        self._kept.add(version.id)

    def tell_of_other_code(self, claimed: Claimed, definition: Definition) -> None:
        """Log, once per instance and version, that it goes on under other code than it began under."""
        began = claimed.instance.version
        version = self._versions.current(definition).id
        told = (claimed.lease.number, version)
        if not began or not version or began == version or not claimed.steps or told in self._told:
            return
        if len(self._told) >= TOLD_COUNT_MAX:
            self._told.clear()
        self._told.add(told)
        about = {"workflow": claimed.instance.workflow, "instance": claimed.instance.id}
        self._host.log.info("workflow_code_changed", **about, began_under=began, version=version)


def missing_class(definition: Definition) -> ErrorRecord:
    """Why an instance is parked."""
    message = (
        f'The Worker has no "class {definition.class_name}(WorkflowEntrypoint)" in its main file. '
        f"Put it back, then resume this instance."
    )
    return ErrorRecord("WorkflowClassMissing", message)
