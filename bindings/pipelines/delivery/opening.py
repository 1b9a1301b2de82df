"""A plan becomes a running INSERT: its sink opened, its SQL compiled. pyarrow and the engine load with the first."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from ..batcher import RollPolicy
from ..extras import needing
from ..sink_types import find_sink_type
from ..sinks.sink import SinkMisconfiguredError
from .check import Check, SchemaCheck
from .insert_runner import InsertParts
from .staging import RollStaging

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..objects import SinkObject, StreamObject
    from ..processing.processor import Processor
    from ..sinks.sink import Sink, SinkSite
    from ..stream_log.disk import Disk
    from .columns import StreamColumns
    from .feed import Chunk, StreamFeed
    from .outcome import Transformed
    from .plan import InsertPlan
    from .store import DeliveryStore

    ProcessorOf = Callable[[StreamObject], Processor | None]

FIRST_INTERVAL_S = 1.0
"""Of the first file after a start where the default interval is short: who sends one record and looks sees it."""
SHORT_INTERVAL_S = 10.0
FILE_BYTES = 256 * 1024 * 1024
"""A file is closed here where the sink names no size: the staging folder holds one roll."""
EXTRAS = {"kafka": "kafka", "snowflake": "snowflake", "iceberg": "iceberg", "r2_data_catalog": "iceberg"}
"""Sink type -> the extra it takes, where that is not `pipelines`."""
_LOADING = Lock()
"""Sinks load their libraries when they open, and two threads that import what imports each other see half a module."""


class Opener:
    """Opens the INSERTs of one runner; streams' columns are shared between them."""

    def __init__(
        self,
        site: SinkSite,
        store: DeliveryStore,
        root: Path,
        *,
        disk: Disk,
        now: Callable[[], float],
        processor_of: ProcessorOf,
    ) -> None:
        self._site = site
        self._store = store
        self._root = root
        self._disk = disk
        self._now = now
        self._processor_of = processor_of
        self._columns: dict[str, tuple[StreamObject, StreamColumns]] = {}

    def open(self, plan: InsertPlan, feed: StreamFeed, fence: int) -> InsertParts:
        """Blocks.

        Raises:
            EdgeError: it cannot run as it is; the text says why.
        """
        if plan.problem is not None:
            raise plan.problem
        assert plan.stream is not None, "a plan without a problem has its stream"
        sink = self._open_sink(plan.sink) if plan.sink else None
        root = self._root / plan.key.id
        staging = RollStaging(plan.key, sink, store=self._store, root=root, fence=fence, disk=self._disk)
        policy, inactivity_s = self._policy(plan.sink)
        return InsertParts(
            feed=feed,
            transform=self._transform(plan, staging),
            sink=sink,
            staging=staging,
            policy=policy,
            inactivity_s=inactivity_s,
            retention_s=plan.stream.retention.seconds,
        )

    def _transform(self, plan: InsertPlan, staging: RollStaging) -> Callable[[Chunk], Transformed]:
        stream, pipeline, insert = plan.stream, plan.pipeline, plan.insert
        assert stream is not None, "a plan without a problem has its stream"
        if plan.is_ending:
            return _refuse
        processor = self._processor_of(stream)
        if pipeline is None and processor is None:
            return Check(SchemaCheck(stream), stream.id, self._now)
        from .transform import PassThrough, compiled_query  # noqa: PLC0415 - loads pyarrow and the engine

        columns = self._columns_of(stream)
        if pipeline is None or insert is None:
            return Check(lambda chunk: columns.of(chunk).bad, stream.id, self._now)
        if insert.is_pass_through and stream.schema is None and processor is None and staging.takes_lines:
            return PassThrough(stream.id)
        return compiled_query(
            insert,
            columns,
            stream_id=stream.id,
            insert_id=plan.key.id,
            started_at=pipeline.started_at,
            on_error=pipeline.on_error,
            now=self._now,
        )

    def _columns_of(self, stream: StreamObject) -> StreamColumns:
        from .columns import StreamColumns  # noqa: PLC0415 - loads pyarrow

        known = self._columns.get(stream.id)
        if known is None or known[0] != stream:
            known = self._columns[stream.id] = (stream, StreamColumns(stream, self._processor_of(stream)))
        return known[1]

    def _open_sink(self, sink: SinkObject) -> Sink:
        with _LOADING, needing(f"Sinks of type {sink.type} need", EXTRAS.get(sink.type, "pipelines")):
            sink_type = find_sink_type(sink.type)
            opened = sink_type.open_sink(sink, self._site) if sink_type else None
        if opened is None:
            raise SinkMisconfiguredError(f'Sink "{sink.name}" has the type {sink.type!r}, which Edge does not have.')
        return opened

    def _policy(self, sink: SinkObject | None) -> tuple[RollPolicy, float | None]:
        default_s = self._site.default_interval_s
        if sink is None:
            return RollPolicy(min(default_s, SHORT_INTERVAL_S), FILE_BYTES, FIRST_INTERVAL_S), None
        asked = sink.rolling_policy
        interval_s = default_s if asked.interval_seconds is None else asked.interval_seconds
        is_short = asked.interval_seconds is None and default_s <= SHORT_INTERVAL_S
        first_s = FIRST_INTERVAL_S if is_short else interval_s
        return RollPolicy(interval_s, asked.file_size_bytes or FILE_BYTES, first_s), asked.inactivity_seconds


def _refuse(chunk: Chunk) -> Transformed:
    raise AssertionError(f"what is ending reads nothing, but for offset {chunk.since}")
