"""The events of an instance as they happen: first those that were, then those that come, until it ends.

    async for event in handle.subscribe({"cursor": 7, "filter": ["step_completed", "workflow_completed"]}): ...

Source: @cloudflare/workers-types 5.20261117.1, `WorkflowInstanceEvent`; spec "Workflows", 5.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ...runtime.core.errors import BindingError
from .child_events import ChildEvents
from .describe import step_name
from .journal.history import FINAL, TYPES

if TYPE_CHECKING:
    from collections.abc import Generator

    from ...runtime.core.host import Host
    from .journal.history import HistoryEvent
    from .journal.journal import Journal

CURSOR_MAX = 2**53
"""No instance has so many events."""
PAGE_COUNT = 256
"""Events read at once, fewer where they are large: a subscriber that is slow holds no more in memory."""


class Wanted(NamedTuple):
    """What a subscriber asked for: events behind `cursor`, of some types (None: of all)."""

    cursor: int
    types: frozenset[str] | None


def read_options(options: object, named: Mapping[str, object]) -> Wanted:
    """Check `{cursor?, filter?}`, given as an object, as keywords, or both.

    Raises:
        BindingError: a negative cursor, an unknown type, or another key.
    """
    if not isinstance(options, Mapping) or not {*options, *named} <= {"cursor", "filter"}:
        _refuse()
    given = {**options, **named}
    cursor, types = given.get("cursor"), given.get("filter")
    cursor = 0 if cursor is None else cursor
    if isinstance(cursor, bool) or not isinstance(cursor, int) or cursor < 0:
        _refuse()
    cursor = min(cursor, CURSOR_MAX)
    if types is None:
        return Wanted(cursor, None)
    if not isinstance(types, (list, tuple)) or not all(isinstance(one, str) and one in TYPES for one in types):
        _refuse()
    return Wanted(cursor, frozenset(types))


class Ending:
    """How a subscription ended; apart from it, so that one that is dropped is not held by its own events."""

    is_deleted = False


class Subscription(AsyncGenerator[dict[str, Any], None]):
    """Events of one instance, each `{instanceId, eventId, timestamp, type, ...}`; close it with `aclose`.

    Awaiting it gives itself, as Cloudflare's `await instance.subscribe()` does. One that is dropped is closed.
    """

    def __init__(self, journal: Journal, host: Host, address: tuple[str, str], wanted: Wanted) -> None:
        """Of the instance at `address` (workflow, id)."""
        self._ending = Ending()
        self._events = events_of(journal, host, address, wanted, self._ending)

    @property
    def is_deleted(self) -> bool:
        """Whether it ended because its instance was deleted."""
        return self._ending.is_deleted

    def __await__(self) -> Generator[Any, None, Subscription]:
        yield from ()
        return self

    async def asend(self, value: None) -> dict[str, Any]:
        return await self._events.asend(value)

    async def athrow(self, *error: Any) -> dict[str, Any]:
        return await self._events.athrow(*error)

    async def aclose(self) -> None:
        await self._events.aclose()


async def events_of(
    journal: Journal, host: Host, address: tuple[str, str], wanted: Wanted, ending: Ending
) -> AsyncGenerator[dict[str, Any], None]:
    """The events of an instance, until it ends or is deleted.

    A cursor that it has not reached is one of an earlier instance with its id: its events come from the beginning.

    Raises:
        BindingError: there is none.
    """
    number = await journal.number_of(*address)
    if number is None:
        raise BindingError("instance.not_found")
    cursor = await _reached(wanted.cursor, number, journal)
    children = ChildEvents(journal, address)
    if cursor:
        await children.recall()
    with journal.listen(number, host) as changed:
        while True:
            changed.clear()
            page = await journal.history_of(number, after=cursor, count_max=PAGE_COUNT)
            if page is None:
                ending.is_deleted = True
                return
            for event in page.events:
                cursor = event.number
                told = await children.told(event)
                if told is not None and (wanted.types is None or told.type in wanted.types):
                    yield shown_event(address[1], told)
                if event.type in FINAL:
                    return
            if page.has_more:
                continue
            if page.is_over:  # the cursor was at the end
                return
            await changed.wait()


async def _reached(cursor: int, number: int, journal: Journal) -> int:
    """The cursor; 0 where the instance has no such event."""
    seen = await journal.history_of(number, after=cursor - 1, count_max=1) if cursor else None
    return cursor if seen is not None and seen.events else 0


def shown_event(instance_id: str, event: HistoryEvent) -> dict[str, Any]:
    """An event as a subscriber gets it; `timestamp` is in Unix milliseconds."""
    shown: dict[str, Any] = {
        "instanceId": instance_id,
        "eventId": event.number,
        "timestamp": event.at_ms,
        "type": event.type,
    }
    if event.step is not None:
        shown["stepName"] = step_name(event.step)
    if event.attempt is not None:
        shown["attempt"] = event.attempt
    return {**shown, **event.data}


def _refuse() -> NoReturn:
    raise BindingError("Invalid Workflow subscription options")
