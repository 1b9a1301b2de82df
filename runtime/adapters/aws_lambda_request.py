"""What a front door of Lambda delivers -> the Request a Worker is asked.

mangum's ASGI scope is not used: it decodes `%2F`, rebuilds query strings, joins cookies with a comma and fails on
IPv6 hosts and broken characters. The event is read here, as close to what the client sent as the front door kept it:

| front door                       | path    | query                                             | header lines    |
|----------------------------------|---------|---------------------------------------------------|-----------------|
| Function URL, HTTP API (2.0)     | as sent | as sent                                           | joined by comma |
| REST API, HTTP API (1.0)         | as sent | decoded, in a dict: order between names is lost   | kept            |
| Application Load Balancer        | as sent | encoded, in a dict: order between names is lost   | last or kept    |

The client's address and port, and the HTTP version spoken to the front door, are not part of a Request.
Source: AWS docs, "Working with AWS Lambda proxy integrations", "Lambda functions as targets".
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ..core.body import Body
from ..core.errors import RefusedError
from ..core.request import incoming_request
from ..core.wire_url import normal_origin, normal_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..core.request import Request

Event = dict[str, Any]

MEBIBYTE = 1024 * 1024
PAYLOAD_BYTES_MAX = 6 * MEBIBYTE
"""Request and response, each as JSON. Source: AWS Lambda docs, "Lambda quotas"."""
ALB_PAYLOAD_BYTES_MAX = MEBIBYTE
"""Source: Elastic Load Balancing docs, "Lambda functions as targets"."""

_KINDS: dict[str, type] = {
    "requestContext": dict,
    "headers": dict,
    "multiValueHeaders": dict,
    "queryStringParameters": dict,
    "multiValueQueryStringParameters": dict,
    "rawQueryString": str,
    "cookies": list,
    "body": str,
}
"""What the parts of an HTTP event are, where they are there at all."""
_Nothing = type(None)


class FrontDoor(NamedTuple):
    """One way HTTP reaches a function."""

    payload_bytes_max: int
    read: Callable[[Event], tuple[str, str, list[tuple[str, str]]]]
    """Method, path with query, header lines with lower-case names."""
    stand_in: Event
    """The smallest event of this shape: what mangum sees, to shape the answer."""


def find_front_door(event: object) -> FrontDoor | None:
    """Which front door an event came through; None when it is no HTTP request, or only half of one."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(context, dict):
        return None
    if any(not isinstance(event.get(name), (kind, _Nothing)) for name, kind in _KINDS.items()):
        return None
    if event.get("version") == "2.0" and "http" in context:
        http = context["http"]
        is_whole = isinstance(http, dict) and isinstance(http.get("method"), str)
        return PAYLOAD_2 if is_whole and isinstance(event.get("rawPath"), str) else None
    if not (isinstance(event.get("httpMethod"), str) and isinstance(event.get("path"), str)):
        return None
    if "elb" not in context:
        return PAYLOAD_1
    if not isinstance(context["elb"], dict):
        return None
    return ALB_MULTI_VALUE if "multiValueHeaders" in event else ALB


def request_of(front_door: FrontDoor, event: Event) -> Request:
    """The Request an event carries.

    Raises:
        RefusedError: 413, its body is larger than Lambda's payload; 400, its body is said to be base64 and is not, or
            its Host header is no host.
    """
    method, target, headers = front_door.read(event)
    named = dict(headers)
    host = named.get("host") or event["requestContext"].get("domainName") or "localhost"
    scheme = "http" if named.get("x-forwarded-proto") == "http" else "https"
    pairs = [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in headers]
    body = _body_of(event, front_door.payload_bytes_max)
    url = normal_origin(scheme, host) + normal_target(target, method)
    return incoming_request(method, url, pairs, Body(body) if body else None)


def _body_of(event: Event, bytes_max: int) -> bytes:
    text = event.get("body") or ""
    if len(text) > bytes_max:
        raise RefusedError(413, f"The request body is larger than the {bytes_max} bytes this front door of AWS takes.")
    if not event.get("isBase64Encoded"):
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, f"The event says that its body is base64, but it is not: {error}.") from error


def _read_payload_2(event: Event) -> tuple[str, str, list[tuple[str, str]]]:
    query = event.get("rawQueryString")
    headers = [(name.lower(), str(value)) for name, value in (event.get("headers") or {}).items()]
    if cookies := event.get("cookies"):
        headers = [pair for pair in headers if pair[0] != "cookie"]
        headers.append(("cookie", "; ".join(map(str, cookies))))
    path = event["rawPath"] or "/"
    return event["requestContext"]["http"]["method"], f"{path}?{query}" if query else path, headers


def _read_payload_1(event: Event) -> tuple[str, str, list[tuple[str, str]]]:
    pairs = _pairs(event.get("multiValueQueryStringParameters"), event.get("queryStringParameters"))
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    return _read_http_method(event, query)


def _read_alb(event: Event) -> tuple[str, str, list[tuple[str, str]]]:
    pairs = _pairs(event.get("multiValueQueryStringParameters"), event.get("queryStringParameters"))
    return _read_http_method(event, "&".join(f"{name}={value}" for name, value in pairs))


def _read_http_method(event: Event, query: str) -> tuple[str, str, list[tuple[str, str]]]:
    headers = [(name.lower(), value) for name, value in _pairs(event.get("multiValueHeaders"), event.get("headers"))]
    cookies = [value for name, value in headers if name == "cookie"]
    if len(cookies) > 1:  # HTTP/2 clients send one line per cookie; a server joins them (RFC 9113, 8.2.3)
        headers = [pair for pair in headers if pair[0] != "cookie"]
        headers.append(("cookie", "; ".join(cookies)))
    path = event["path"] or "/"
    return event["httpMethod"], f"{path}?{query}" if query else path, headers


def _pairs(many: Mapping[str, Any] | None, single: Mapping[str, Any] | None) -> Iterable[tuple[str, str]]:
    if many:
        lists = [(name, values if isinstance(values, list) else [values]) for name, values in many.items() if values]
        return [(name, str(value)) for name, values in lists for value in values]
    return [(name, str(value)) for name, value in (single or {}).items()]


PAYLOAD_2 = FrontDoor(
    PAYLOAD_BYTES_MAX,
    _read_payload_2,
    {"version": "2.0", "headers": {}, "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": ""}}},
)
PAYLOAD_1 = FrontDoor(
    PAYLOAD_BYTES_MAX,
    _read_payload_1,
    {"resource": "/", "httpMethod": "GET", "path": "/", "headers": {}, "requestContext": {}},
)
ALB = FrontDoor(
    ALB_PAYLOAD_BYTES_MAX,
    _read_alb,
    {"httpMethod": "GET", "path": "/", "headers": {}, "requestContext": {"elb": {}}},
)
ALB_MULTI_VALUE = FrontDoor(
    ALB_PAYLOAD_BYTES_MAX,
    _read_alb,
    {"httpMethod": "GET", "path": "/", "multiValueHeaders": {}, "requestContext": {"elb": {}}},
)
