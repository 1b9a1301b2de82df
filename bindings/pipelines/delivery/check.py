"""A stream with a schema that no INSERT reads: its bad records still become dead letters, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..schemas.validation import RecordChecker
from ..stream_log.frame_extra import schema_hash
from .intent import Tally
from .outcome import BadRecord, Transformed, dead_letters_of, what_was_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..objects import StreamObject
    from .feed import Chunk


class Check:
    """What the runner does with the chunks of such a stream."""

    def __init__(
        self, bad_records: Callable[[Chunk], Sequence[BadRecord]], stream_id: str, now: Callable[[], float]
    ) -> None:
        self._bad_records = bad_records
        self._stream_id = stream_id
        self._now = now

    def __call__(self, chunk: Chunk) -> Transformed:
        dead = dead_letters_of(self._stream_id, chunk, self._bad_records(chunk), self._now())
        tally = Tally(filtered=chunk.count - len(dead), dead=len(dead), lost=chunk.lost_count)
        return Transformed([], tally, dead, {**what_was_read(chunk), "decodeErrors": len(dead)})


class SchemaCheck:
    """Finds a chunk's bad records by the schema alone, without columns: no pyarrow is loaded."""

    def __init__(self, stream: StreamObject) -> None:
        assert stream.schema is not None, "there is something to check"
        self._checked = schema_hash(stream.schema)
        self._checker = RecordChecker(
            stream.schema, extra_fields=stream.extra_fields, timestamp_format=stream.timestamp_format
        )

    def __call__(self, chunk: Chunk) -> Sequence[BadRecord]:
        if all(extra.schema_hash == self._checked for extra in chunk.extras):
            return ()
        checked = self._checker.check(b"".join(chunk.bodies))
        return [
            BadRecord(error.index, "deserialization", error.kind, error.path, error.message) for error in checked.errors
        ]
