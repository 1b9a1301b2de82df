"""What a client sees of a Worker that fails."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.context import request_id
from edge.runtime.core.errors import BackendError, BindingError, HandlerError, RefusedError, UnsupportedError
from edge.runtime.core.request import incoming_request
from edge.runtime.core.response import wire_body, wire_head
from edge.runtime.error_page import error_response
from edge.runtime.plain_answer import plain_answer

if TYPE_CHECKING:
    from pathlib import Path

HTML, JSON, ANY = "text/html,*/*;q=0.8", "application/json", "*/*"

SOURCE = """
def outer(text):
    try:
        inner(text)
    except KeyError as error:
        raise RuntimeError(f"ünï <b>{text}</b>") from error

def inner(text):
    local_name = "local " + "value"
    return {"ä": 1}["ä"] + {}[text]
"""


class Failing:
    """A user's file that raises; `error` is what it raised."""

    def __init__(self, path: Path, source: str = SOURCE) -> None:
        path.write_text(source)
        self.path = path
        self.names: dict[str, Any] = {}
        exec(compile(source, str(path), "exec"), self.names)

    def error(self, text: str) -> Exception:
        with pytest.raises(RuntimeError) as raised:
            self.names["outer"](text)
        return raised.value


@pytest.fixture
def failing(tmp_path: Path) -> Failing:
    return Failing(tmp_path / "entry.py")


async def answer(
    error: BaseException, accept: str = ANY, url: str = "http://localhost/a?q=1", **options: Any
) -> tuple[int, dict[str, str], str]:
    request = incoming_request("GET", url, [(b"Accept", accept.encode())])
    response = error_response(request, error, **options)
    status, _, headers = wire_head(response)
    body = wire_body(response)
    assert body is not None
    return status, dict(headers), (await body.read()).decode()


async def test_html_shows_line_caret_and_cause_and_loads_nothing(failing: Failing) -> None:
    status, headers, page = await answer(failing.error("<script>alert(1)</script>"), HTML)
    assert (status, headers["content-type"]) == (500, "text/html;charset=UTF-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "<script" not in page
    assert "ünï &lt;b&gt;&lt;script&gt;" in page
    assert "entry.py</b>:6 in outer" in page
    assert "<mark>{}[text]</mark>" in page
    assert "caused by" in page
    assert not re.search(r"(src|href)=", page)
    assert "local value" not in page


async def test_the_style_is_the_one_the_policy_allows(failing: Failing) -> None:
    _, headers, page = await answer(failing.error("x"), HTML)
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in headers["content-security-policy"]


async def test_the_caret_stands_under_characters_not_bytes(failing: Failing) -> None:
    _, _, page = await answer(failing.error("x"), HTML)
    rows = re.findall(r"<span class='line hit(?: caret)?'><i>\d*</i>(.*?)</span>", page)
    texts = [unescape(row).replace("<mark>", "").replace("</mark>", "") for row in rows]
    marked, caret = next(pair for pair in pairwise(texts) if "{}[text]" in pair[0])
    assert marked.index("{}[text]") == caret.index("^")
    assert caret.strip() == "^" * len("{}[text]")


async def test_json_has_the_chain_and_the_request(failing: Failing) -> None:
    token = request_id.set("00ff")
    status, headers, text = await answer(failing.error("x"), JSON)
    request_id.reset(token)
    told = json.loads(text)
    assert (status, headers["content-type"]) == (500, "application/json")
    assert told["error"] == {"type": "RuntimeError", "message": "ünï <b>x</b>"}
    assert told["request"] == {"method": "GET", "path": "/a", "id": "00ff"}
    assert [one["how"] for one in told["chain"]] == ["raised", "caused by"]
    assert told["chain"][0]["frames"][-1] == {
        "file": str(failing.path),
        "line": 6,
        "function": "outer",
        "source": 'raise RuntimeError(f"ünï <b>{text}</b>") from error',
    }


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/json, text/html;q=0.1", "application/json"),
        ("text/html;q=0, application/json", "application/json"),
        ("text/html; q=0.9 , application/problem+json;q=0.95", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html, application/json", "text/html;charset=UTF-8"),
        ("TEXT/HTML;level=1;Q=1, application/json;q=0.999", "text/html;charset=UTF-8"),
        ("application/json;q=0.1, */*;q=0.8", "application/json"),
        ("text/plain, text/html;q=0.5", "text/plain;charset=UTF-8"),
        ("application/json;q=0", "text/plain;charset=UTF-8"),
        ("application/json;q=high, text/html;q=0.1", "text/html;charset=UTF-8"),
        ("image/png", "text/plain;charset=UTF-8"),
        ("", "text/plain;charset=UTF-8"),
    ],
)
async def test_the_form_is_the_one_the_client_likes_best(accept: str, content_type: str) -> None:
    _, headers, _ = await answer(ValueError("x"), accept)
    assert headers["content-type"] == content_type


async def test_text_is_a_traceback(failing: Failing) -> None:
    _, headers, text = await answer(failing.error("x"))
    assert headers["content-type"] == "text/plain;charset=UTF-8"
    assert "~~^^^^^^" in text
    assert "KeyError: 'x'" in text


@pytest.mark.parametrize("accept", [HTML, JSON, ANY])
async def test_locals_are_shown_only_when_asked_and_secrets_never(failing: Failing, accept: str) -> None:
    secrets = ["planted <secret> & 'more'", 'pl"anted']
    for secret in secrets:
        error = failing.error(secret)
        _, _, page = await answer(error, accept, secrets=secrets)
        assert "local value" not in page
        _, _, page = await answer(error, accept, secrets=secrets, show_locals=True)
        assert "local value" in page
        assert "[redacted]" in page
        assert not re.search("planted|anted &", page)


async def test_the_control_sees_the_secret_that_nobody_named(failing: Failing) -> None:
    assert "planted" in (await answer(failing.error("planted")))[2]


@pytest.mark.parametrize("accept", [HTML, JSON, ANY])
async def test_a_module_that_cannot_be_parsed_is_shown_at_its_line(tmp_path: Path, accept: str) -> None:
    path = tmp_path / "entry.py"
    path.write_text("x = 1\ndef broken(:\n")
    try:
        ast.parse(path.read_text(), str(path))
    except SyntaxError as error:
        loading = HandlerError("the wrapping sentence")
        loading.__cause__ = error.with_traceback(None)
    _, _, page = await answer(loading, accept)
    assert "SyntaxError" in page
    assert "invalid syntax" in page
    if accept == HTML:
        assert "entry.py</b>:2" in page
        assert "def broken(<mark>:</mark>" in page
    assert "the wrapping sentence" not in page


async def test_every_part_of_a_group_is_shown(failing: Failing) -> None:
    group = ExceptionGroup("both", [failing.error("one"), ValueError("two")])
    _, _, page = await answer(group, HTML)
    assert "part 1 of the group" in page
    assert "part 2 of the group" in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    told = json.loads((await answer(group, JSON))[2])
    assert [one["type"] for one in told["chain"]] == ["ExceptionGroup", "RuntimeError", "KeyError", "ValueError"]


async def test_a_method_that_python_does_not_know_is_no_second_failure(failing: Failing) -> None:
    request = incoming_request("PURGE", "http://localhost/", [(b"accept", b"text/html")])
    body = wire_body(error_response(request, failing.error("x")))
    assert body is not None
    assert b"PURGE /" in await body.read()


async def test_a_recursion_is_cut_short(tmp_path: Path) -> None:
    names = Failing(tmp_path / "entry.py", "def again(): again()\n").names
    with pytest.raises(RecursionError) as raised:
        names["again"]()
    _, _, page = await answer(raised.value, HTML)
    assert len(page) < 50_000


async def test_a_source_that_is_gone_is_no_second_failure(failing: Failing) -> None:
    error = failing.error("x")
    failing.path.unlink()
    for accept in (HTML, JSON, ANY):
        assert "RuntimeError" in (await answer(error, accept))[2]


@pytest.mark.parametrize("accept", [HTML, ANY])
async def test_what_a_client_sent_cannot_drive_a_terminal(accept: str) -> None:
    _, _, page = await answer(ValueError("clear \x1b[2J screen"), accept)
    assert "\x1b" not in page
    assert "clear \\x1b[2J screen" in page


@pytest.mark.parametrize(
    "error", [BindingError("over 5 MB", http_status=413), UnsupportedError("not on this platform")]
)
async def test_what_a_binding_refused_is_500_as_in_edge_serve(error: Exception) -> None:
    request = incoming_request("GET", "http://localhost/", [])
    assert (await answer(error))[0] == plain_answer(request, error).status == 500


async def test_the_status_of_an_error_is_kept() -> None:
    assert (await answer(RefusedError(413, "The body is too large.")))[::2] == (413, "The body is too large.\n")
    status, headers, _ = await answer(BackendError("disk full"), HTML)
    assert (status, headers["retry-after"]) == (503, "1")
