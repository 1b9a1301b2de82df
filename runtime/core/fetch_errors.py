"""What the model raises where Cloudflare's has a text of its own.

    JsTypeError, JsRangeError    a JS TypeError or RangeError. `except JsException` catches them, as on Cloudflare, and
                                 so does `except TypeError` or `except ValueError`, which is what the SDK makes of
                                 some. `str(e)` is "TypeError: message", `e.message` the message alone
    BodyUsedError                a body was read twice
    AbortError                   fetch() could not be answered: no such host, refused, cut, not a URL
      AddressRefusedError          the caller's rule allows no connection to where the name leads
    HttpStatusError              `raise_for_status()` on 4xx and 5xx

The last four are OSErrors, as in `pyodide.http`.
Source: spec "Handler-side contract", 2 and 3.
"""

from __future__ import annotations

from .errors import BindingError


class JsTypeError(BindingError, TypeError):
    """Raised where JavaScript throws a TypeError."""

    def __init__(self, message: str) -> None:
        super().__init__(message, name="TypeError")


class JsRangeError(BindingError, ValueError):
    """Raised where JavaScript throws a RangeError."""

    def __init__(self, message: str) -> None:
        super().__init__(message, name="RangeError")


class BodyUsedError(OSError):
    """Raised when a body is read a second time, or cloned after it was read."""

    def __init__(self) -> None:
        super().__init__("Body already used")


class AbortError(OSError):
    """Raised when fetch() has no answer. The message says why."""


class AddressRefusedError(AbortError):
    """Raised when `may_connect` of `host.fetch` says no to an address. Nothing was sent, nothing connected."""

    def __init__(self, address: str) -> None:
        super().__init__("the address may not be connected to")
        self.address = address


class HttpStatusError(OSError):
    """Raised by `raise_for_status()`."""

    def __init__(self, status: int, status_text: str, url: str) -> None:
        side = "Client" if status < 500 else "Server"
        super().__init__(f"{status} {side} Error: {status_text} for url: {url}")
        self.status = status
        self.status_text = status_text
        self.url = url
