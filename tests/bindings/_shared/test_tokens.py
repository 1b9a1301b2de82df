"""Tokens: made once, checked on every request, worthless when anything about them is wrong."""

from __future__ import annotations

import base64
import hmac
import json
import re
import sqlite3
import stat
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from edge.bindings._shared.permissions import TokenError, canonical_permission
from edge.bindings._shared.tokens import EXPIRES_SECONDS, POLL_SECONDS, TOKEN_CHARACTERS_MAX, TokenStore
from edge.runtime.core.errors import BackendError
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    OpenStore = Callable[..., TokenStore]

SEND = "Workers Pipeline Send"
STREAM = "a" * 32


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.fixture
def open_store(host: FakeHost) -> Iterator[Callable[..., TokenStore]]:
    """A store as another process has it, closed when the test ends."""
    stores: list[TokenStore] = []

    def open_one(folder: Path = host.state_dir, now: Callable[[], float] = host.now) -> TokenStore:
        stores.append(TokenStore(folder, now=now))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., TokenStore]) -> TokenStore:
    return open_store()


def database(host: FakeHost) -> sqlite3.Connection:
    return sqlite3.connect(host.state_dir / "tokens.sqlite3")


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: Any, key: bytes) -> str:
    body = f"{encoded(header)}.{encoded(claims)}"
    return f"{body}.{encoded(hmac.digest(key, body.encode(), 'sha256'))}"


def test_a_token_is_known_again_with_what_it_allows(store: TokenStore, host: FakeHost) -> None:
    token = store.verify(store.create(SEND, stream_ids=[STREAM], expires_s=60))
    assert token is not None
    assert token.permissions == ("Pipelines Send",)
    assert token.expires_at == host.now() + 60
    assert token.is_for_stream(STREAM)
    assert not token.is_for_stream("b" * 32)
    assert [found.id for found in store.list()] == [token.id]


def test_a_token_for_no_stream_in_particular_is_for_every_one(store: TokenStore) -> None:
    token = store.verify(store.create(SEND))
    assert token is not None
    assert token.is_for_stream(STREAM)


def test_another_process_knows_it_too(store: TokenStore, open_store: OpenStore) -> None:
    other = open_store()
    assert other.verify(store.create(SEND)) is not None
    assert other.verify(other.create(SEND)) is not None


@pytest.mark.parametrize(
    "name", ["Workers Pipeline Send", "Basin Pipelines Send", "workers pipelines  send", "Pipelines Send"]
)
def test_old_and_new_names_are_one_permission(store: TokenStore, name: str) -> None:
    token = store.verify(store.create(name))
    assert token is not None
    for other in ("Workers Pipeline Send", "Basin Pipelines Send", "Workers Pipelines Send"):
        assert token.permits(other)
    assert not token.permits("Workers Pipelines Write")
    assert not token.permits("Workers Pipelines Read")


@pytest.mark.parametrize(
    ("held", "wanted", "is_allowed"),
    [
        ("Workers Pipelines Write", "Workers Pipelines Read", True),
        ("Workers Pipelines Edit", "Workers Pipelines Write", True),
        ("Workers Pipelines Write", "Workers Pipelines Send", False),
        ("Workers Pipelines Read", "Workers Pipelines Write", False),
        ("Queues Write", "Workers Pipelines Read", False),
        ("All Write", "Workers Pipelines Send", True),
        ("All Write", "Queues Write", True),
        ("All Read", "Queues Read", True),
        ("All Read", "Queues Write", False),
        ("All Read", "Workers Pipelines Send", False),
    ],
)
def test_what_a_permission_allows(store: TokenStore, held: str, wanted: str, is_allowed: bool) -> None:
    token = store.verify(store.create(held))
    assert token is not None
    assert token.permits(wanted) is is_allowed


def test_an_unknown_permission_is_named_with_the_nearest() -> None:
    with pytest.raises(TokenError, match=r"There is no permission 'Pipeline Sent'. Did you mean 'Pipelines Send'\?"):
        canonical_permission("Pipeline Sent")
    with pytest.raises(TokenError, match="There is no permission 'KV Send'"):
        canonical_permission("KV Send")


def test_what_cannot_be_made_says_why(store: TokenStore) -> None:
    with pytest.raises(TokenError, match="A token needs a permission"):
        store.create()
    with pytest.raises(TokenError, match="for some streams only can only send"):
        store.create(SEND, "Workers Pipelines Write", stream_ids=[STREAM])
    with pytest.raises(TokenError, match="more than 0 s, not -1 s"):
        store.create(SEND, expires_s=-1)
    with pytest.raises(TokenError, match="'nobody' is no e-mail address"):
        store.create_global_key("nobody")
    assert store.list() == ()


async def test_a_token_ends(store: TokenStore, host: FakeHost) -> None:
    text = store.create(SEND)
    await host.advance(EXPIRES_SECONDS - 1)
    assert store.verify(text) is not None
    await host.advance(1)
    assert store.verify(text) is None


def test_a_revoked_token_is_worthless_at_once_in_this_process(store: TokenStore, host: FakeHost) -> None:
    text = store.create(SEND)
    token = store.verify(text)
    assert token is not None
    assert store.revoke(token.id).revoked_at == host.now()
    assert store.verify(text) is None
    assert store.list()[0].revoked_at == host.now()


async def test_another_process_sees_a_revocation_at_its_next_poll(
    store: TokenStore, host: FakeHost, open_store: OpenStore
) -> None:
    other = open_store()
    text = store.create(SEND)
    token = other.verify(text)
    assert token is not None
    store.revoke(token.id)
    assert other.verify(text) is not None  # the control: it is remembered, not read anew each time
    await host.advance(POLL_SECONDS)
    assert other.verify(text) is None


async def test_a_clock_set_back_does_not_hide_a_revocation(
    store: TokenStore, host: FakeHost, open_store: OpenStore
) -> None:
    now = [host.now()]
    other = open_store(now=lambda: now[0])
    text = store.create(SEND)
    token = other.verify(text)
    assert token is not None
    store.revoke(token.id)
    now[0] -= 3600
    assert other.verify(text) is None


def test_revoking_what_is_not_there_says_so(store: TokenStore) -> None:
    with pytest.raises(TokenError, match="There is no token 'nope'"):
        store.revoke("nope")


def test_a_global_key_goes_with_its_email(store: TokenStore) -> None:
    key = store.create_global_key("Ada@example.com")
    assert re.fullmatch(r"[0-9a-f]{37}", key)
    token = store.verify_global_key("ada@example.com", key)
    assert token is not None
    assert token.permits("Workers Pipelines Write")
    assert token.email == "Ada@example.com"
    assert store.verify_global_key("eve@example.com", key) is None
    assert store.verify_global_key("ada@example.com", "0" * 37) is None
    assert store.verify(key) is None
    store.revoke(token.id)
    assert store.verify_global_key("ada@example.com", key) is None


def test_no_text_of_a_token_is_kept_and_the_file_is_private(store: TokenStore, host: FakeHost) -> None:
    texts = [store.create(SEND), store.create_global_key("ada@example.com")]
    for path in host.state_dir.iterdir():
        kept = path.read_bytes()
        assert not any(part.encode() in kept for text in texts for part in text.split("."))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_check_makes_no_file(store: TokenStore, host: FakeHost) -> None:
    assert store.verify("a.b.c") is None
    assert store.list() == ()
    assert list(host.state_dir.iterdir()) == []


def test_a_damaged_file_is_no_bad_token(store: TokenStore, host: FakeHost) -> None:
    (host.state_dir / "tokens.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(BackendError, match="is no SQLite database"):
        store.verify("a.b.c")


def forgeries(good: str, key: bytes, now: float) -> dict[str, str]:
    """Bad tokens by what is wrong with them. Those from `key` on are signed well."""
    header, claims, signature = good.split(".")
    head = json.loads(base64.urlsafe_b64decode(header + "=="))
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    bad: dict[str, str] = {
        "empty": "",
        "a word": "token",
        "two parts": f"{header}.{claims}",
        "four parts": f"{good}.x",
        "no signature": f"{header}.{claims}.",
        "cut": good[:-1],
        "longer": good + "A",
        "a space": good + " ",
        "a newline": good + "\n",
        "a zero byte": good + "\0",
        "not ASCII": good + "ä",
        "half a character": good + "\ud800",
        "padded": good + "=",
        "bearer twice": f"Bearer {good}",
        "too long": f"{header}.{'A' * TOKEN_CHARACTERS_MAX}.{signature}",
        "deep": f"{encoded(b'[' * 5000)}.{claims}.{signature}",
        "deep claims": f"{header}.{encoded(b'[' * 5000)}.{signature}",
        "header is a list": signed([head], body, key),  # type: ignore[arg-type]  # that is the point
        "claims are a list": signed(head, [body], key),
        "claims are a number": signed(head, 1, key),
        "not JSON": f"{encoded(b'{')}.{claims}.{signature}",
        "not UTF-8": f"{encoded(bytes([255]))}.{claims}.{signature}",
        "parts swapped": f"{claims}.{header}.{signature}",
        "changed claims": f"{header}.{encoded({**body, 'exp': body['exp'] + 1})}.{signature}",
        "hash as key": signed(head, body, sha256(key).digest()),
        "kid as key": signed(head, body, head["kid"].encode()),
    }
    bad |= {f"key {name}": signed(head, body, other) for name, other in KEYS.items()}
    bad |= {f"alg {alg}": signed({**head, "alg": alg}, body, key) for alg in ALGORITHMS}
    bad |= {f"alg {alg} unsigned": f"{encoded({**head, 'alg': alg})}.{claims}." for alg in ("none", "None", "nOnE", "")}
    bad |= {f"kid {kid!r:.20}": signed({**head, "kid": kid}, body, key) for kid in KIDS}
    bad |= {f"without {name}": signed(head, {k: v for k, v in body.items() if k != name}, key) for name in REQUIRED}
    bad |= {f"{name} is {value!r:.20}": signed(head, {**body, name: value}, key) for name, value in WRONG_CLAIMS}
    bad["without kid"] = signed({k: v for k, v in head.items() if k != "kid"}, body, key)
    bad["without alg"] = signed({k: v for k, v in head.items() if k != "alg"}, body, key)
    bad["crit"] = signed({**head, "crit": ["exp"]}, body, key)
    bad["key in header"] = signed({**head, "jwk": {"kty": "oct", "k": encoded(b"k" * 32)}}, body, b"k" * 32)
    bad["key by URL"] = signed({**head, "jku": "http://127.0.0.1:9/keys"}, body, b"k" * 32)
    bad["expired"] = signed(head, {**body, "exp": int(now) - 1}, key)
    bad["not before"] = signed(head, {**body, "nbf": 2**40}, key)
    return bad


KEYS = {"empty": b"", "zero": bytes(32), "issuer": b"edge", "public": b"-----BEGIN PUBLIC KEY-----\n"}
ALGORITHMS = ["none", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", "HS256 ", 1, None, ["HS256"]]
KIDS = ["../../../etc/passwd", "/dev/null", "' OR 1=1 --", "", None, 1, ["x"], {"x": 1}, "x" * 4000, "\0"]
REQUIRED = ["exp", "iss", "aud", "jti"]
WRONG_CLAIMS: list[tuple[str, Any]] = [
    ("iss", "cloudflare"), ("iss", ["edge"]), ("iss", None), ("aud", "other"), ("aud", ["edge-api"]), ("aud", None),
    ("jti", "0" * 32), ("jti", 1), ("jti", None), ("exp", "soon"), ("exp", None), ("exp", True), ("exp", 0),
    ("exp", []), ("exp", "1e400"),
]  # fmt: skip


def test_a_bad_token_is_no_token_even_where_its_hash_was_planted(
    store: TokenStore, host: FakeHost, open_store: OpenStore
) -> None:
    """Each bad one twice: unknown here, and with a row that says it was handed out. The control is a good one."""
    good = store.create(SEND)
    with closing(database(host)) as connection:
        ((key,),) = connection.execute("SELECT secret FROM signing_keys")
        ((token_id,),) = connection.execute("SELECT id FROM tokens")
    bad = forgeries(good, key, host.now())
    assert len(bad) >= 60
    assert {name: store.verify(text) for name, text in bad.items()} == dict.fromkeys(bad)
    with closing(database(host)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for name, text in {**bad, "good": good}.items():
            digest = sha256(f"\0{text}".encode("utf-8", "surrogatepass")).digest()
            with connection:
                connection.execute("UPDATE tokens SET hash = ? WHERE id = ?", (digest, token_id))
            assert (open_store().verify(text) is not None) is (name == "good"), name


def test_a_token_of_another_state_folder_is_worthless(store: TokenStore, open_store: OpenStore, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = open_store(tmp_path / "other").create(SEND)
    store.create(SEND)
    assert store.verify(other) is None


def test_a_token_is_a_jwt_that_says_nothing_secret(store: TokenStore) -> None:
    claims = jwt.decode(store.create(SEND), options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "jti", "iat", "exp"}
