"""The HTTP connections that all AWS clients of a machine share. aiohttp is loaded by the first call, not before."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import aiohttp

CONNECT_SECONDS_MAX = 3.0
SILENCE_SECONDS_MAX = 20.0
"""How long a service may send nothing."""
CONNECTIONS_PER_HOST_MAX = 64

_SENT_AS_SIGNED = ("Accept", "Content-Type", "User-Agent")
"""Headers that aiohttp would add."""


class NoAnswerError(OSError):
    """Raised when no whole answer came. `kind` says why in one word."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class _Pool:
    session: aiohttp.ClientSession
    in_flight_count: int = 0
    is_retired: bool = False


class AwsHttp:
    """Kept connections, one TLS context (aiohttp's own, made once per process), closed by `aclose`."""

    def __init__(self) -> None:
        self._pool: _Pool | None = None

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request, its URL exactly as given; status, lower-case headers, body.

        Raises:
            NoAnswerError: no whole answer came within `timeout_s`.
        """
        import aiohttp  # noqa: PLC0415 - a Worker without AWS bindings never pays for it
        from yarl import URL  # noqa: PLC0415 - comes with aiohttp

        timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=CONNECT_SECONDS_MAX, sock_read=SILENCE_SECONDS_MAX
        )
        try:
            async with (
                self._pooled() as session,
                session.request(
                    method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=BytesIO(body) if body else None,  # as bytes, aiohttp warns of bodies over 1 MiB
                    timeout=timeout,
                    allow_redirects=False,
                ) as answer,
            ):
                content = await answer.read()
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, content
        except (TimeoutError, aiohttp.ClientError) as error:
            kind = next(kind for foreign, kind in failure_kinds() if isinstance(error, foreign))
            raise NoAnswerError(kind, f"{type(error).__name__}: {error}") from error

    async def retire_idle(self) -> None:
        """Close idle connections: after a freeze the other side may have closed them. Calls in flight go on."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.is_retired = True
            if pool.in_flight_count == 0:
                await pool.session.close()

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.session.close()

    @asynccontextmanager
    async def _pooled(self) -> AsyncIterator[aiohttp.ClientSession]:
        pool = self._pool = self._pool or _Pool(_open_session())
        pool.in_flight_count += 1
        try:
            yield pool.session
        finally:
            pool.in_flight_count -= 1
            if pool.is_retired and pool.in_flight_count == 0:
                await pool.session.close()


def failure_kinds() -> list[tuple[type[BaseException], str]]:
    """Foreign error -> kind, the first that fits."""
    import aiohttp  # noqa: PLC0415 - as above

    return [
        (TimeoutError, "TimedOut"),
        (aiohttp.ClientConnectorDNSError, "NameNotFound"),
        (aiohttp.ClientConnectorCertificateError, "CertificateRefused"),
        (aiohttp.ClientConnectionError, "ConnectionFailed"),
        (aiohttp.ClientPayloadError, "AnswerCut"),
        (aiohttp.ClientError, "RequestFailed"),
    ]


def _open_session() -> aiohttp.ClientSession:
    import aiohttp  # noqa: PLC0415 - as above

    from .closing_at_exit import close_at_exit  # noqa: PLC0415 - as above

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_HOST_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_SENT_AS_SIGNED,
    )
    close_at_exit(session)
    return session
