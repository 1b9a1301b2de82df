"""What a delivered file's folders may be: a time pattern, a path. Loads no heavy library, for declaring sinks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

TIME_PATTERN = "year=%Y/month=%m/day=%d"
"""The folders of a file where nothing is said, as on Cloudflare."""
DIRECTIVES = {
    **dict.fromkeys("YymdjbBaAuwUWGVCe", "day"),
    "F": "day",
    **dict.fromkeys("HIp", "hour"),
    "M": "minute",
    **dict.fromkeys("SsTRX", "second"),
    "%": "day",
}
"""strftime's letters -> how fine the time is that they show."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def folder_of(time_pattern: str, ingested_at_us: int) -> str:
    """The folders of a time, without slashes at the ends."""
    pattern = time_pattern.replace("%F", "%Y-%m-%d")  # the C library's own
    return (_EPOCH + timedelta(microseconds=ingested_at_us)).strftime(pattern).strip("/")


def problem_of_pattern(time_pattern: str) -> str | None:
    """Why files cannot be in folders of this pattern; None when they can."""
    for letter in re.findall(r"%(.?)", time_pattern, re.DOTALL):
        if letter not in DIRECTIVES:
            return (
                f"The time pattern {time_pattern!r} has %{letter}, which is not known. "
                f"Use strftime's letters for a date or a time to the second, as {TIME_PATTERN!r}."
            )
    return problem_of_path(folder_of(time_pattern, 0), "time pattern")


def problem_of_path(path: str, what: str) -> str | None:
    """Why this key, path or pattern names no place inside of a sink's folder; None when it does."""
    pieces = path.strip("/").split("/")
    if any(
        piece in {".", ".."} or (not piece and len(pieces) > 1) or "\0" in piece or "\\" in piece for piece in pieces
    ):
        return (
            f"The {what} {path!r} is no place inside the sink: it has an empty part, '.', '..', a backslash or a zero."
        )
    return None
