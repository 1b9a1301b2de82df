"""What pipelines' REST calls may run into, with Cloudflare's statuses and codes.

Source: spec "Cloudflare API", 3.3.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import msgspec

from ...runtime.core.errors import BindingError, UnsupportedError
from .._shared.rest import ApiError
from .catalogue import (
    InvalidNameError,
    NoSuchObjectError,
    ObjectExistsError,
    StillReferencedError,
    TooManyObjectsError,
    UnknownTableError,
)
from .rest_bodies import InvalidBodyError
from .schemas.schema_json import SchemaError
from .sql import sql_error

if TYPE_CHECKING:
    from .._shared.rest import Call, Handler
    from .catalogue_snapshot import Kind

INVALID = 2
NOTE = 10000
"""Of messages: Cloudflare has no code for what Edge alone tells."""
NOT_FOUND: dict[Kind, int] = {"pipeline": 1000, "stream": 1016, "sink": 1015}
_ERRORS: tuple[tuple[type[Exception], int, int], ...] = (
    (InvalidNameError, 400, INVALID),
    (InvalidBodyError, 400, INVALID),
    (SchemaError, 400, INVALID),
    (TooManyObjectsError, 400, INVALID),
    (msgspec.ValidationError, 400, INVALID),
    (sql_error.UnknownTableError, 400, 1014),
    (UnknownTableError, 400, 1014),
    (sql_error.SqlError, 400, 1001),
    (ObjectExistsError, 409, 1003),
    (StillReferencedError, 400, 1030),
)
"""What a call may run into -> status and code; the first that fits."""


def coded(handler: Handler) -> Handler:
    """The handler, its errors with Cloudflare's codes."""

    @wraps(handler)
    async def call_it(call: Call) -> Any:
        try:
            return await handler(call)
        except NoSuchObjectError as error:
            raise ApiError(404, NOT_FOUND[error.kind], error.message) from error
        except UnsupportedError as error:  # the SQL engine is not installed
            raise ApiError(501, INVALID, str(error)) from error
        except tuple(kind for kind, _, _ in _ERRORS) as error:
            status, code = _coded(error)
            others = error.others if isinstance(error, sql_error.SqlError) else ()
            chain = [(_coded(one)[1], str(one)) for one in others]
            message = error.message if isinstance(error, BindingError) else str(error)
            raise ApiError(status, code, message, chain) from error

    return call_it


def _coded(error: Exception) -> tuple[int, int]:
    return next((status, code) for kind, status, code in _ERRORS if isinstance(error, kind))
