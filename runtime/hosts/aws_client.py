"""Signed calls to one AWS service, tried again while that can help."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.errors import UnsupportedError
from ..core.host import AwsError
from .aws_credentials import CredentialSource
from .aws_http import AwsHttp, NoAnswerError
from .sigv4 import signed_headers, wire_path, wire_query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..core.host import Host

JSON_SERVICES = {
    "dynamodb": ("DynamoDB_20120810", "application/x-amz-json-1.0"),
    "firehose": ("Firehose_20150804", "application/x-amz-json-1.1"),
    "kinesis": ("Kinesis_20131202", "application/x-amz-json-1.1"),
}
"""Service -> target prefix and content type. Source: the service models in botocore."""

RETRYABLE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalFailure",
        "InternalServerError",
        "KMSThrottlingException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""AWS's names for "not now". Every 5xx and 429 counts too. Source: AWS SDKs reference, "Retry behavior"."""

PAUSE_SECONDS_FIRST = 0.05
PAUSE_SECONDS_MAX = 5.0
CALL_SECONDS_MAX = 30.0
"""How long one call may take with its retries where no invocation's deadline says it."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class AwsServiceClient:
    """The AwsClient of one service."""

    def __init__(
        self,
        service: str,
        *,
        region: str,
        host: Host,
        endpoint_url: str | None = None,
        http: AwsHttp | None = None,
        credentials: CredentialSource | None = None,
        deadline: Callable[[], float | None] = lambda: None,
    ) -> None:
        """A client; nothing is opened or asked for before the first call.

        Args:
            endpoint_url: in place of AWS's own.
            http: connections to share with other clients. Without them the client has its own: end with `aclose`.
            credentials: where to find them, by default in this process's environment variables.
            deadline: gives the Unix time when the current invocation is cut, None outside of one.
        """
        self._service = service
        self._region = region
        self._host = host
        self._http = http or AwsHttp()
        self._credentials = credentials or CredentialSource(os.environ, host, self._http)
        self._endpoint = (endpoint_url or default_endpoint(service, region)).rstrip("/")
        self._deadline = deadline

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """See `AwsClient.call`."""
        if self._service not in JSON_SERVICES:
            msg = f"{self._service} has no JSON calls here (there are {', '.join(JSON_SERVICES)}). Use send()."
            raise UnsupportedError(msg)
        prefix, content_type = JSON_SERVICES[self._service]
        headers = {"content-type": content_type, "x-amz-target": f"{prefix}.{operation}"}
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        answer = await self._retried("POST", "/", headers, body, operation=operation)
        if answer.status != 200:
            raise _refusal(answer)
        result: dict[str, Any] = json.loads(answer.body) if answer.body else {}
        return result

    async def send(
        self, method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """See `AwsClient.send`. `path` is absolute and percent-encoded (`quote(key)`), with its query."""
        answer = await self._retried(method, path, headers or {}, body, operation=method)
        return answer.status, answer.headers, answer.body

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _retried(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, operation: str
    ) -> _Answer:
        give_up_at = self._deadline() or self._host.now() + CALL_SECONDS_MAX
        pause_max_s = PAUSE_SECONDS_FIRST
        while True:
            try:
                answer = await self._attempt(method, target, headers, body, give_up_at - self._host.now())
            except NoAnswerError as failure:
                error = AwsError(failure.kind, str(failure), status=0, is_retryable=True)
                error.__cause__ = failure
            else:
                if answer.status < 400:
                    return answer
                error = _refusal(answer)
                if not error.is_retryable:
                    return answer
            pause_s = pause_max_s * _random(self._host)
            pause_max_s = min(pause_max_s * 2, PAUSE_SECONDS_MAX)
            if self._host.now() + pause_s >= give_up_at:
                raise error
            self._host.log.warning(
                "aws_call_retried", service=self._service, operation=operation, code=error.code, pause_s=pause_s
            )
            await self._host.sleep(pause_s)

    async def _attempt(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> _Answer:
        raw_path, _, raw_query = target.partition("?")
        path, query = wire_path(raw_path), wire_query(raw_query)
        signed = signed_headers(
            await self._credentials.current(),
            service=self._service,
            region=self._region,
            method=method,
            path=path,
            query=query,
            headers={**headers, "host": urlsplit(self._endpoint).netloc, "accept-encoding": "identity"},
            body=body,
            at=self._host.now(),
        )
        url = f"{self._endpoint}{path}{'?' if query else ''}{query}"
        return _Answer(*await self._http.exchange(method, url, signed, body, timeout_s=max(timeout_s, 0.001)))


def default_endpoint(service: str, region: str) -> str:
    """AWS's own endpoint of a service. S3 by path, not by bucket host."""
    return f"https://{service}.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def _random(host: Host) -> float:
    """From 0 to 1, from the host's ids, so that a test knows it."""
    return int(host.new_id()[-8:], 16) / 0xFFFF_FFFF


def _refusal(answer: _Answer) -> AwsError:
    """What AWS said: JSON services in `__type` and `message`, S3 in XML, some only in a header."""
    code, message = "", ""
    text = answer.body.decode(errors="replace")
    if text.startswith("{"):
        try:
            told = json.loads(text)
        except ValueError:
            told = {}
        code = str(told.get("__type") or told.get("code") or "")
        message = str(told.get("message") or told.get("Message") or "")
    elif found := re.search(r"<Code>(.*?)</Code>(?:\s*<Message>(.*?)</Message>)?", text, re.DOTALL):
        code, message = found[1], found[2] or ""
    code = (code or answer.headers.get("x-amzn-errortype", "")).rpartition("#")[2].partition(":")[0]
    is_retryable = answer.status >= 500 or answer.status == 429 or code in RETRYABLE_CODES
    return AwsError(code or f"Status{answer.status}", message, status=answer.status, is_retryable=is_retryable)
