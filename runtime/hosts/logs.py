"""The only place that configures structlog: one renderer for Edge's events, the user's logging, and warnings.

Two formats. `pretty` is for eyes: one short line per event, traceback below, control characters made visible so that
data cannot drive the terminal. `json` is for machines: one object per line. Both go to standard error, so that what a
Worker prints stays apart. Secrets pass neither (redaction.py).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from ..core.context import logged_about, request_id
from .redaction import Redactor

# Where rich is installed, structlog loads it for tracebacks, which Edge writes itself: 50 ms of every start.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None is how the import system is told "not here"
import structlog  # noqa: E402 - after rich is hidden

if sys.modules.get("rich") is None:
    del sys.modules["rich"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

    from ..core.host import Logger

LogFormat = Literal["pretty", "json"]
REQUEST_ANSWERED = "request_answered"
"""The event of request_log.py, which pretty mode writes as wrangler does: `GET /path 200 OK (5ms)`."""
REQUESTS_WAIT_SECONDS = 0.02
REQUESTS_WAITING_MAX = 256

_REQUEST_KEYS = {"method", "path", "status", "duration_ms"}
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[36m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_encode_json = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":")).encode


class Logs:
    """Where log lines go. `configure` makes one."""

    logger: Logger
    """The Logger to hand on."""

    def __init__(self, log_format: LogFormat, secrets: Iterable[str], stream: TextIO, *, has_colour: bool) -> None:
        self._secrets = set(secrets)
        self._redactor = Redactor(self._secrets)
        self._stream = stream
        self._render = self._json if log_format == "json" else self._pretty
        self._has_colour = has_colour
        self._second = (0, "")
        self._waiting: list[str] = []
        self._lock = threading.RLock()  # a signal handler may log while a line is written

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these values too: a reload may bring new secrets while old ones are still in use."""
        self._secrets.update(secrets)
        self._redactor = Redactor(self._secrets)

    def write(self, level: str, event: str, values: dict[str, Any]) -> None:
        """Write one event; `exc_info` among the values is its error."""
        is_request = event == REQUEST_ANSWERED and values.keys() == _REQUEST_KEYS
        error = None if is_request else values.pop("exc_info", None)
        if not is_request and (about := logged_about.get()):
            values = {**values, **{key: value for key, value in about.items() if key not in values}}
        line = self._render(level, event, values)
        if error is not None and error is not False:
            line = self._with_error(line, error)
        with self._lock:
            self._waiting.append(line)
        if not (is_request and self._is_written_later()):
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait. Whoever ends a loop calls it: nothing else writes what came last."""
        with self._lock, suppress(OSError, ValueError):  # nobody reads any more, as after `... 2>&1 | head`
            if self._waiting:
                text = "\n".join(self._waiting)
                self._waiting.clear()
                self._stream.write(f"{text}\n")

    def _is_written_later(self) -> bool:
        """Request lines are written some at a time: under load, one write each costs as much as the request."""
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(REQUESTS_WAIT_SECONDS, self.flush)
            except RuntimeError:  # no loop runs here
                return False
        return len(self._waiting) < REQUESTS_WAITING_MAX

    def _json(self, level: str, event: str, values: dict[str, Any]) -> str:
        record = {"timestamp": f"{self._clock('%Y-%m-%dT%H:%M:%S', time.gmtime)}Z", "level": level}
        record["event"] = self._redactor.text(event)
        if current := request_id.get():
            record["request_id"] = current
        return _encode_json(record | self._redactor.values(values))

    def _pretty(self, level: str, event: str, values: dict[str, Any]) -> str:
        if event == REQUEST_ANSWERED and values.keys() == _REQUEST_KEYS:
            text = _request_line(**values)
        else:
            shown = [f"{key}={_one_word(value)}" for key, value in self._redactor.values(values).items()]
            text = " ".join([printable(event), *shown])
        clock = self._clock("%H:%M:%S", time.localtime)
        current = request_id.get()
        if self._has_colour:
            after = f" {_DIM}{current}{_PLAIN}" if current else ""
            line = f"{_DIM}{clock}{_PLAIN} {_COLOURS[level]}[edge:{level}]{_PLAIN} {text}{after}"
        else:
            line = f"{clock} [edge:{level}] {text} {current}" if current else f"{clock} [edge:{level}] {text}"
        return self._redactor.text(line)

    def _with_error(self, line: str, error: object) -> str:
        from ..error_trace import format_error  # noqa: PLC0415 - an error is rare, a fast start is not

        if not isinstance(error, BaseException):
            error = error[1] if isinstance(error, tuple) else sys.exc_info()[1]
        if error is None:
            return line
        text = self._redactor.text(format_error(error))
        if self._render == self._json:
            return f'{line[:-1]},"exception":{_encode_json(text)}}}'
        return f"{line}\n{printable(text, keep=chr(10))}"

    def _clock(self, layout: str, broken_down: Callable[[float], time.struct_time]) -> str:
        """Now, to the millisecond; the seconds are formatted once each."""
        now = time.time()
        second = int(now)
        if self._second[0] != second:
            self._second = (second, time.strftime(layout, broken_down(now)))
        return f"{self._second[1]}.{int((now - second) * 1000):03d}"


def configure(
    log_format: LogFormat = "pretty", level: str = "info", secrets: Iterable[str] = (), *, stream: TextIO | None = None
) -> Logs:
    """Send structlog, `logging` and warnings of this process to one place; what it prints is left alone.

    Args:
        level: events below it cost almost nothing.
        secrets: values that must never appear.
        stream: standard error by default; coloured when it is a terminal.
    """
    out = stream or sys.stderr
    logs = Logs(log_format, secrets, out, has_colour=log_format == "pretty" and out.isatty())

    def render(_logger: object, method: str, event_dict: MutableMapping[str, Any]) -> str:
        logs.write(_level(method), str(event_dict.pop("event", "")), cast("dict[str, Any]", event_dict))
        raise structlog.DropEvent  # it is written

    structlog.configure(
        processors=[render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    logs.logger = cast("Logger", structlog.get_logger())
    logging.basicConfig(level=level.upper(), handlers=[_Handler(logs)], force=True)
    logging.captureWarnings(capture=True)
    threading.excepthook = lambda failed: logs.write(
        "error", "thread_failed", {"thread": getattr(failed.thread, "name", None), "exc_info": failed.exc_value}
    )
    return logs


def printable(text: str, *, keep: str = "") -> str:
    """`text` with control characters, and those that reorder text, written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


class _Handler(logging.Handler):
    """What the user's code, and libraries, log."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        try:
            values = {"logger": record.name, "exc_info": record.exc_info}
            self._logs.write(_level(record.levelname.lower()), record.getMessage(), values)
        except Exception:  # noqa: BLE001 - logging's own rule: a line that cannot be written is reported, not raised
            self.handleError(record)


def _level(name: str) -> str:
    if name in _COLOURS:
        return name
    return "error" if name in {"critical", "exception", "fatal"} else "info"


def _request_line(*, method: str, path: str, status: int, duration_ms: float) -> str:
    return f"{printable(method)} {printable(path)} {status} {_REASONS.get(status, '')} ({duration_ms:.0f}ms)"


def _one_word(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if text and text.isprintable() and " " not in text:
        return text
    return repr(text)
