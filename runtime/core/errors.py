"""The error tree.

    EdgeError                  anything Edge raises on purpose
    +-- ConfigError            a config file cannot be used; carries every problem found
    +-- HandlerError           the user's file cannot be loaded, or answered something that is no answer
    +-- RefusedError           a request broke a limit or a protocol rule; carries the HTTP status to answer
    +-- BindingError           a binding refused a call (bad key, value too large); the text is Cloudflare's
    |                          where Cloudflare has one. Handlers know it as `pyodide.ffi.JsException`
    +-- BackendError           the storage behind a binding failed; safe to retry, may duplicate
    +-- UnsupportedError       Cloudflare has it, Edge does not (yet, or on this platform)
        +-- UnsupportedNameError   the same of an attribute; an AttributeError too, so `hasattr` answers False

`http_status` is what a doorway of Edge's own answers. A Worker that lets an error through is answered 500, but for
RefusedError, which its client caused, and BackendError, which may be tried again.
"""


class EdgeError(Exception):
    """Root of everything Edge raises on purpose."""

    http_status = 500


class ConfigError(EdgeError):
    """Raised when a config file cannot be used. `str()` is the whole report, one problem a line."""


class HandlerError(EdgeError):
    """Raised when the user's file cannot be loaded or its answer is no Response."""


class RefusedError(EdgeError):
    """Raised when a request breaks a limit or a protocol rule, before or while the handler reads its body."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status


class BindingError(EdgeError):
    """Raised when a binding refuses a call; nothing was changed. `str(e)` is "Name: message", as on Cloudflare.

    `http_status` is set where a doorway answers the refusal itself (413 for a batch over the limit).
    """

    def __init__(self, message: str, *, name: str = "Error", http_status: int = 500) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.http_status = http_status


class BackendError(EdgeError):
    """Raised when the storage behind a binding failed. Nothing was acknowledged: safe to retry, may duplicate."""

    http_status = 503


class UnsupportedError(EdgeError):
    """Raised when Edge, or this platform, does not have what was asked for. The text says what is missing."""

    http_status = 501


class UnsupportedNameError(UnsupportedError, AttributeError):
    """Raised for an attribute that Cloudflare's objects have and Edge's do not; `hasattr` answers False."""
