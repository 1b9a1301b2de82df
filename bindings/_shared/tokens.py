"""API tokens and global keys of this machine: made, checked and revoked, from any of its processes.

A token is a JWT that this state folder signed. What is kept of it is the SHA-256 of its text, so the database gives no
token away. A check asks two questions, both of which have to be answered well:

1. Is the text's hash one that was handed out here, and is it neither revoked nor expired? A text that was never handed
   out ends here, whatever is wrong with it: nothing in it is parsed, and nothing tells one bad token from another.
2. Is it a JWT signed with our key by the one algorithm we use, with issuer, audience, expiry and id? This holds even
   against somebody who can write to the database but does not know the key.

A good token is remembered by its hash, so that a check costs microseconds. Another process's change is noticed through
SQLite's `data_version`, asked at most POLL_SECONDS after the last time.

Source: spec "Reliability", section 4; decision 12.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from .permissions import EVERYTHING, PIPELINES_SEND, WRITE, TokenError, canonical_permission, is_permitted
from .sqlite import Database
from .sqlite_facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FILE_NAME = "tokens.sqlite3"
TOKEN_CHARACTERS_MAX = 8 * 1024
EXPIRES_SECONDS = 30 * 24 * 3600.0
"""How long a token lives when nobody says."""
POLL_SECONDS = 0.5
KNOWN_TOKENS_MAX = 4096
GLOBAL_KEY_DIGITS = 37
"""As Cloudflare's: hex."""

ALGORITHM = "HS256"
ISSUER = "edge"
AUDIENCE = "edge-api"
KEY_BYTES = 32

_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_GLOBAL_KEY = re.compile(rf"[0-9a-f]{{{GLOBAL_KEY_DIGITS}}}")

_MIGRATIONS = (
    "CREATE TABLE signing_keys (kid TEXT PRIMARY KEY, secret BLOB NOT NULL)",
    """CREATE TABLE tokens (
        hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, permissions TEXT NOT NULL, stream_ids TEXT NOT NULL,
        email TEXT, created_at REAL NOT NULL, expires_at REAL, revoked_at REAL
    ) WITHOUT ROWID""",
)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token or global key; never its text."""

    id: str
    permissions: tuple[str, ...]
    """Canonical names (permissions.py)."""
    stream_ids: tuple[str, ...]
    """The only streams it is for; empty for every one."""
    email: str | None
    """Of a global key: whose it is."""
    created_at: float
    expires_at: float | None
    """None for a global key."""
    revoked_at: float | None = None

    def permits(self, permission: str) -> bool:
        """Whether it allows what `permission` names, in any spelling."""
        return is_permitted(self.permissions, permission) or is_permitted(
            self.permissions, canonical_permission(permission)
        )

    def is_for_stream(self, stream_id: str) -> bool:
        return not self.stream_ids or stream_id in self.stream_ids

    def is_good(self, now: float) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenStore:
    """The tokens of one state folder. Every call may raise BackendError: the database cannot be used."""

    def __init__(self, state_dir: Path, *, now: Callable[[], float] = time.time) -> None:
        """Opens nothing: the file is made by the first token, and checks before that find nothing good."""
        self._facts = Facts(Database(state_dir / FILE_NAME, _MIGRATIONS))
        self._now = now
        self._known: dict[bytes, Token] = {}
        self._version: list[Any] = []
        self._polled_at = 0.0

    def create(self, *permissions: str, stream_ids: Sequence[str] = (), expires_s: float | None = None) -> str:
        """The text of a new token; it cannot be had again.

        Args:
            permissions: Cloudflare's names, as "Workers Pipeline Send"; at least one.
            stream_ids: the only streams it may send to; none for all.
            expires_s: how long it lives; EXPIRES_SECONDS when None.

        Raises:
            TokenError: an unknown permission, one that is not about streams beside `stream_ids`, or a life that has
                ended already.
        """
        import jwt  # noqa: PLC0415 - takes 140 ms to load, paid by who makes or checks a token

        granted = tuple(dict.fromkeys(canonical_permission(name) for name in permissions))
        if not granted:
            raise TokenError("A token needs a permission.")
        if stream_ids and granted != (PIPELINES_SEND,):
            raise TokenError("A token for some streams only can only send: give it 'Pipelines Send' and nothing else.")
        lives_s = EXPIRES_SECONDS if expires_s is None else expires_s
        if lives_s <= 0:
            raise TokenError(f"A token has to live for more than 0 s, not {lives_s:g} s.")
        now = self._now()
        token = Token(secrets.token_hex(16), granted, tuple(stream_ids), None, now, now + lives_s)
        kid, key = self._signing_key()
        claims = {"iss": ISSUER, "aud": AUDIENCE, "jti": token.id, "iat": int(now), "exp": int(now + lives_s) + 1}
        text = jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid})
        self._insert(_hash(text), token)
        return text

    def create_global_key(self, email: str) -> str:
        """A new key that allows everything, sent as X-Auth-Key beside X-Auth-Email; it cannot be had again.

        Raises:
            TokenError: this is no e-mail address.
        """
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            raise TokenError(f"{email!r} is no e-mail address.")
        key = secrets.token_hex(GLOBAL_KEY_DIGITS)[:GLOBAL_KEY_DIGITS]
        token = Token(secrets.token_hex(16), (f"{EVERYTHING} {WRITE}",), (), email, self._now(), None)
        self._insert(_hash(key, email), token)
        return key

    def verify(self, text: str) -> Token | None:
        """The token of this text; None for one that is unknown, forged, revoked or expired, without saying which."""
        if len(text) > TOKEN_CHARACTERS_MAX or not _JWT.fullmatch(text):
            return None
        digest = _hash(text)
        token = self._find(digest)
        if token is None:
            token = self._load(digest)
            if token is None or not self._is_signed(text, token):
                return None
            self._remember(digest, token)
        return token if token.is_good(self._now()) else None

    def verify_global_key(self, email: str, key: str) -> Token | None:
        """The same for a global key and its e-mail address, case aside."""
        if not is_global_key(key):
            return None
        digest = _hash(key, email)
        token = self._find(digest) or self._load(digest)
        if token is None:
            return None
        self._remember(digest, token)
        return token if token.is_good(self._now()) else None

    def list(self) -> tuple[Token, ...]:
        """Every one ever made, revoked and expired ones too, oldest first."""
        return tuple(map(_token, self._facts.read("SELECT * FROM tokens ORDER BY created_at, id")))

    def revoke(self, token_id: str) -> Token:
        """Make a token or global key worthless; durable on return, seen by other processes within a second.

        Raises:
            TokenError: there is none of this id.
        """
        with self._facts.write() as connection:
            connection.execute(
                "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (self._now(), token_id)
            )
        self._known.clear()  # data_version tells of other connections only
        rows = self._facts.read("SELECT * FROM tokens WHERE id = ?", (token_id,))
        if not rows:
            raise TokenError(f"There is no token {token_id!r}. `edge token list` shows the ids.")
        return _token(rows[0])

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        self._known.clear()
        self._facts.close()

    def _find(self, digest: bytes) -> Token | None:
        """A token that was found good before; nothing that another process changed since is remembered."""
        now = self._now()
        if abs(now - self._polled_at) >= POLL_SECONDS:  # abs: the clock may have been set back
            known, self._known = self._known, {}
            version = self._facts.read("PRAGMA data_version")
            if version == self._version:
                self._known = known
            self._version, self._polled_at = version, now
        return self._known.get(digest)

    def _load(self, digest: bytes) -> Token | None:
        rows = self._facts.read("SELECT * FROM tokens WHERE hash = ?", (digest,))
        return _token(rows[0]) if rows else None

    def _remember(self, digest: bytes, token: Token) -> None:
        if len(self._known) >= KNOWN_TOKENS_MAX:
            self._known.clear()
        self._known[digest] = token

    def _is_signed(self, text: str, token: Token) -> bool:
        import jwt  # noqa: PLC0415 - see create()

        keys: dict[Any, Any] = dict(self._facts.read("SELECT kid, secret FROM signing_keys"))
        try:
            key = keys.get(jwt.get_unverified_header(text).get("kid"))
            if key is None:
                return False
            # Expiry is asked of our own clock in is_good(), on every check and not on this one only.
            claims = jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={
                    "require": ["exp", "iss", "aud", "jti"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return False
        expires_at, token_id = claims["exp"], str(claims["jti"]).encode("utf-8", "surrogatepass")
        return type(expires_at) is int and self._now() < expires_at and compare_digest(token_id, token.id.encode())

    def _signing_key(self) -> tuple[str, bytes]:
        """The key in use: made once, by whichever process is first."""
        with self._facts.write() as connection:
            row = connection.execute("SELECT kid, secret FROM signing_keys ORDER BY kid LIMIT 1").fetchone()
            if row is None:
                row = (secrets.token_hex(8), secrets.token_bytes(KEY_BYTES))
                connection.execute("INSERT INTO signing_keys (kid, secret) VALUES (?, ?)", row)
        return row[0], row[1]

    def _insert(self, digest: bytes, token: Token) -> None:
        with self._facts.write() as connection:
            connection.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    digest,
                    token.id,
                    json.dumps(token.permissions),
                    json.dumps(token.stream_ids),
                    token.email,
                    token.created_at,
                    token.expires_at,
                    token.revoked_at,
                ),
            )


def is_global_key(text: str) -> bool:
    """Whether it has the form of a global key at all."""
    return _GLOBAL_KEY.fullmatch(text) is not None


def _hash(text: str, email: str = "") -> bytes:
    return sha256(f"{email.casefold()}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _token(row: Any) -> Token:
    _, token_id, permissions, stream_ids, *rest = row
    return Token(token_id, tuple(json.loads(permissions)), tuple(json.loads(stream_ids)), *rest)
