"""The port every sink fulfils, and the values that travel through it.

A roll is the records one INSERT reads between two commits. The runner (`delivery/`) takes it through four steps, each
durable before the next: stage (write local files, synced), intent (note them), publish (make them visible), commit
(move the offset). A sink owns two of them: how staged files look (`open_stager`) and how they become visible
(`publish`). After a crash the same staged bytes are published again under the same keys, so `publish` must be
idempotent wherever the target allows it. Source: spec "Pipelines" 5.6.

Each type is one file of `types/`, found by name, with

    class Config           frozen dataclass of its settings, secrets included: checked by pydantic
    SECRETS                names of Config's fields that no answer and no log may show
    def open_sink(sink: SinkObject, site: SinkSite) -> Sink

Declaring a sink imports that file, so it loads no heavy library: `open_sink`, or a function called after it, imports
those, or the file of this folder that holds the sink (`local_folder.py`, `object_store.py`, `iceberg_sink.py` ...).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ....runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

PARTITION_COLUMN = "__edge_partition"
"""int32: which partition of the log a row's record is in. Hidden: a sink writes it only where its docs say so."""
OFFSET_COLUMN = "__edge_offset"
"""int64: the record's offset there. Rows that UNNEST made of one record share it."""
TIME_COLUMN = "__edge_ingested_at"
"""timestamp[us, UTC]: when the record was accepted. File partitions are named after it."""
HIDDEN_COLUMNS = (PARTITION_COLUMN, OFFSET_COLUMN, TIME_COLUMN)


@dataclass(frozen=True, slots=True)
class Rows:
    """What one INSERT made of one chunk of records: a batch with the hidden columns, or log bytes passed through."""

    stream_id: str
    batch: pa.RecordBatch | None = None
    lines: bytes | None = None
    """Newline-delimited JSON exactly as in the log; only given to a stager with `takes_lines`."""
    ingested_at_us: int = 0
    """Of `lines`: one value for all of them."""
    count: int = 0


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A finished file in the staging folder. `key` is where it goes: the same on every retry."""

    name: str
    key: str
    size_bytes: int
    sha256: str
    row_count: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What `publish` needs again after a restart; JSON values."""


@dataclass(frozen=True, slots=True)
class Roll:
    """One intent, as written down before anything becomes visible."""

    insert_id: str
    """32 hex digits: pipeline, position of the INSERT, sink."""
    sink_id: str
    stream_id: str
    epoch: int
    """Counts the rolls of an insert from 1; with the insert's id it names the files."""
    fence: int
    """Counts the leases of the runner: a commit with an older one is refused."""
    since: Mapping[int, int]
    """Partition -> first offset."""
    until: Mapping[int, int]
    """Partition -> offset after the last one."""
    files: tuple[StagedFile, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A row the target refused for good: it goes to the dead letters, the roll goes on."""

    partition: int
    offset: int
    kind: str
    message: str
    """Without values of the record."""
    row: bytes
    """The row as JSON."""


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did, in the hosted metrics' names."""

    files_written: int = 0
    bytes_written: int = 0
    uncompressed_bytes_written: int = 0
    row_groups_written: int = 0
    rows_written: int = 0
    refused: tuple[Refused, ...] = ()


class SinkUnavailableError(BackendError):
    """Raised by `publish` when trying again later may help: network, 429, 5xx. The log keeps what waits."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SinkMisconfiguredError(BackendError):
    """Raised when only a person can help: bad credentials, no such bucket. Shown as `failed` with this text as
    `failure_reason`; tried again slowly, so it heals by itself once mended."""


class Stager(Protocol):
    """Writes one roll's rows into the staging folder. Every method blocks; called from one worker thread at a time."""

    takes_lines: bool
    """Whether `Rows.lines` may be given: the output is the log's own bytes."""

    @property
    def size_bytes(self) -> int:
        """Written so far, about as large as the files will be: the rolling policy counts it."""

    def write(self, rows: Rows) -> None: ...

    def close(self) -> Sequence[StagedFile]:
        """Finish and sync every file. The folder is synced by the caller."""

    def abandon(self) -> None:
        """Let go of open files; the caller removes the folder."""


class Sink(Protocol):
    """An open sink."""

    promise: Literal["exactly once", "at least once"]

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> Stager:
        """Begin a roll in an empty staging folder. Keys are UUIDv5 of insert, epoch, partition and part."""

    async def publish(self, roll: Roll, folder: Path) -> Published:
        """Make the staged files visible. Called again with the same roll after a crash or a failure.

        Raises:
            SinkUnavailableError, SinkMisconfiguredError: not (wholly) done; the roll is kept and tried again.
        """

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SinkSite:
    """What a sink is opened with."""

    host: Any
    """LocalHost: clock, `fetch`, log, state folder."""
    config_folder: Path
    """Relative paths in a sink's config begin here."""
    default_interval_s: float
    """Of the rolling policy, by mode."""
