"""Why a request was not accepted: one class per reason, each with its status and what the two doors call it.

    IngestError
    +-- InvalidJsonError 400        +-- UnauthorizedError 401     +-- TooManyRequestsError 429
    +-- NotObjectsError 400         +-- ForbiddenError 403        +-- UnavailableError 503
    +-- InvalidRecordsError 400     +-- UnknownStreamError 404
    +-- InvalidRequestError 400     +-- MethodError 405
                                    +-- TooLargeError 413
                                    +-- UnsupportedEncodingError 415

`code` is the stream endpoint's; 1000, 1002 and 1003 are Cloudflare's, probed; the others are Edge's own, since nobody
knows the hosted ones. `word` is what `/v1/streams/ingest` says in `error`.
Source: spec "Cloudflare API", 3.4; spec "Pipelines", 8.
"""

from __future__ import annotations

from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError, BindingError, EdgeError
from ..log import LogBusyError

if TYPE_CHECKING:
    from ..schemas.validation import RecordError


class IngestError(EdgeError):
    """Root. Nothing of the request was kept."""

    http_status = 400
    code = 1008
    word = "invalid_format"
    retry_after_s: float | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the answer carries beside its body."""
        return {} if self.retry_after_s is None else {"retry-after": str(max(1, ceil(self.retry_after_s)))}


class InvalidJsonError(IngestError):
    """Raised for a body that is not JSON in UTF-8, or is a bomb."""

    code = 1003


class NotObjectsError(IngestError):
    """Raised for JSON that is no array of objects."""

    code = 1002


class InvalidRecordsError(IngestError, BindingError):
    """Raised by a strict stream for records that do not fit its schema; `send` raises it too."""

    code = 1009

    def __init__(self, errors: tuple[RecordError, ...]) -> None:
        first = errors[0]
        others = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        message = (
            f"Nothing was written: record {first.index} does not fit the stream's schema at {first.path} "
            f"({first.kind}: {first.message}){others}."
        )
        BindingError.__init__(self, message, name="TypeError", http_status=400)
        self.errors = errors


class InvalidRequestError(IngestError):
    """Raised for a header or a request that cannot be what the client meant."""


class UnauthorizedError(IngestError):
    """Raised for a missing or bad token: always with this one text, so that nobody learns what is wrong with it."""

    http_status = 401
    code = 1001
    word = "unauthorized"

    def __init__(self) -> None:
        super().__init__("The token is missing, malformed, unknown, revoked or expired.")

    @property
    def headers(self) -> dict[str, str]:
        return {"www-authenticate": "Bearer"}


class ForbiddenError(IngestError):
    """Raised for a good token that does not allow this, a stream without HTTP ingest, or a page that may not send."""

    http_status = 403
    code = 1004
    word = "forbidden"


class UnknownStreamError(IngestError):
    """Raised when there is no such stream."""

    http_status = 404
    code = 1000
    word = "unknown_stream"


class MethodError(IngestError):
    """Raised for any method but POST and OPTIONS."""

    http_status = 405
    code = 1005
    word = "method_not_allowed"

    def __init__(self, method: str) -> None:
        super().__init__(f"{method} is not allowed here. Send records with POST.")

    @property
    def headers(self) -> dict[str, str]:
        return {"allow": "POST, OPTIONS"}


class TooLargeError(IngestError):
    """Raised when a body is over its limit, unpacked. `/v1` answers 400 (that door's own rule)."""

    http_status = 413
    code = 1006
    word = "payload_too_large"

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"The body is larger than {bytes_max:,} bytes (unpacked). Send the records in parts.")


class UnsupportedEncodingError(IngestError):
    """Raised for a Content-Encoding that is not read here."""

    http_status = 415
    code = 1007

    @property
    def headers(self) -> dict[str, str]:
        has_zstd = find_spec("zstandard") is not None
        return {"accept-encoding": "gzip, deflate, zstd" if has_zstd else "gzip, deflate"}


class TooManyRequestsError(IngestError, LogBusyError):
    """Raised at a rate limit or a full backlog; `send` raises it too."""

    http_status = 429
    code = 1010
    word = "rate_limited"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnavailableError(IngestError):
    """Raised when the log cannot be written just now: the disk is full, slow or broken."""

    http_status = 503
    code = 1011
    word = "unavailable"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


DISK_RETRY_SECONDS = 5.0
BUSY_RETRY_SECONDS = 1.0


def refusal_of(error: BackendError) -> IngestError:
    """What a door answers when the log refused or failed."""
    if isinstance(error, IngestError):
        return error
    if isinstance(error, LogBusyError):
        return TooManyRequestsError(str(error), BUSY_RETRY_SECONDS)
    return UnavailableError(str(error), DISK_RETRY_SECONDS)
