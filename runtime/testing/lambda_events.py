"""Events as Lambda's front doors deliver them, and what their answers mean.

    event = http_event("2.0", "POST", "/orders?draft=1", [("content-type", "application/json")], b"{}")
    status, headers, body = http_answer((await lambda_env.invoke(event)).value)

Source: AWS docs, "Working with AWS Lambda proxy integrations", "Lambda functions as targets".
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Sequence

FrontDoorName = Literal["2.0", "1.0", "alb", "alb-multi-value"]
FRONT_DOORS: tuple[FrontDoorName, ...] = ("2.0", "1.0", "alb", "alb-multi-value")
"""Function URL and HTTP API; REST API; load balancer without and with multi-value headers."""

Headers = list[tuple[str, str]]


@dataclass
class InvocationContext:
    """Lambda's context object, as far as Edge reads it."""

    aws_request_id: str = "00000000-0000-0000-0000-000000000001"
    timeout_s: float = 30.0
    _started_at: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return max(int((self._started_at + self.timeout_s - time.monotonic()) * 1000), 0)


def http_event(
    front_door: FrontDoorName,
    method: str = "GET",
    target: str = "/",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> dict[str, Any]:
    """An HTTP request as a front door delivers it; binary bodies as base64, like text ones that are not UTF-8."""
    path, _, query = target.partition("?")
    event: dict[str, Any] = {"body": None, "isBase64Encoded": False}
    if body:
        try:
            event["body"] = body.decode()
        except UnicodeDecodeError:
            event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    if front_door == "2.0":
        return event | _payload_2(method, path, query, headers)
    parameters = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    if front_door == "1.0":  # a REST API decodes the query, a load balancer does not
        parameters = [(unquote_plus(name), unquote_plus(value)) for name, value in parameters]
    many = {"multiValueHeaders": _lists(headers), "multiValueQueryStringParameters": _lists(parameters)}
    single = {"headers": _joined(headers), "queryStringParameters": dict(parameters)}
    shapes: dict[str, dict[str, Any]] = {
        "1.0": {**single, **many, "resource": "/{proxy+}", "requestContext": {"identity": {"sourceIp": "192.0.2.7"}}},
        "alb": {
            **single,
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:::t"}},
        },
        "alb-multi-value": {**many, "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:::t"}}},
    }
    return event | {"httpMethod": method, "path": path} | shapes[front_door]


def http_answer(value: dict[str, Any]) -> tuple[int, Headers, bytes]:
    """Status, header lines with lower-case names, and body that the front door sends for a function's answer."""
    many = value.get("multiValueHeaders") or {}
    lines = [(name.lower(), one) for name, values in many.items() for one in values]
    listed = {name.lower() for name in many}
    lines += [(name.lower(), one) for name, one in (value.get("headers") or {}).items() if name.lower() not in listed]
    lines += [("set-cookie", cookie) for cookie in value.get("cookies") or ()]
    body = value.get("body") or ""
    return value["statusCode"], lines, base64.b64decode(body) if value.get("isBase64Encoded") else body.encode()


def _payload_2(method: str, path: str, query: str, headers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    cookies = [crumb for name, value in headers if name.lower() == "cookie" for crumb in value.split("; ")]
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": _joined([pair for pair in headers if pair[0].lower() != "cookie"]),
        **({"cookies": cookies} if cookies else {}),
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "192.0.2.7", "protocol": "HTTP/1.1"}},
    }


def _lists(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(next((known for known in lists if known.lower() == name.lower()), name), []).append(value)
    return lists


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): ", ".join(values) for name, values in _lists(headers).items()}
