"""What `edge dev` answers when a Worker fails: a page for people, JSON for programs; and what `edge serve` answers.

The page shows the user's frame, the causes, and the request, without local variables unless asked. It needs no script
and loads nothing; its policy forbids both. Whatever comes from outside is escaped, secrets are taken out by value.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.context import request_id
from .core.errors import RefusedError
from .core.request import wire_headers, wire_method
from .core.response import Response
from .error_trace import cause_of, is_syntax_error, is_users, name_of, text_of, trace_of
from .hosts.logs import printable
from .hosts.redaction import Redactor
from .plain_answer import failure_status, retry_headers
from .request_log import path_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from traceback import FrameSummary, TracebackException

    from .core.request import Request

CONTEXT_LINES = 4
"""Source lines shown above and below the one that failed."""
FRAMES_MAX = 20
"""Frames shown per exception, the innermost ones: a recursion has a thousand alike."""


def error_response(
    request: Request, error: BaseException, *, show_locals: bool = False, secrets: Iterable[str] = ()
) -> Response:
    """The answer of `edge dev` to a request that failed, in the form its Accept header asks for."""
    if isinstance(error, RefusedError):
        return Response(f"{error}\n", status=error.http_status)
    status = failure_status(error)
    redactor = Redactor(secrets)
    trace = trace_of(error, show_locals=show_locals)
    form = _accepted_form(request)
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **retry_headers(error)}
    if form == "html":
        page = _Page(redactor).render(request, trace)
        headers |= {"content-type": "text/html;charset=UTF-8", "content-security-policy": _POLICY}
        return Response(page, status=status, headers=headers)
    if form == "json":
        text = json.dumps(_as_json(request, trace, redactor), indent=2)
        headers["content-type"] = "application/json"
        return Response(f"{text}\n", status=status, headers=headers)
    headers["content-type"] = "text/plain;charset=UTF-8"
    text = printable(redactor.text(text_of(trace)), keep="\n")  # a client may have sent it: curl shows it in a terminal
    return Response(f"{text}\n\nRequest {request_id.get()}\n", status=status, headers=headers)


def _accepted_form(request: Request) -> str:
    """What the Accept header likes best of html, json and plain, the first of several; plain where it names none.

    Source: RFC 9110, 12.5.1.
    """
    accepted = b",".join(value for name, value in wire_headers(request) if name.lower() == b"accept")
    best, best_quality = "plain", 0.0
    for media_range in accepted.decode("latin-1").lower().split(","):
        media_type, *parameters = (part.strip() for part in media_range.split(";"))
        form = "json" if media_type.endswith(("/json", "+json")) else media_type.removeprefix("text/")
        if form in {"html", "json", "plain"} and (quality := _quality(parameters)) > best_quality:
            best, best_quality = form, quality
    return best


def _quality(parameters: list[str]) -> float:
    """The weight of a media range; of one that is none, 0."""
    weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return float(weight)
    except ValueError:
        return 0.0


def _chain(trace: TracebackException) -> Iterator[tuple[str, TracebackException]]:
    """The error, then what it came from, each with a heading; the parts of a group after the group."""
    heading = ""
    current: TracebackException | None = trace
    while current is not None:
        yield heading, current
        for number, part in enumerate(current.exceptions or (), start=1):
            yield from ((how or f"part {number} of the group", one) for how, one in _chain(part))
        heading, current = cause_of(current) or ("", None)


def _as_json(request: Request, trace: TracebackException, redactor: Redactor) -> dict[str, Any]:
    errors = [
        {
            "how": how or "raised",
            "type": name_of(one),
            "message": redactor.text(str(one)),
            "frames": [_frame_as_json(frame, redactor) for frame in _frames(one)],
        }
        for how, one in _chain(trace)
    ]
    return {
        "error": {key: errors[0][key] for key in ("type", "message")},
        "request": {
            "method": wire_method(request),
            "path": redactor.text(path_of(request.url)),
            "id": request_id.get(),
        },
        "chain": errors,
    }


def _frame_as_json(frame: FrameSummary, redactor: Redactor) -> dict[str, Any]:
    shown = {
        "file": frame.filename,
        "line": frame.lineno,
        "function": frame.name,
        "source": redactor.text(frame.line or ""),
    }
    return shown if frame.locals is None else shown | {"locals": redactor.values(frame.locals)}


class _Page:
    """The HTML of one failure. Every text from outside goes through `text`: secrets out first, then escaped."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def text(self, text: str) -> str:
        return escape(printable(self._redactor.text(text), keep="\n"))

    def render(self, request: Request, trace: TracebackException) -> str:
        title = f"{name_of(trace)}: {trace}" if str(trace) else name_of(trace)
        errors = "".join(self._error(how, one, is_first=number == 0) for number, (how, one) in enumerate(_chain(trace)))
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{self.text(title)[:300]}</title>'
            f'<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
            f"<style>{_STYLE}</style></head><main>"
            f"<p class=asked>{self.text(wire_method(request))} {self.text(path_of(request.url))}"
            f"<span>request {self.text(request_id.get())}</span></p>{errors}"
            f"<footer>edge dev shows this page; edge serve answers 500 without the reason.</footer></main></html>"
        )

    def _error(self, how: str, trace: TracebackException, *, is_first: bool) -> str:
        heading = f"<p class=how>{self.text(how)}</p>" if how else ""
        level = "h1" if is_first else "h2"
        parts = [f"{heading}<{level}>{self.text(name_of(trace))}</{level}>"]
        if is_syntax_error(trace):
            parts.append(f"<pre class=message>{self.text(trace.msg or '')}</pre>{self._syntax(trace)}")
        else:
            parts.append(f"<pre class=message>{self.text(str(trace))}</pre>")
        frames = _frames(trace)
        own = next((frame for frame in reversed(frames) if is_users(frame)), frames[-1] if frames else None)
        if own is not None:
            parts.append(self._frame(own, is_open=True))
        others = [self._frame(frame, is_open=False) for frame in reversed(frames) if frame is not own]
        if others:
            parts += ["<p class=how>other frames, innermost first</p>", *others]
        return f"<section>{''.join(parts)}</section>"

    def _syntax(self, trace: TracebackException) -> str:
        """Where the parser stopped; its offsets count from 1."""
        start = max(int(trace.offset or 1) - 1, 0)
        end = max(int(trace.end_offset or 0) - 1, start + 1)
        line, filename = int(trace.lineno or 0), trace.filename or ""
        place = f"<p class=place><b>{self.text(_short(filename))}</b>:{line}</p>"
        return place + self._source(filename, line, start, end, fallback=trace.text or "")

    def _frame(self, frame: FrameSummary, *, is_open: bool) -> str:
        place = f"<b>{self.text(_short(frame.filename))}</b>:{frame.lineno} in {self.text(frame.name)}"
        start, end = _columns(frame)
        source = self._source(frame.filename, frame.lineno or 0, start, end, fallback=frame.line or "")
        if frame.locals:
            source += self._locals(frame.locals)
        if is_open:
            return f"<p class=place>{place}</p>{source}"
        return f"<details><summary>{place}</summary>{source}</details>"

    def _source(self, filename: str, line: int, start: int, end: int, *, fallback: str) -> str:
        rows = []
        for number, text in _lines(filename, line, CONTEXT_LINES) or [(line, fallback.rstrip("\n"))]:
            is_hit = number == line
            is_marked = is_hit and start < end and self._redactor.text(text) == text
            shown = self._marked(text, start, end) if is_marked else self.text(text)
            rows.append(f"<span class='line{' hit' if is_hit else ''}'><i>{number}</i>{shown or ' '}</span>")
            if is_marked:
                rows.append(f"<span class='line hit caret'><i></i>{' ' * start}{'^' * (end - start)}</span>")
        return f"<pre class=source>{''.join(rows)}</pre>"

    def _marked(self, text: str, start: int, end: int) -> str:
        text = text.ljust(end)  # the parser may point behind the end
        return f"{escape(text[:start])}<mark>{escape(text[start:end])}</mark>{escape(text[end:])}"

    def _locals(self, values: dict[str, str]) -> str:
        shown = self._redactor.values(values)
        rows = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in shown.items())
        return f"<table>{''.join(rows)}</table>"


def _columns(frame: FrameSummary) -> tuple[int, int]:
    """The failing part of the line, in characters where Python counts bytes; (0, 0) when it is not known."""
    start, end = frame.colno, frame.end_colno
    lines = _lines(frame.filename, frame.lineno or 0, 0)
    if start is None or end is None or not lines:
        return 0, 0
    raw = lines[0][1].encode()
    end = end if frame.end_lineno == frame.lineno else len(raw)
    return len(raw[:start].decode(errors="replace")), len(raw[:end].decode(errors="replace"))


def _lines(filename: str, line: int, around: int) -> list[tuple[int, str]]:
    import linecache  # noqa: PLC0415 - an error is rare

    lines = linecache.getlines(filename)
    first = max(line - around, 1)
    return [(first + at, text.rstrip("\n")) for at, text in enumerate(lines[first - 1 : line + around])]


def _frames(trace: TracebackException) -> list[FrameSummary]:
    return list(trace.stack)[-FRAMES_MAX:]


def _short(filename: str) -> str:
    """Relative to where `edge dev` was started, when it is below."""
    path = Path(filename)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else filename


_STYLE = """
:root{--ink:#1d2129;--soft:#667085;--page:#f6f7f9;--card:#fff;--line:#e3e6eb;--red:#b42318;--hit:#fff1ef;--mark:#ffd5cf}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--soft:#98a2b3;--page:#14171c;--card:#1c2027;--line:#2e343e;
--red:#ff8f83;--hit:#35211f;--mark:#6b2a24}}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:62rem;margin:2rem auto;padding:0 1rem}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.25rem 1.5rem;margin:1rem 0}
h1,h2{margin:0;color:var(--red);font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem}
pre,summary,.place,.asked,td,th{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.875rem}
.message{white-space:pre-wrap;overflow-wrap:anywhere;font-size:1rem;margin:.25rem 0 1rem}
.asked{color:var(--soft);overflow-wrap:anywhere}.asked span{float:right}
.how{color:var(--soft);margin:1rem 0 .25rem;font-size:.875rem}section>.how:first-child{margin-top:0}
.place{margin:0 0 .25rem}summary{cursor:pointer;color:var(--soft);padding:.15rem 0}summary b{font-weight:500}
.source{border:1px solid var(--line);border-radius:8px;overflow-x:auto;padding:.5rem 0;margin:0 0 .5rem;
line-height:1.55;tab-size:1}
.line{display:block;white-space:pre;padding-right:1rem}
.line i{display:inline-block;width:3.5rem;margin-right:1rem;text-align:right;color:var(--soft);
font-style:normal;user-select:none}
.hit{background:var(--hit)}.caret{color:var(--red);line-height:1;margin-top:-.2rem}
mark{background:var(--mark);color:inherit;border-radius:3px}
table{border-collapse:collapse;margin:.5rem 0;width:100%}
th{font-weight:500;color:var(--soft);text-align:left;vertical-align:top;padding:.1rem 1rem .1rem 0}
td{white-space:pre-wrap;overflow-wrap:anywhere}
footer{color:var(--soft);font-size:.8rem;margin:1.5rem 0}
""".strip()

_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
