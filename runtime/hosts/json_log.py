"""One JSON object a line, with the standard library alone: structlog would cost a Lambda start 15 ms."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from ..core.context import request_id

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[redacted]"
SECRET_CHARACTERS_MIN = 4
"""A shorter secret would blacken ordinary words."""

_LEVELS = ("debug", "info", "warning", "error")


class JsonLog:
    """A Logger that writes lines CloudWatch Logs Insights can query. Secret values never pass."""

    def __init__(self, stream: TextIO | None = None, *, level: str = "info") -> None:
        """`stream` is standard output by default, looked up at each line: awslambdaric replaces it."""
        self._stream = stream
        self._shown = frozenset(_LEVELS[_LEVELS.index(level) :])
        self._secrets: tuple[str, ...] = ()

    def hide(self, secrets: Iterable[str]) -> None:
        """Write REDACTED wherever one of these values would appear."""
        longest_first = sorted({s for s in secrets if len(s) >= SECRET_CHARACTERS_MIN}, key=len, reverse=True)
        self._secrets = tuple(json.dumps(secret, ensure_ascii=False)[1:-1] for secret in longest_first)

    def debug(self, event: str, **values: Any) -> None:
        self._write("debug", event, values)

    def info(self, event: str, **values: Any) -> None:
        self._write("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._write("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        self._write("error", event, values)

    def _write(self, level: str, event: str, values: dict[str, Any]) -> None:
        if level not in self._shown:
            return
        now = time.time()
        record: dict[str, Any] = {
            "timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z",
            "level": level,
            "event": event,
        }
        if current := request_id.get():
            record["request_id"] = current
        if error := values.pop("exc_info", None):
            record["exception"] = _stack(error)
        line = json.dumps(record | values, ensure_ascii=False, default=str)
        for secret in self._secrets:
            line = line.replace(secret, REDACTED)
        stream = self._stream or sys.stdout
        stream.write(f"{line}\n")
        stream.flush()


def _stack(error: Any) -> str:
    import traceback  # noqa: PLC0415 - a start without an error does not need it

    if not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    return "".join(traceback.format_exception(error)) if error is not None else ""
