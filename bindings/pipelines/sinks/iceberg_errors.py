"""What a catalog or a table's file store refused, as a sentence and a verdict: object_errors.py for Iceberg."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyiceberg import exceptions as iceberg

from .object_errors import ADVICE
from .sink import SinkMisconfiguredError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .iceberg_place import TablePlace

REFUSED = (
    iceberg.AuthorizationExpiredError,
    iceberg.ForbiddenError,
    iceberg.OAuthError,
    iceberg.SignError,
    iceberg.UnauthorizedError,
)
UNSUITABLE = (
    iceberg.BadRequestError,
    iceberg.NoSuchPropertyException,
    iceberg.ValidationError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""The catalog or pyiceberg cannot do what the config or the columns ask for."""

_STORE_CODE = re.compile(r"AWS Error (\w+)")
_HTTP_STATUS = re.compile(r"HTTP status (40[13])")
_SHOWN_CHARACTERS_MAX = 300


@contextmanager
def as_sink_errors(place: TablePlace) -> Iterator[None]:
    """Turn what pyiceberg, its catalogs and its file stores raise into the two errors the runner understands."""
    try:
        yield
    except (SinkMisconfiguredError, SinkUnavailableError):
        raise
    except Exception as error:  # each catalog brings a client of its own, with errors of its own
        raise sink_error(error, place) from error


def sink_error(error: Exception, place: TablePlace) -> SinkMisconfiguredError | SinkUnavailableError:
    """The verdict. What is not known is tried again: a person sees the text either way."""
    code = _code_of(error)
    if isinstance(error, ImportError):
        return SinkMisconfiguredError(
            f"{place} needs {error.name}, which is not installed. Run pip install 'edge-workers[iceberg]'"
            f"{' boto3' if error.name in {'boto3', 'botocore'} else ''}."
        )
    if code in ADVICE:
        return SinkMisconfiguredError(f"{place}: its store or catalog answered {code}. {ADVICE[code]}.")
    if isinstance(error, REFUSED) or code == "403":
        return SinkMisconfiguredError(
            f"{place}: the catalog or the store refused the credentials ({_shown(error)}). Check token or credentials "
            f"of the sink, and what they may do."
        )
    if isinstance(error, PermissionError):
        return SinkMisconfiguredError(f"{place} may not be written ({_shown(error)}). Check who owns its folder.")
    if isinstance(error, UNSUITABLE):
        return SinkMisconfiguredError(f"{place} does not take this: {_shown(error)}. Check the sink's settings.")
    return SinkUnavailableError(f"{place} was not written ({_shown(error)}). It is tried again; nothing is lost.")


def _code_of(error: Exception) -> str:
    """The store's error code as S3 spells it, or its HTTP status; empty when there is none."""
    answer = getattr(error, "response", None)  # botocore's ClientError
    if isinstance(answer, dict):
        code = str(answer.get("Error", {}).get("Code", ""))
        return {"AccessDeniedException": "AccessDenied", "ExpiredTokenException": "ExpiredToken"}.get(
            code, {"UnrecognizedClientException": "InvalidAccessKeyId"}.get(code, code)
        )
    if found := _STORE_CODE.search(text := str(error)):
        camel = "".join(word.capitalize() for word in found[1].split("_"))  # pyarrow writes NO_SUCH_BUCKET
        if camel in ADVICE:
            return camel
    return "403" if _HTTP_STATUS.search(text) else ""


def _shown(error: Exception) -> str:
    """The first line of a foreign message: the rest may be a table, a trace, or SQL with its parameters."""
    if origin := getattr(error, "orig", None):  # SQLAlchemy's wrapper around what SQLite said
        return f"the catalog's SQLite file: {origin}"
    text = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {text[:_SHOWN_CHARACTERS_MAX]}".rstrip(" .:")
