"""How a stream and a pipeline stand, as lines of text and as JSON, for `edge streams get` and `edge pipelines get`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from ...bindings.pipelines.delivery.status import DeliveryStatus
from ...bindings.pipelines.observability.intake_rate import WINDOW_S
from ...bindings.pipelines.rest_shapes import time_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...bindings.pipelines.admin import PipelinesAdmin
    from ...bindings.pipelines.delivery.status import Account
    from ...bindings.pipelines.observability.intake_rate import IntakeRate
    from ...bindings.pipelines.stream_log.stream_state import DeliveryState, StreamState


def stream_fields(state: StreamState, now: float) -> list[tuple[str, str]]:
    """What `edge streams get` shows below the settings."""
    summary = state.summary
    return [
        ("Records", f"{summary.record_count:,} ever, {summary.log_bytes:,} bytes in the log" if summary else "0"),
        ("Partitions", _partitions(summary.partitions if summary else ())),
        ("Oldest", _moment(summary.oldest_at if summary else None, now)),
        ("Newest", _moment(summary.newest_at if summary else None, now)),
        ("Coming in", _rate(state.intake)),
        ("Dead letters", "\n".join(f"{one.count:,} {one.kind} ({one.family})" for one in state.dead) or "none"),
        ("Delivery", "\n".join(_delivery_lines(state.deliveries, now)) or "none has begun"),
    ]


def stream_figures(state: StreamState, now: float) -> dict[str, Any]:
    """The same for `--json`."""
    summary = state.summary
    return {
        "records_accepted": summary.record_count if summary else 0,
        "log_bytes": summary.log_bytes if summary else 0,
        "partitions": list(summary.partitions) if summary else [],
        "oldest_record_at": _time(summary.oldest_at if summary else None),
        "newest_record_at": _time(summary.newest_at if summary else None),
        "intake": {
            "records_per_second": state.intake.records_per_second,
            "bytes_per_second": state.intake.bytes_per_second,
            "window_seconds": WINDOW_S,
            "until": time_text(state.intake.until),
        },
        "dead_letters": [{"family": one.family, "kind": one.kind, "count": one.count} for one in state.dead],
        "deliveries": [
            {
                "pipeline": one.pipeline_name or None,
                "insert": one.key.position + 1,
                "sink": one.sink_name or None,
                "failure_reason": one.failure or None,
                "backlog_records": one.backlog.record_count,
                "backlog_bytes": one.backlog.size_bytes,
                "backlog_seconds": _age_s(one.backlog.oldest_at, now),
                "rows_per_second": one.rows_per_second,
                "window_seconds": one.window_s,
            }
            for one in state.deliveries
        ],
    }


def insert_accounts(admin: PipelinesAdmin, pipeline_id: str) -> list[dict[str, Any]]:
    """What became of every record that each INSERT of a pipeline was to read, all partitions together."""
    sums: dict[int, dict[str, Any]] = {}
    with closing(DeliveryStatus(admin.state_dir, admin.folders)) as status:
        streams = {state.key.stream_id for state in status.inserts() if state.key.pipeline_id == pipeline_id}
        for stream_id in filter(None, streams):
            for account in status.accounts(admin.folders.folder(stream_id)):
                if account.pipeline_id == pipeline_id:
                    _add(sums.setdefault(account.position, {"insert": account.position + 1}), account)
    return [sums[position] for position in sorted(sums)]


def account_lines(accounts: Iterable[dict[str, Any]]) -> Iterator[str]:
    for one in accounts:
        yield (
            f"INSERT {one['insert']}: {one['accepted']:,} accepted = {one['delivered']:,} delivered + "
            f"{one['filtered']:,} filtered + {one['dead']:,} dead + {one['lost']:,} lost + {one['in_log']:,} in the log"
        )


def _add(sums: dict[str, Any], account: Account) -> None:
    for name in ("accepted", "delivered", "filtered", "dead", "lost", "in_log"):
        sums[name] = sums.get(name, 0) + getattr(account, name)


def _delivery_lines(deliveries: Iterable[DeliveryState], now: float) -> Iterator[str]:
    for one in deliveries:
        waiting = one.backlog
        what = f"{one.pipeline_name}, INSERT {one.key.position + 1}, to {one.sink_name}"
        age = f", the oldest {_age_s(waiting.oldest_at, now):.0f} s old" if waiting.oldest_at else ""
        yield (
            f"{what if one.pipeline_name else 'check of the schema'}: {waiting.record_count:,} records wait, "
            f"{waiting.size_bytes:,} bytes{age}; {one.rows_per_second:,.1f} rows/s in the last {one.window_s:.0f} s"
        )
        if one.failure:
            yield f"  failed: {one.failure}"


def _partitions(numbers: Sequence[int]) -> str:
    named = f"{len(numbers)} (number{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))})"
    return named if numbers else "none yet"


def _rate(intake: IntakeRate) -> str:
    return (
        f"{intake.records_per_second:,.1f} records/s, {intake.bytes_per_second:,.0f} bytes/s "
        f"({WINDOW_S} s until {time_text(intake.until)})"
    )


def _moment(at: float | None, now: float) -> str:
    return f"{time_text(at)}, {_age_s(at, now):,.0f} s ago" if at else "-"


def _time(at: float | None) -> str | None:
    return time_text(at) if at else None


def _age_s(at: float | None, now: float) -> float:
    """0 for none; a clock that was set back makes nothing younger than now."""
    return max(0.0, now - at) if at else 0.0
