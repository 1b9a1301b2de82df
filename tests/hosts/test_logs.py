"""Logs: two formats, request ids, and secrets that never pass."""

from __future__ import annotations

import errno
import io
import json
import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import structlog

from edge.runtime.core.context import logged_about, request_id
from edge.runtime.hosts.logs import LogFormat, configure, printable
from edge.runtime.hosts.redaction import REDACTED, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.hosts.logs import Logs


class Output(io.StringIO):
    """What a configured process writes."""

    logs: Logs

    def configure(self, log_format: LogFormat = "pretty", level: str = "debug", secrets: tuple[str, ...] = ()) -> Logs:
        self.logs = configure(log_format, level, secrets, stream=self)
        return self.logs

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class Terminal(Output):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def output() -> Iterator[Output]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, threading.excepthook
    yield Output()
    root.handlers[:], threading.excepthook = before[0], before[2]
    root.setLevel(before[1])
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_a_json_line_is_one_object_with_the_request_id(output: Output) -> None:
    log = output.configure("json").logger
    log.info("store_opened", path="/x y\n", size_bytes=3, names=("a", "b"))
    token = request_id.set("00ff")
    log.warning("slow")
    request_id.reset(token)
    first, second = output.records
    assert first["timestamp"].endswith("Z")
    assert {k: first[k] for k in ("level", "event", "path", "size_bytes", "names")} == {
        "level": "info",
        "event": "store_opened",
        "path": "/x y\n",
        "size_bytes": 3,
        "names": ["a", "b"],
    }
    assert "request_id" not in first
    assert second["request_id"] == "00ff"


def test_a_pretty_line_has_colour_on_a_terminal_only(output: Output) -> None:
    for stream, has_colour in ((output, False), (Terminal(), True)):
        stream.configure().logger.info("store_opened", path="/x y")
        assert stream.getvalue().endswith("store_opened path='/x y'\n")
        assert ("\x1b[" in stream.getvalue()) is has_colour


def test_a_request_reads_as_wrangler_writes_it(output: Output) -> None:
    request = {"method": "GET", "path": "/a", "status": 404, "duration_ms": 5.2}
    output.configure().logger.info("request_answered", **request)
    assert output.lines[0].endswith("[edge:info] GET /a 404 Not Found (5ms)")
    output.truncate(0)
    output.seek(0)
    output.configure("json").logger.info("request_answered", **request)
    assert {name: output.records[0][name] for name in request} == request


def test_a_users_event_of_the_same_name_is_written_as_any_other(output: Output) -> None:
    output.configure().logger.info("request_answered", mine=1)
    assert output.lines[0].endswith("request_answered mine=1")


def test_lines_below_the_level_are_not_written(output: Output) -> None:
    log = output.configure("pretty", "warning").logger
    log.info("quiet")
    logging.getLogger("library").info("quiet")
    log.error("loud")
    assert len(output.lines) == 1


def test_logging_warnings_structlog_and_threads_come_out_in_one_form(output: Output) -> None:
    output.configure("json")
    logging.getLogger("users.module").warning("count is %d", 3)
    structlog.get_logger().error("through_structlog")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
    thread = threading.Thread(target=lambda: 1 / 0, name="mine")
    thread.start()
    thread.join()
    first, second, third, fourth = output.records
    assert (first["level"], first["event"], first["logger"]) == ("warning", "count is 3", "users.module")
    assert second["event"] == "through_structlog"
    assert "DeprecationWarning: old call" in third["event"]
    assert (fourth["event"], fourth["thread"]) == ("thread_failed", "mine")
    assert "ZeroDivisionError" in fourth["exception"]


def test_an_exception_keeps_its_lines_and_shows_no_frame_of_edge(output: Output) -> None:
    log = output.configure().logger
    try:
        request_id.set(1 / 0)  # type: ignore[arg-type]
    except ZeroDivisionError as error:
        log.error("handler_failed", exc_info=error)
    assert output.lines[0].endswith("handler_failed")
    assert output.lines[1] == "Traceback (most recent call last):"
    assert output.lines[-1] == "ZeroDivisionError: division by zero"


def test_data_cannot_drive_the_terminal(output: Output) -> None:
    log = output.configure().logger
    hostile = "a\x1b[2Jb\r\nfake line\x9b\u202e"
    log.info("seen", value=hostile, nested={"k": hostile})
    log.info("request_answered", method="GET", path=hostile, status=200, duration_ms=1.0)
    try:
        raise ValueError(hostile)
    except ValueError as error:
        log.error("failed", exc_info=error)
    written = output.getvalue()
    assert not {"\x1b", "\r", "\x9b", "\u202e"} & set(written)
    assert len(output.lines) == 8  # one, one, and a traceback of six: the newline inside its message stays one
    assert printable("plain ünï") == "plain ünï"


def test_a_reader_who_left_is_no_error(output: Output) -> None:
    log = output.configure().logger
    output.close()
    log.info("nobody_reads_this")


PLANTED = (
    "plain-secret-value",
    "quo\"ted'secret",
    "back\\slash-secret",
    "new\nline-secret-1",
    "ünïcode-secret",
    "spaced out secret",
    "<html>&secret;",
    "tab\tsecret-here",
    "https://user:secretpw@db/x?y=1",
    "emoji-🔑-secret",
)
BY_NAME = {
    "authorization": "n-0001",
    "Cookie": "n-0002",
    "set-cookie": "n-0003",
    "api_key": "n-0004",
    "apiKey": "n-0005",
    "X-Api-Key": "n-0006",
    "DB_PASSWORD": "n-0007",
    "accessToken": "n-0008",
    "client_secret": "n-0009",
    "aws_secret_access_key": "n-0010",
}


class Holder:
    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Holder({self.value!r})"


def log_everything(logs: Logs) -> None:
    """Every planted secret, through every way into the log that we know."""
    for secret in PLANTED:
        log = logs.logger
        log.debug(
            "by_value", text=f"x {secret} y", raw=secret.encode(), held=Holder(secret), many=[{"deep": {secret: 1}}]
        )
        log.debug(f"in_event {secret}", url=quote(secret, safe=""), dumped=json.dumps({"a": secret}))
        log.info("request_answered", method="GET", path=f"/{secret}", status=200, duration_ms=1.0)
        logging.getLogger("user").warning("said %s and %r", secret, secret)
        try:
            try:
                raise KeyError(secret)
            except KeyError as error:
                raise RuntimeError(f"inside {secret!r}") from error
        except RuntimeError as error:
            log.error("failed", exc_info=error)
            logging.getLogger("user").error("failed", exc_info=True)
    logs.logger.info("by_name", **BY_NAME, headers=dict(BY_NAME), nested=[BY_NAME])
    logs.logger.info("bearer", text="curl -H 'Authorization: Bearer n-0011.abc'")


def seen_in(written: str) -> list[str]:
    spelled = [
        (secret, {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")}) for secret in PLANTED
    ]
    found = [secret for secret, spellings in spelled if any(spelling in written for spelling in spellings)]
    return found + [value for value in (*BY_NAME.values(), "n-0011") if value in written]


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_no_planted_secret_is_seen_at_debug_level(output: Output, log_format: LogFormat) -> None:
    log_everything(output.configure(log_format, "debug", PLANTED))
    assert seen_in(output.getvalue()) == []
    assert output.getvalue().count(REDACTED) > 60


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_the_search_for_planted_secrets_finds_what_is_not_hidden(output: Output, log_format: LogFormat) -> None:
    """The control: values are not known to the log, so the same search must find them."""
    log_everything(output.configure(log_format, "debug"))
    assert set(PLANTED) <= set(seen_in(output.getvalue()))


def test_a_reload_adds_secrets_and_forgets_none(output: Output) -> None:
    logs = output.configure("pretty", "info", ("first-secret",))
    logs.hide(["second-secret"])
    logs.logger.info("seen", text="first-secret second-secret")
    assert output.lines[0].endswith(f"text='{REDACTED} {REDACTED}'")


def test_ordinary_names_and_short_values_are_not_redacted() -> None:
    redactor = Redactor(["a", "on"])
    values = {"tokens_count": 3, "path": "/on/a", "key": "user:1", "keyboard": "x", "is_secret": True, "passed": 3}
    assert redactor.values(values) == {**values, "tokens_count": REDACTED}


def test_a_broken_str_does_not_break_the_log(output: Output) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no")

    output.configure().logger.info("seen", value=Broken())
    assert "cannot be shown" in output.lines[0]


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_a_line_says_what_its_code_works_for(output: Output, log_format: LogFormat) -> None:
    logs = output.configure(log_format)
    token = logged_about.set({"instance": "a", "step": "charge-1"})
    try:
        logs.logger.info("card_charged", instance="b", amount=5)
        logging.getLogger("shop").warning("slow bank")
    finally:
        logged_about.reset(token)
    logs.logger.info("after")
    if log_format == "json":
        own, foreign, after = output.records
        assert (own["instance"], own["step"], own["amount"]) == ("b", "charge-1", 5)
        assert (foreign["event"], foreign["instance"], foreign["step"]) == ("slow bank", "a", "charge-1")
        assert "step" not in after
    else:
        assert "card_charged instance=b amount=5 step=charge-1" in output.lines[0]
        assert "slow bank logger=shop instance=a step=charge-1" in output.lines[1]


async def test_request_lines_that_wait_are_written_by_a_flush(output: Output) -> None:
    """Which is the last thing a server does: the loop that would write them has ended."""
    logs = output.configure()
    logs.logger.info("request_answered", method="GET", path="/last", status=200, duration_ms=1.0)
    assert output.lines == []
    logs.flush()
    assert "GET /last 200 OK" in output.lines[0]


def test_a_log_that_cannot_be_written_fails_nobody(output: Output) -> None:
    """A terminal that was closed answers EIO."""

    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    log = configure("pretty", "info", stream=Closed()).logger
    log.info("seen")
