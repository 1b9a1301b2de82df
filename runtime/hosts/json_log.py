"""One JSON object a line, with the standard library alone: structlog would cost a Lambda start 15 ms."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from ..core.context import request_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .redaction import Redactor

METRIC_NAMESPACE = "Edge"
METRIC = "errors"

_LEVELS = ("debug", "info", "warning", "error")


class JsonLog:
    """A Logger whose lines CloudWatch Logs Insights can query. Secret values never pass.

    On Lambda an error line is a metric too (CloudWatch embedded metric format): a handler that raises answers 500,
    which Lambda's own error metric does not see. `Edge/errors` counts by function and event.
    """

    def __init__(self, stream: TextIO | None = None, *, level: str = "info", function_name: str | None = None) -> None:
        """`stream` is standard output by default, looked up at each line: awslambdaric replaces it."""
        self._stream = stream
        self._shown = frozenset(_LEVELS[_LEVELS.index(level) :])
        self._function_name = function_name or os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self._secrets: set[str] = set()
        self._redactor: Redactor | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """Write "[redacted]" wherever one of these values would appear."""
        self._secrets.update(secrets)
        self._redactor = None

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
        redactor = self._redactor = self._redactor or _new_redactor(self._secrets)
        now = time.time()
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        record: dict[str, Any] = {"timestamp": f"{clock}.{int(now % 1 * 1000):03d}Z", "level": level, "event": event}
        if current := request_id.get():
            record["request_id"] = current
        error = values.pop("exc_info", None)
        record |= redactor.values(values)
        if error is not None:
            record["exception"] = redactor.text(_stack(error))
        if level == "error" and self._function_name:
            record |= _metric(now, self._function_name)
        stream = self._stream or sys.stdout
        stream.write(f"{json.dumps(record, ensure_ascii=False, default=str)}\n")
        stream.flush()


def _new_redactor(secrets: Iterable[str]) -> Redactor:
    from .redaction import Redactor  # noqa: PLC0415 - a start that logs nothing compiles no patterns

    return Redactor(secrets)


def _metric(now: float, function_name: str) -> dict[str, Any]:
    """Source: CloudWatch docs, "Specification: Embedded metric format"."""
    metrics = {
        "Namespace": METRIC_NAMESPACE,
        "Dimensions": [["function", "event"]],
        "Metrics": [{"Name": METRIC, "Unit": "Count"}],
    }
    return {
        "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [metrics]},
        "function": function_name,
        METRIC: 1,
    }


def _stack(error: Any) -> str:
    import traceback  # noqa: PLC0415 - a start without an error does not need it

    if not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    return "".join(traceback.format_exception(error)) if error is not None else ""
