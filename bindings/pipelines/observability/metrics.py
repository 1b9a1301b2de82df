"""Every figure of streams and pipelines: what it is called, what it means, and a snapshot of all of them.

Most come from the delivery store and the logs on disk, the same whichever process is asked. Those labelled with a
`slot` are measured by the process that answers, since it started: scrape each process, or read them as a sample.
Names are the hosted ones where Cloudflare has the figure (in brackets). Source: spec "Pipelines" 1.5 and 5.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..dead_letters import DeadLetters
from ..delivery.counts import user_error_totals
from ..delivery.facts import delivery_facts
from ..delivery.status import DeliveryStatus
from ..stream_log.durable import durable_offset
from ..stream_log.log_sizes import bytes_between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..admin import PipelinesAdmin
    from ..delivery.store import InsertState
    from ..ingest.idempotency import IdempotencyKeys
    from ..open_streams import OpenStreams
    from ..stream_log.stream_folders import StreamFolder
    from .histogram import Histogram

INSERT = ("pipeline", "insert", "stream", "sink")
"""Labels of what one INSERT of a pipeline does. Pipeline and sink are empty for the check of a stream nobody reads."""
STREAM = ("stream",)
PROCESS = ("slot",)
PARTITION = ("stream", "slot")


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. `labels` are names; each series has a value for every one."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "summary"]
    labels: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """The value of a histogram, or of a summary when it has no bounds."""

    count: int
    sum: float
    bounds: tuple[tuple[float, int], ...] = ()
    """(upper bound, how many were at most that)."""


Series = dict[tuple[str, ...], float | Distribution]
"""Values of a metric's labels -> its value."""
Snapshot = dict[Metric, Series]

RECORDS_ACCEPTED = Metric(
    "edge_stream_records_accepted_total", "counter", STREAM, "Records that are durable in the stream's log, ever."
)
LOG_BYTES = Metric("edge_stream_log_bytes", "gauge", STREAM, "Size of the stream's log on disk.")
DEAD_KEPT = Metric("edge_stream_dead_letters", "gauge", STREAM, "Dead letters that are kept now.")
COUNTERS = {
    "recordsIn": Metric("edge_records_in_total", "counter", INSERT, "Records read from the stream (recordsIn)."),
    "bytesIn": Metric("edge_bytes_in_total", "counter", INSERT, "JSON bytes read from the stream (bytesIn)."),
    "decodeErrors": Metric(
        "edge_decode_errors_total", "counter", INSERT, "Records that do not fit the stream's schema (decodeErrors)."
    ),
    "unknownFields": Metric(
        "edge_unknown_fields_total", "counter", INSERT, "Fields that the schema does not have; they are left out."
    ),
    "recordsWritten": Metric(
        "edge_records_written_total", "counter", INSERT, "Rows the sink has; UNNEST makes several (recordsWritten)."
    ),
    "bytesWritten": Metric("edge_bytes_written_total", "counter", INSERT, "Bytes the sink has (bytesWritten)."),
    "uncompressedBytesWritten": Metric(
        "edge_uncompressed_bytes_written_total",
        "counter",
        INSERT,
        "The same before compression (uncompressedBytesWritten).",
    ),
    "filesWritten": Metric("edge_files_written_total", "counter", INSERT, "Files the sink has (filesWritten)."),
    "rowGroupsWritten": Metric(
        "edge_row_groups_written_total", "counter", INSERT, "Row groups of Parquet files (rowGroupsWritten)."
    ),
    "sinkRetries": Metric(
        "edge_sink_retries_total", "counter", INSERT, "Failures after which the sink is tried again."
    ),
}
"""The delivery store's name for it -> the metric."""
SINK_COMMIT = Metric("edge_sink_commit_seconds", "summary", INSERT, "How long the sink took to publish a roll.")
RECORDS_DELIVERED = Metric("edge_records_delivered_total", "counter", INSERT, "Records delivered to the sink.")
RECORDS_FILTERED = Metric("edge_records_filtered_total", "counter", INSERT, "Records the SQL left out.")
DEAD_LETTERS = Metric("edge_dead_letters_total", "counter", INSERT, "Records that became dead letters.")
RECORDS_LOST = Metric("edge_records_lost_total", "counter", INSERT, "Records that the log itself declares gone.")
BACKLOG_RECORDS = Metric("edge_backlog_records", "gauge", INSERT, "Records that wait in the log for this sink.")
BACKLOG_BYTES = Metric("edge_backlog_bytes", "gauge", INSERT, "About how many bytes of the log they are.")
BACKLOG_SECONDS = Metric("edge_backlog_seconds", "gauge", INSERT, "Age of the oldest of them; 0 when none waits.")
FAILING = Metric("edge_sink_failing", "gauge", INSERT, "1 while it does not deliver (`failure_reason` says why).")
USER_ERRORS = Metric(
    "edge_user_errors_total", "counter", (*INSERT, "family", "type"), "User errors (count, by errorFamily, errorType)."
)
ACK_SECONDS = Metric(
    "edge_ack_seconds", "histogram", PARTITION, "This process: from a request's records at the log to their answer."
)
FSYNC_SECONDS = Metric("edge_fsync_seconds", "histogram", PARTITION, "This process: how long one sync of the log took.")
GROUP_SIZE = Metric("edge_group_size", "histogram", PARTITION, "This process: requests that shared one sync.")
UNSYNCED_BYTES = Metric("edge_unsynced_bytes", "gauge", PARTITION, "This process: accepted, not yet on disk.")
DEDUPE_HITS = Metric(
    "edge_dedupe_hits_total", "counter", PROCESS, "This process: requests answered as an earlier Idempotency-Key's."
)

METRICS = (
    *(RECORDS_ACCEPTED, LOG_BYTES, DEAD_KEPT),
    *COUNTERS.values(),
    *(SINK_COMMIT, RECORDS_DELIVERED, RECORDS_FILTERED, DEAD_LETTERS, RECORDS_LOST),
    *(BACKLOG_RECORDS, BACKLOG_BYTES, BACKLOG_SECONDS, FAILING, USER_ERRORS),
    *(ACK_SECONDS, FSYNC_SECONDS, GROUP_SIZE, UNSYNCED_BYTES, DEDUPE_HITS),
)

SECONDS_BITS = tuple(range(6, 25))
"""Bounds of times: powers of two microseconds, 64 us to 17 s."""
GROUP_BITS = tuple(range(15))
"""Bounds of group sizes: 1 to 16,384."""


class Figures:
    """Takes snapshots. `close` it."""

    def __init__(self, admin: PipelinesAdmin, now: Callable[[], float]) -> None:
        self._admin = admin
        self._now = now
        self._status = DeliveryStatus(admin.state_dir, admin.folders)
        self._dead_letters = DeadLetters(admin.state_dir)
        self._facts = delivery_facts(admin.state_dir)

    def close(self) -> None:
        """Let go of the store; the next snapshot opens it again."""
        self._status.close()
        self._dead_letters.close()
        self._facts.close()

    def durable(self) -> Snapshot:
        """What the disk knows; blocks."""
        taken: Snapshot = {}
        for folder in self._admin.folders.all():
            self._add_stream(taken, folder)
        inserts = {state.key.id: (state, self._labels(state)) for state in self._status.inserts()}
        for state, labels in inserts.values():
            _add_counts(taken, state, labels)
            self._add_backlog(taken, state, labels)
        for errors in user_error_totals(self._facts):
            if errors.insert_id in inserts:
                _add(taken, USER_ERRORS, (*inserts[errors.insert_id][1], errors.family, errors.kind), errors.count)
        return taken

    def _add_stream(self, taken: Snapshot, folder: StreamFolder) -> None:
        stream = self._admin.catalogue.stream(folder.id)
        labels = (stream.name if stream else folder.id,)
        ends = {path: durable_offset(path) for path in map(folder.partition, folder.partitions())}
        _add(taken, RECORDS_ACCEPTED, labels, sum(ends.values()))
        _add(taken, LOG_BYTES, labels, sum(bytes_between(path, 0, end) for path, end in ends.items()))
        _add(taken, DEAD_KEPT, labels, self._dead_letters.count(folder.id))

    def _add_backlog(self, taken: Snapshot, state: InsertState, labels: tuple[str, ...]) -> None:
        backlog = self._status.backlog(state)
        _add(taken, BACKLOG_RECORDS, labels, backlog.record_count)
        _add(taken, BACKLOG_BYTES, labels, backlog.size_bytes)
        age_s = 0.0 if backlog.oldest_at is None else max(0.0, self._now() - backlog.oldest_at)
        _add(taken, BACKLOG_SECONDS, labels, age_s)

    def _labels(self, state: InsertState) -> tuple[str, ...]:
        """Names, or ids of what is no more."""
        key, catalogue = state.key, self._admin.catalogue
        pipeline, stream = catalogue.pipeline(key.pipeline_id), catalogue.stream(key.stream_id)
        sink = catalogue.sink(key.sink_id)
        return (
            pipeline.name if pipeline else key.pipeline_id,
            str(key.position + 1),
            stream.name if stream else key.stream_id,
            sink.name if sink else key.sink_id,
        )


def process_snapshot(streams: OpenStreams, keys: IdempotencyKeys, slot: int) -> Snapshot:
    """What this process measures; on its event loop."""
    taken: Snapshot = {DEDUPE_HITS: {(str(slot),): keys.repeat_count}}
    for stream in streams.opened():
        labels, figures = (stream.object.name, str(slot)), stream.log.figures
        _add(taken, ACK_SECONDS, labels, _distribution(figures.acks_us, SECONDS_BITS, 1e6))
        _add(taken, FSYNC_SECONDS, labels, _distribution(figures.syncs_us, SECONDS_BITS, 1e6))
        _add(taken, GROUP_SIZE, labels, _distribution(figures.group_sizes, GROUP_BITS, 1))
        _add(taken, UNSYNCED_BYTES, labels, stream.log.unsynced_bytes)
    return taken


def _add_counts(taken: Snapshot, state: InsertState, labels: tuple[str, ...]) -> None:
    for name, metric in COUNTERS.items():
        _add(taken, metric, labels, state.counters.get(name, 0))
    counters: Mapping[str, float] = state.counters
    commits = Distribution(int(counters.get("sinkCommits", 0)), counters.get("sinkCommitSeconds", 0.0))
    _add(taken, SINK_COMMIT, labels, commits)
    tallies = [one.tally for one in state.progress.values()]
    _add(taken, RECORDS_DELIVERED, labels, sum(tally.delivered for tally in tallies))
    _add(taken, RECORDS_FILTERED, labels, sum(tally.filtered for tally in tallies))
    _add(taken, DEAD_LETTERS, labels, sum(tally.dead for tally in tallies))
    _add(taken, RECORDS_LOST, labels, sum(tally.lost for tally in tallies))
    _add(taken, FAILING, labels, int(bool(state.failure)))


def _add(taken: Snapshot, metric: Metric, labels: tuple[str, ...], value: float | Distribution) -> None:
    taken.setdefault(metric, {})[labels] = value


def _distribution(histogram: Histogram, bits: Sequence[int], unit: float) -> Distribution:
    bounds = tuple(zip((2**bit / unit for bit in bits), histogram.at_most(bits), strict=True))
    return Distribution(histogram.count, histogram.sum / unit, bounds)
