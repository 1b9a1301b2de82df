"""A1, A2, B1 and CORS: who may send to which door of which stream, from where."""

from __future__ import annotations

import base64
import json
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from edge.bindings.pipelines.ids import id_of

if TYPE_CHECKING:
    from .conftest import Answer, Ingest

SEND = "Workers Pipeline Send"
EVENT = {"timestamp": "2026-01-01T00:00:00Z", "source": "s", "event": {}}
V1 = "http://api.localhost:8787/v1/streams/ingest"
DOORS = {
    "host": ("http://guarded.ingest.localhost:8787/", {}),
    "path": ("http://localhost:8787/cdn-cgi/ingest/guarded", {}),
    "v1": (V1, {"x_stream_id": "guarded", "content_type": "application/json"}),
    "v1 path": (
        "http://localhost:8787/cdn-cgi/api/v1/streams/ingest",
        {"x_stream_id": "guarded", "content_type": "application/json"},
    ),
}
ONE_401 = {
    "host": {"code": 1001, "message": "The token is missing, malformed, unknown, revoked or expired."},
    "v1": "The token is missing, malformed, unknown, revoked or expired.",
}


def segment(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def bad_tokens(ingest: Ingest) -> list[str | None]:
    """Authorization headers that must all fail the same way; None is no header."""
    good = ingest.tokens.create(SEND)
    known = {token.id for token in ingest.tokens.list()}
    revoked = ingest.tokens.create(SEND)
    ingest.tokens.revoke(next(token.id for token in ingest.tokens.list() if token.id not in known))
    head, payload, signature = good.split(".")
    header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
    now = int(time.time())
    forged = [  # 24: six claims, two keys, two key ids
        jwt.encode({**claims, **changes}, key, algorithm=algorithm, headers={**header, **more})
        for changes, (key, algorithm), more in product(
            [{}, {"exp": now - 1}, {"exp": now + 10**9}, {"aud": "other"}, {"iss": "other"}, {"jti": "other"}],
            [("guess-guess-guess-guess-guess-guess-guess-guess", "HS256"), ("x" * 64, "HS512")],
            [{}, {"kid": "other"}],
        )
    ]
    edited = [
        f"{segment(header | {'alg': 'none'})}.{payload}.",
        f"{segment(header | {'alg': 'HS384'})}.{payload}.{signature}",
        f"{segment(header | {'kid': '../../etc/passwd'})}.{payload}.{signature}",
        f"{segment(header | {'jwk': {'kty': 'oct', 'k': 'AA'}})}.{payload}.{signature}",
        f"{head}.{segment(claims | {'exp': now + 10**6})}.{signature}",
        f"{head}.{segment([])}.{signature}",
        f"{head}.{segment(b'{')}.{signature}",
        f"{segment(b'null')}.{payload}.{signature}",
        f"{head}.{payload}",
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-2]}",
        f"{head}.{payload}.{signature}x",
        f"{good}.{signature}",
        f"..{signature}",
        "..",
        ".",
        "",
        " ",
        good[::-1],
        good.upper(),
        f'"{good}"',
        f"{good}, {good}",
        f"{good}\x00",
        "x" * 9000,
        "a." * 4000,
        "%00",
        "null",
        "undefined",
        "é.é.é",
    ]
    schemes = [None, "", "Bearer", f"Basic {good}", f"Token {good}", good, f"Bearer\t{good}", f"Digest {good}"]
    return [*schemes, f"Bearer {revoked}", *(f"Bearer {text}" for text in (*forged, *edited))]


async def ask(ingest: Ingest, door: str, body: bytes | None = None, **headers: str) -> Answer:
    url, own = DOORS[door]
    content = json.dumps(EVENT if door.startswith("v1") else [EVENT]).encode() if body is None else body
    return await ingest.ask(url, content, **own, **headers)


@pytest.mark.parametrize("door", DOORS)
async def test_every_bad_token_is_the_same_401(ingest: Ingest, door: str) -> None:
    bad = bad_tokens(ingest)
    assert len(bad) >= 60
    answers = [await ask(ingest, door, **({} if text is None else {"authorization": text})) for text in bad]
    assert {answer.status for answer in answers} == {401}
    assert len({(json.dumps(answer.json), str(answer.headers)) for answer in answers}) == 1
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert await ingest.kept("guarded") == []


async def test_the_401_says_the_same_at_both_doors(ingest: Ingest) -> None:
    assert (await ask(ingest, "host")).json == {"success": False, "error": ONE_401["host"]}
    assert (await ask(ingest, "v1")).json == {"error": "unauthorized", "detail": ONE_401["v1"]}


TOKENS: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    "may send": ((SEND,), (), 200),
    "may send, the newer name": (("Basin Pipelines Send",), (), 200),
    "for this stream by id": ((SEND,), (id_of("stream", "guarded"),), 200),
    "for this stream by name": ((SEND,), ("other", "guarded"), 200),
    "for another stream": ((SEND,), (id_of("stream", "flights"),), 403),
    "may read": (("Workers Pipelines Read",), (), 403),
    "may write": (("Workers Pipelines Write",), (), 403),
    "of another product": (("Workers KV Storage Write",), (), 403),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", TOKENS)
async def test_a_good_token_is_403_where_it_does_not_reach(ingest: Ingest, door: str, kind: str) -> None:
    permissions, stream_ids, status = TOKENS[kind]
    token = ingest.tokens.create(*permissions, stream_ids=stream_ids)
    answer = await ask(ingest, door, authorization=f"bearer  {token}")
    assert answer.status == status
    if status == 403:
        assert answer.json.get("error") == "forbidden" or answer.json["error"]["code"] == 1004
    assert len(await ingest.kept("guarded")) == (status == 200)


async def test_a_revoked_and_an_expired_token_stop_working(ingest: Ingest) -> None:
    short = ingest.tokens.create(SEND, expires_s=60)
    long = ingest.tokens.create(SEND)
    for text in (short, long):
        assert (await ask(ingest, "host", authorization=f"Bearer {text}")).status == 200
    await ingest.host.advance(61)
    assert (await ask(ingest, "host", authorization=f"Bearer {short}")).status == 401
    for token in ingest.tokens.list():
        ingest.tokens.revoke(token.id)
    await ingest.host.advance(1)
    assert (await ask(ingest, "host", authorization=f"Bearer {long}")).status == 401


async def test_v1_wants_a_token_also_of_a_stream_whose_endpoint_does_not(ingest: Ingest) -> None:
    answer = await ingest.ask(V1, b"{}", x_stream_id="flights", content_type="application/json")
    assert answer.status == 401


ALLOWED = "https://app.example"
OWN = "http://guarded.ingest.localhost:8787"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", f"{ALLOWED}.evil.example", ""]
)
async def test_a_page_of_an_origin_that_is_not_allowed_is_refused(ingest: Ingest, origin: str) -> None:
    methods = ("POST", "OPTIONS", "GET")
    content_types = ("text/plain", "application/json", "application/x-www-form-urlencoded")
    for stream, method, content_type in product(("guarded", "flights"), methods, content_types):
        answer = await ingest.post([], stream, method=method, origin=origin, content_type=content_type)
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_that_hides_its_origin_is_refused(ingest: Ingest, site: str) -> None:
    assert (await ingest.post([{}], "flights", sec_fetch_site=site)).status == 403
    assert (await ingest.post([{}], "open", sec_fetch_site=site)).status == 200
    assert (await ingest.post([{}], "flights", sec_fetch_site="none")).status == 200


async def test_an_allowed_page_may_read_every_answer(ingest: Ingest) -> None:
    bearer = f"Bearer {ingest.tokens.create(SEND)}"
    asked: list[dict[str, Any]] = [
        {"authorization": bearer, "status": 200},
        {"status": 401},
        {"authorization": bearer, "body": b"[", "status": 400},
        {"authorization": bearer, "content_encoding": "br", "status": 415},
        {"method": "GET", "status": 405},
    ]
    for one in asked:
        status = one.pop("status")
        answer = await ingest.post(one.pop("body", b"[]"), "guarded", origin=ALLOWED, **one)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        assert answer.headers["vary"] == "origin"


async def test_preflights_are_answered_as_the_stream_says(ingest: Ingest) -> None:
    answer = await ingest.post(b"", "guarded", method="OPTIONS", origin=ALLOWED, access_control_request_method="POST")
    assert (answer.status, answer.json) == (204, None)
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert answer.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    answer = await ingest.post(b"", "open", method="OPTIONS", origin="https://any.example")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "*")
    answer = await ingest.post(b"", "guarded", method="OPTIONS", origin=OWN)
    assert (answer.status, "access-control-allow-origin" in answer.headers) == (204, False)
