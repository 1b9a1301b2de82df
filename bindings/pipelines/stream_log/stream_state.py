"""How one stream stands: what came in, how fast, what waits for each INSERT, what died. From any process; blocks."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..delivery.counts import minute_counts
from ..delivery.facts import delivery_facts
from ..delivery.status import DeliveryStatus
from ..observability.intake_rate import intake_rate
from ..observability.user_errors import dead_counts
from .stream_folders import summary_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..admin import PipelinesAdmin
    from ..delivery.counts import MinuteCount
    from ..delivery.status import Backlog
    from ..delivery.store import InsertKey, InsertState
    from ..observability.intake_rate import IntakeRate
    from ..observability.user_errors import DeadCount
    from .stream_folders import StreamSummary

DELIVERED_MINUTES = 5
"""A rate of delivery is over so many minutes, the current one included: rolls come every few seconds to minutes."""
WINDOW_S_MIN = 1.0
"""Of a pipeline that was made just now."""


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """One INSERT that reads the stream."""

    key: InsertKey
    pipeline_name: str
    """Empty: the check of the schema."""
    sink_name: str
    failure: str
    """Why it does not deliver; empty while it does."""
    backlog: Backlog
    rows_per_second: float
    """Written to the sink in the last `window_s`."""
    window_s: float
    """DELIVERED_MINUTES at most, and not longer than there is a pipeline."""


@dataclass(frozen=True, slots=True)
class StreamState:
    summary: StreamSummary | None
    """None before anybody has sent to it."""
    intake: IntakeRate
    dead: Sequence[DeadCount]
    deliveries: Sequence[DeliveryState]


def load_stream_state(admin: PipelinesAdmin, stream_id: str, now: float) -> StreamState:
    """The state now.

    Raises:
        BackendError: the log is damaged, or the store cannot be read.
    """
    folder = admin.folders.folder(stream_id)
    since = (now // 60 - DELIVERED_MINUTES + 1) * 60
    with (
        closing(delivery_facts(admin.state_dir)) as facts,
        closing(DeliveryStatus(admin.state_dir, admin.folders)) as status,
    ):
        written = [one for one in minute_counts(facts, since) if one.name == "recordsWritten"]
        states = [state for state in status.inserts() if state.key.stream_id == stream_id]
        return StreamState(
            summary=summary_of(folder) if folder.path.is_dir() else None,
            intake=intake_rate(facts, stream_id, now),
            dead=dead_counts(facts, stream_id),
            deliveries=[_delivery(admin, status, state, written, window_s=now - since, now=now) for state in states],
        )


def _delivery(
    admin: PipelinesAdmin,
    status: DeliveryStatus,
    state: InsertState,
    written: Sequence[MinuteCount],
    *,
    window_s: float,
    now: float,
) -> DeliveryState:
    pipeline = admin.catalogue.pipeline(state.key.pipeline_id)
    made = pipeline or admin.catalogue.stream(state.key.stream_id)
    if made is not None:
        window_s = max(WINDOW_S_MIN, min(window_s, now - made.created_at))
    return DeliveryState(
        key=state.key,
        pipeline_name=_name(pipeline, state.key.pipeline_id),
        sink_name=_name(admin.catalogue.sink(state.key.sink_id), state.key.sink_id),
        failure=state.failure,
        backlog=status.backlog(state),
        rows_per_second=_sum(written, state.key) / window_s,
        window_s=window_s,
    )


def _sum(counts: Sequence[MinuteCount], key: InsertKey) -> float:
    return sum(one.value for one in counts if one.insert_id == key.id)


def _name(known: object | None, otherwise: str) -> str:
    """The object's name; its id when it is no more."""
    return str(getattr(known, "name", otherwise))
