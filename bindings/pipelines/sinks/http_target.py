"""One place a sink posts to: address rules, one deadline, no redirects, answers sorted into what they mean.

Nothing is retried here; `publish` says with its error whether trying again may help, and the runner does that.
Redirects are never followed: credentials and records go where the config says, and a redirect into the private network
is a known way past an address check.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ....runtime.core.fetch_errors import AddressRefusedError, JsTypeError
from ....runtime.core.request import Request
from ....runtime.core.response import wire_body
from .addresses import is_public, not_public, require_public
from .addresses import resolve as resolve_here
from .sink import SinkMisconfiguredError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....runtime.core.response import Response
    from .addresses import Resolve

ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Of one answer. The largest are Elasticsearch's: one item for each document sent."""
SHOWN_CHARS_MAX = 200
"""How much of an answer a failure reason quotes."""
RETRY_AFTER_SECONDS_MAX = 3600.0
RETRIED_STATUSES = frozenset({408, 425, 429})
"""4xx answers that ask for another try."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def shown(self) -> str:
        """The begin of the body, printable, for a failure reason."""
        text = "".join(c if c.isprintable() else " " for c in self.body.decode("utf-8", "replace"))
        return text[:SHOWN_CHARS_MAX].strip()


class HttpTarget:
    """Posts to one URL and paths below it."""

    def __init__(
        self,
        host: Any,
        url: str,
        *,
        timeout_s: float,
        allow_private_network: bool,
        headers: Mapping[str, str] | None = None,
        is_packed: bool = False,
        resolve: Resolve = resolve_here,
    ) -> None:
        """Args:
        host: LocalHost.
        headers: sent each time, credentials among them.
        is_packed: send bodies gzipped.
        """
        self._host = host
        self.url = url.rstrip("/")
        self.name = urlsplit(url).netloc
        self._timeout_s = timeout_s
        self._may_connect = None if allow_private_network else is_public
        self._headers = dict(headers or {})
        self._is_packed = is_packed
        self._resolve = resolve

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One POST.

        Raises:
            SinkUnavailableError: no answer.
            SinkMisconfiguredError: a private address, or a redirect.
        """
        if self._may_connect is not None:
            await require_public(self.url, self._resolve)
        sent = {**self._headers, **headers}
        if self._is_packed:
            body = await asyncio.to_thread(gzip.compress, body, 1)
            sent["content-encoding"] = "gzip"
        try:
            request = Request(self.url + path, method="POST", headers=sent, body=body, redirect="manual")
            async with asyncio.timeout(self._timeout_s):
                response = await self._host.fetch(request, may_connect=self._may_connect)
                answer = Answer(response.status, dict(response.headers.items()), await _body_of(response))
        except JsTypeError as error:
            msg = f"{self.name} cannot be asked: {error.message} Check the sink's url, headers and credentials."
            raise SinkMisconfiguredError(msg) from error
        except AddressRefusedError as error:
            raise not_public(urlsplit(self.url).hostname or "", error.address) from error
        except TimeoutError as error:
            msg = f"{self.name} gave no answer within {self._timeout_s:g} seconds."
            raise SinkUnavailableError(msg) from error
        except OSError as error:
            raise SinkUnavailableError(str(error)) from error
        if 300 <= answer.status <= 399:
            msg = (
                f"{self.name} answered {answer.status}, a redirect to {answer.headers.get('location', 'nowhere')!r}, "
                "and redirects are not followed. Put the final address into the sink's url."
            )
            raise SinkMisconfiguredError(msg)
        return answer

    def failure_of(self, answer: Answer, *, is_about_records: bool = False) -> Exception | None:
        """The error an answer amounts to; None for success, and for a 4xx that is about the records sent.

        Args:
            is_about_records: 400, 413 and 422 say that the records are at fault, not the config.
        """
        if answer.is_ok or (is_about_records and answer.status in {400, 413, 422}):
            return None
        said = f"{self.name} answered {answer.status}" + (f": {answer.shown}" if answer.shown else "")
        if answer.status in RETRIED_STATUSES or answer.status >= 500:
            return SinkUnavailableError(said, retry_after_s=retry_after_of(answer, self._host.now()))
        hint = _HINTS.get(answer.status, "Check the sink's url and settings.")
        return SinkMisconfiguredError(f"{said.rstrip('.')}. {hint}")


_HINTS = {
    401: "Check the sink's credentials.",
    403: "Check the sink's credentials and what they permit.",
    404: "Check the path in the sink's url.",
}


def retry_after_of(answer: Answer, now: float) -> float | None:
    """`Retry-After` in seconds, given as seconds or as a date (RFC 9110, 10.2.3); None without a usable one."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)


async def _body_of(response: Response) -> bytes:
    body = wire_body(response)
    if body is None:
        return b""
    parts: list[bytes] = []
    size = 0
    async for part in body.chunks():
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            msg = f"The answer is over {ANSWER_BYTES_MAX} bytes."
            raise OSError(msg)
        parts.append(part)
    return b"".join(parts)
