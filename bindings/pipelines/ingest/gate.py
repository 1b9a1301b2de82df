"""What stands before a stream's log, whichever way records come: rate, backlog, masking, the schema.

HTTP and `send` pass the same gate, so both refuse the same records with the same status.
Source: spec "Pipelines", 5.4 and 5.5.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..processing.facts import Facts
from ..schemas.validation import MalformedBodyError, RecordChecker
from ..stream_log.frame_extra import schema_hash
from ..stream_log.frames import lines_of_array
from .json_guard import count_records, require_harmless
from .rate_limits import RateLimits
from .refusal import InvalidRecordsError, TooManyRequestsError

if TYPE_CHECKING:
    from ....runtime.core.host import LocalHost
    from ..open_streams import OpenStream
    from ..processing.processor import Processor
    from ..schemas.validation import Checked

BACKLOG_RETRY_SECONDS = 5.0
WARNING_SECONDS = 60.0
"""One warning in so much time for each reason that records are dropped for."""
REASONS_MAX = 1000
"""Reasons remembered; senders choose the paths."""


class Parcel(NamedTuple):
    """Records that passed the gate, as they go into one frame."""

    body: bytes
    record_count: int
    is_lines: bool
    dropped_count: int = 0
    """Records that do not fit the schema of a stream that takes them nevertheless."""
    schema_hash: str = ""
    """When all of them fit."""


class Gate:
    """The gate of one stream, as its object was when it was made."""

    def __init__(self, host: LocalHost, stream: OpenStream, processor: Processor | None = None) -> None:
        self.known = known = stream.object
        self.keeps_client = processor is not None and processor.keeps_client
        self._host = host
        self._stream = stream
        self._processor = processor if processor is not None and processor.changes_records else None
        self._hash = schema_hash(known.schema) if known.schema else ""
        self._checker = (
            RecordChecker(known.schema, extra_fields=known.extra_fields, timestamp_format=known.timestamp_format)
            if known.schema
            else None
        )
        rates = (known.limits.requests_per_second, known.limits.bytes_per_second)
        self._rates = RateLimits(host.state_dir / "pipelines" / "rates" / known.id, rates) if any(rates) else None
        self._warned_at: dict[tuple[str, str], float] = {}

    def admit(self, size_bytes: int) -> None:
        """Let one request of so many bytes in, and count it.

        Raises:
            TooManyRequestsError: the rate is too high, or too much waits to be delivered.
            BackendError: the rate cannot be counted.
        """
        if self._stream.undelivered_bytes > self.known.retention.backlog_bytes:
            msg = (
                f'Stream "{self.known.name}" holds {self._stream.undelivered_bytes:,} bytes that are not delivered '
                f"yet, its limit is {self.known.retention.backlog_bytes:,}. Nothing of this request was kept; send it "
                f"again later. `edge pipelines list` shows what holds the delivery up."
            )
            raise TooManyRequestsError(msg, BACKLOG_RETRY_SECONDS)
        if self._rates is None:
            return
        if wait_s := self._rates.take((1, size_bytes), self._host.now()):
            msg = f'Stream "{self.known.name}" has a rate limit, and it is exceeded. Send again in {wait_s:.1f} s.'
            raise TooManyRequestsError(msg, wait_s)

    def pass_array(self, body: bytes) -> Parcel:
        """A JSON array of objects, as received.

        Raises:
            InvalidJsonError, NotObjectsError, InvalidRecordsError: nothing of it may be kept.
        """
        if self._processor is not None:
            count = count_records(body)
            return self.pass_lines(lines_of_array(body), count)
        if self._checker is None:
            return Parcel(body, count_records(body), is_lines=False)
        try:
            checked = self._checker.check(body, is_lines=False)
        except MalformedBodyError:
            checked = None
        if checked is None or checked.errors:
            count_records(body)  # raises when it is no array of objects
        assert checked is not None, "what count_records takes is no malformed body"
        require_harmless(body, checked.count)
        return self._judged(Parcel(body, checked.count, is_lines=False), checked)

    def pass_lines(self, lines: bytes, count: int) -> Parcel:
        """Records that are known to be JSON, one a line.

        Raises:
            InvalidRecordsError: the stream is strict, and some do not fit.
        """
        if self._processor is not None:
            lines = self._processor.before_log(lines)
        parcel = Parcel(lines, count, is_lines=True)
        if self._checker is None:
            return parcel
        if self._processor is None or not self._processor.changes_before_sql:
            return self._judged(parcel, self._checker.check(lines))
        return self._judged(parcel, self._checked_after_steps(self._checker, self._processor, lines))

    def _checked_after_steps(self, checker: RecordChecker, processor: Processor, lines: bytes) -> Checked:
        """As delivery will find the records. The log has them as they were, so their frame does not say they fit."""
        done = processor.before_sql(lines, Facts(self._host.now()))
        checked = checker.check(done.lines)
        if done.kept is None:
            return checked
        moved = tuple(replace(error, index=done.kept[error.index]) for error in checked.errors)
        return replace(checked, errors=moved)

    def _judged(self, parcel: Parcel, checked: Checked) -> Parcel:
        if checked.errors and self.known.validation == "strict":
            raise InvalidRecordsError(checked.errors)
        if checked.errors or checked.unknown_field_count:
            self._tell(checked)
        is_as_checked = self._processor is None or not self._processor.changes_before_sql
        fits = self._hash if is_as_checked and not checked.errors else ""
        return Parcel(parcel.body, parcel.record_count, parcel.is_lines, len(checked.errors), fits)

    def _tell(self, checked: Checked) -> None:
        """Warn of what will be dropped, once for each reason in WARNING_SECONDS."""
        reasons = Counter((error.kind, error.path) for error in checked.errors)
        for (kind, path), count in reasons.items():
            if self._is_news(kind, path):
                self._host.log.warning(
                    "records_do_not_fit", stream=self.known.name, kind=kind, path=path, record_count=count
                )
        if checked.unknown_field_path and self._is_news("unknown_field", checked.unknown_field_path):
            self._host.log.warning(
                "unknown_field_stripped",
                stream=self.known.name,
                path=checked.unknown_field_path,
                record_count=checked.unknown_field_count,
            )

    def _is_news(self, kind: str, path: str) -> bool:
        now = self._host.now()
        if now - self._warned_at.get((kind, path), -WARNING_SECONDS) < WARNING_SECONDS:
            return False
        if len(self._warned_at) >= REASONS_MAX:
            self._warned_at.clear()
        self._warned_at[kind, path] = now
        return True
