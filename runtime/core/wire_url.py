"""The URL of a request from the wire as a Worker sees it: normalised, as `Request("...")` would show it.

Nearly all are normal already, which one look at each finds out. What is percent-encoded stays so.
Source: spec "Handler-side contract", 2.1; URL Standard, "URL parsing"; RFC 9112, 3.2.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .errors import RefusedError
from .fetch_errors import JsTypeError

_NAME = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
AUTHORITY = re.compile(rf"(\[[0-9a-f:.]+\]|{_NAME}\.?)(:[0-9]{{1,5}})?", re.ASCII | re.IGNORECASE)
"""What may stand as the host of a URL a Worker is asked; groups: name, port."""
ORIGINS_MAX = 1024
"""Spellings that are remembered."""

is_normal_target = re.compile(r"(?!.*/(?:\.|%2[eE]))/[A-Za-z0-9_.~!$%&()*+,/:;=?@\[\]|-]*").fullmatch
"""Whether a target is a path that `normal_target` would give back as it is; it may miss some, such as `/.well-known`.
Every request pays for it: 0.1 us for a short path."""
_is_normal_name = re.compile(_NAME).fullmatch
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@lru_cache(maxsize=ORIGINS_MAX)
def normal_origin(scheme: str, authority: str) -> str:
    """`http://localhost` of "http" and `LOCALHOST:80`, a Host header.

    Raises:
        RefusedError: 400, it is no host.
    """
    if _is_normal_name(authority):
        return f"{scheme}://{authority}"
    from .url import normalised_url  # noqa: PLC0415 - a host without a port needs none of it, which Lambda gets

    try:
        if AUTHORITY.fullmatch(authority):
            return normalised_url(f"{scheme}://{authority}").removesuffix("/")
    except JsTypeError:
        pass
    raise RefusedError(400, "The Host header is malformed. Send a name or an address, and at most a port.")


def normal_target(target: str, method: str) -> str:
    """`/c?q` of `/a/../b/%2e./c?q`; `/` of the `*` that OPTIONS asks a whole server with.

    Raises:
        RefusedError: 400, it is no path, or has a fragment.
    """
    if is_normal_target(target):
        return target
    if target == "*" and method == "OPTIONS":
        return "/"
    if not target.startswith("/"):
        raise RefusedError(400, "The request target is no path. Send the path, for example GET /index.html HTTP/1.1.")
    if "#" in target:
        raise RefusedError(400, "The request target contains a fragment (#), which is never sent.")
    from urllib.parse import quote  # noqa: PLC0415 - as in normal_origin

    from .js_values import utf8  # noqa: PLC0415 - as above
    from .url import parse_url  # noqa: PLC0415 - as above

    parts = parse_url(f"http://localhost{quote(utf8(target), safe=_PRINTABLE)}")
    return parts.path + parts.query
