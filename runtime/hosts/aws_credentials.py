"""Where AWS credentials come from: the key variables, or the container endpoint (SnapStart, ECS, EKS)."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..core.errors import BackendError
from .aws_http import NoAnswerError
from .sigv4 import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..core.host import Host
    from .aws_http import AwsHttp

REFRESH_BEFORE_SECONDS = 300.0
"""Credentials are replaced this long before they expire, as botocore's mandatory refresh does ten minutes before."""
ENDPOINT_SECONDS_MAX = 5.0
CONTAINER_HOST = "169.254.170.2"
PLAIN_HTTP_HOSTS = frozenset({CONTAINER_HOST, "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"})
"""The only hosts the token may be sent to without TLS. Source: AWS SDKs reference, "Container credential provider"."""


class CredentialSource:
    """The credentials of this process, fetched again before they expire."""

    def __init__(self, environ: Mapping[str, str], host: Host, http: AwsHttp) -> None:
        self._environ = environ
        self._host = host
        self._http = http
        self._current: Credentials | None = None

    async def current(self) -> Credentials:
        """Credentials good for the next minutes.

        Raises:
            BackendError: there are none, or the endpoint did not give any; the text says what to set.
        """
        now = self._host.now()
        known = self._current
        if known is None or (known.expires_at is not None and now >= known.expires_at - REFRESH_BEFORE_SECONDS):
            try:
                self._current = known = await self._find()
            except BackendError:
                if known is None or known.expires_at is None or now >= known.expires_at:
                    raise
                self._host.log.warning("aws_credentials_not_refreshed", expires_in_s=known.expires_at - now)
        return known

    async def _find(self) -> Credentials:
        environ = self._environ
        access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        if access_key and secret_key:
            return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)
        if url := _container_url(environ):
            return await self._ask(url)
        msg = (
            "No AWS credentials: neither AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY nor "
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is set. On Lambda give the function a role; "
            'elsewhere run eval "$(aws configure export-credentials --format env)".'
        )
        raise BackendError(msg)

    async def _ask(self, url: str) -> Credentials:
        token = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        if file := self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = Path(file).read_text().strip()  # noqa: ASYNC240 - a few bytes from a mounted file, twice a day
        headers = {"authorization": token} if token else {}
        try:
            status, _, body = await self._http.exchange("GET", url, headers, b"", timeout_s=ENDPOINT_SECONDS_MAX)
        except NoAnswerError as error:
            msg = f"AWS's credential endpoint {url} was not reached ({error.kind}: {error})."
            raise BackendError(msg) from error
        if status != 200:
            msg = f"AWS's credential endpoint {url} answered {status}. Check the role, and the token it was given."
            raise BackendError(msg)
        return _parse(body, url)


def _parse(body: bytes, url: str) -> Credentials:
    try:
        answer = json.loads(body)
        return Credentials(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["Token"],
            datetime.fromisoformat(answer["Expiration"]).timestamp(),
        )
    except (ValueError, KeyError, TypeError) as error:
        # Not the body: it may hold a key.
        msg = f"AWS's credential endpoint {url} answered something else than credentials ({type(error).__name__})."
        raise BackendError(msg) from None


def _container_url(environ: Mapping[str, str]) -> str | None:
    if path := environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return f"http://{CONTAINER_HOST}{path}"
    url = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if url:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in PLAIN_HTTP_HOSTS:
            msg = (
                f"AWS_CONTAINER_CREDENTIALS_FULL_URI points at {parts.hostname}, neither https nor a container "
                f"endpoint; the token would leak. Use https, a loopback address, or {CONTAINER_HOST}."
            )
            raise BackendError(msg)
    return url
