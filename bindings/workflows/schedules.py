"""Starts instances when the schedules of their workflows say so, in UTC.

Theory of operation. The journal's rows say which schedules there are, and its record of taken times decides who starts
an instance: taking a time and making its instance is one commit, so each time starts one instance at most, whichever
process looks first and whatever is killed when. What is in memory is only how far this process has looked.

- Nobody looked for a while (no process ran, the machine slept): those times were missed. The latest is made up for, or
  none, or all, as configured. A time is missed when it is seen more than a minute late.
- A schedule counts from when its workflow was last configured: one that is added fires for no time before that.
- The clock jumps ahead: what lies between is missed, as above. It jumps back: the times that come again are taken
  already; those that are not, fire.
Source: spec "Workflows", 1 and 8.4.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from ...runtime.core.errors import BackendError
from .._shared.cron import CronError, parse_cron
from . import SCHEDULES_MAX, values
from .engine.timers import Timers
from .journal.records import Fire, NewInstance, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .._shared.cron import Cron
    from .journal.records import WorkflowRow
    from .registry import Registry
    from .workflow import WorkflowTools

LOOK_MS = 30_000
"""The wall clock is read at least this often."""
RETRY_MS = 1_000
LATE_MS = 60_000
MISSED_COUNT_MAX = 1_000
"""How many missed times of one schedule are made up for: the newest."""


class Missed(StrEnum):
    """Which of the times that nobody looked at start an instance after all."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class WorkflowSchedules:
    """Source: fires the schedules of one Worker's workflows."""

    def __init__(self, tools: WorkflowTools, registry: Registry, *, missed: Missed = Missed.LATEST) -> None:
        self._tools = tools
        self._registry = registry
        self._missed = missed
        self._seen_ms: dict[tuple[str, str], int] = {}
        self._bell = asyncio.Event()
        self._is_over_limit = False
        self.next_fire_ms: int | None = None
        """When one fires next, as of the last look."""

    def look(self) -> None:
        """Schedules may have changed."""
        self._bell.set()

    async def run(self) -> None:
        timers = Timers(self._tools.host)
        try:
            while True:
                self._bell.clear()
                try:
                    look_ms = await self._fire_due()
                except BackendError as error:
                    self._tools.host.log.error("workflow_schedules_not_fired", exc_info=error)
                    look_ms = self._tools.now_ms() + RETRY_MS
                timer = timers.at(look_ms / 1000, self._bell.set)
                await self._bell.wait()
                timer.cancel()
        finally:
            await timers.aclose()

    async def _fire_due(self) -> int:
        """Fire what is due; when to look again."""
        now_ms = self._tools.now_ms()
        next_ms: list[int] = []
        seen_ms: dict[tuple[str, str], int] = {}
        for row, cron in self._limited(await self._registry.rows()):
            key = row.name, cron.text
            since_ms = self._seen_ms.get(key)
            if since_ms is None:
                fired_ms = await self._tools.journal.last_fire_ms(*key)
                since_ms = max(row.modified_ms, fired_ms or 0)
            for at_ms in due_times(cron, min(since_ms, now_ms), now_ms, self._missed):
                await self._fire(row, Fire(cron.text, at_ms))
            self._seen_ms[key] = seen_ms[key] = now_ms
            next_ms += [at_ms for at_ms in [cron.next_ms(now_ms)] if at_ms is not None]
        self._seen_ms = seen_ms
        self.next_fire_ms = min(next_ms, default=None)
        return min([now_ms + LOOK_MS, *next_ms])

    def _limited(self, rows: Iterable[WorkflowRow]) -> list[tuple[WorkflowRow, Cron]]:
        """The schedules that an account may have."""
        own = (row for row in rows if row.script_name == self._registry.script_name)
        found = [(row, parse_cron(text)) for row in sorted(own, key=lambda row: row.name) for text in row.schedules]
        if len(found) > SCHEDULES_MAX and not self._is_over_limit:
            self._tools.host.log.warning("workflow_schedules_over_limit", count=len(found), count_max=SCHEDULES_MAX)
        self._is_over_limit = len(found) > SCHEDULES_MAX
        return found[:SCHEDULES_MAX]

    async def _fire(self, row: WorkflowRow, fire: Fire) -> None:
        definition = self._registry.definition_of(row)
        new = NewInstance(
            f"{fire.cron}-{fire.at_ms}",
            values.encode({}),
            definition.success_retention_ms,
            definition.error_retention_ms,
            self._tools.version_of(definition).id,
            Trigger.CRON,
            fire,
        )
        now_ms = self._tools.now_ms()
        if await self._tools.journal.fire(row.name, fire.cron, fire.at_ms, new, now_ms):
            self._tools.tell(None)
            if now_ms - fire.at_ms > LATE_MS:
                about = {"workflow": row.name, "instance": new.id, "late_s": (now_ms - fire.at_ms) // 1000}
                self._tools.host.log.info("workflow_schedule_made_up_for", **about)


def good_schedules(schedules: Iterable[str]) -> tuple[str, ...]:
    """Those that can fire, each once and with single spaces; the config has warned of the others."""
    return tuple(dict.fromkeys(_good(schedules)))


def due_times(cron: Cron, since_ms: int, now_ms: int, missed: Missed) -> list[int]:
    """The times behind `since_ms`, up to `now_ms`, that are to be fired, oldest first."""
    if missed is Missed.NONE:
        since_ms = max(since_ms, now_ms - LATE_MS)
    count_max = 1 if missed is Missed.LATEST else MISSED_COUNT_MAX
    times: list[int] = []
    at_ms = cron.latest_ms(now_ms)
    while at_ms is not None and at_ms > since_ms and len(times) < count_max:
        times.append(at_ms)
        at_ms = cron.latest_ms(at_ms - 1)
    return times[::-1]


def _good(schedules: Iterable[str]) -> Iterator[str]:
    for text in schedules:
        try:
            yield parse_cron(text).text
        except CronError:
            continue
