"""A dict that also allows attribute access: what objects from Cloudflare's APIs look like in Python.

Dict methods win over keys (`listing.keys` is the method), as in Cloudflare's SDK.
Source: spec "Handler-side contract", 3.
"""

from __future__ import annotations

from typing import Any


class JsDict(dict[str, Any]):
    """`d.key` is `d["key"]`; a missing key is an AttributeError there and a KeyError here."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            msg = f"no attribute {name!r}; keys: {', '.join(map(str, self)) or 'none'}"
            raise AttributeError(msg) from None

    def to_py(self) -> dict[str, Any]:
        """A plain dict, as code written for Pyodide's proxies expects."""
        return dict(self)


def to_js_dict(value: Any) -> Any:
    """`value` with every dict in it made a JsDict."""
    if isinstance(value, dict):
        return JsDict({key: to_js_dict(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return [to_js_dict(item) for item in value]
    return value
