"""What the configs of sinks share, and how a sink's settings become one. Loads no heavy library."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from .sink import SinkMisconfiguredError
from .time_pattern import TIME_PATTERN, problem_of_path, problem_of_pattern

if TYPE_CHECKING:
    from ..objects import SinkObject

C = TypeVar("C")

JSON_COMPRESSIONS = frozenset({None, "uncompressed", "none", "gzip"})
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. Only ever given by reference in edge.toml, and never shown."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def parts(self) -> tuple[str, str, str | None]:
        return self.access_key_id, self.secret_access_key, self.session_token


@dataclass(frozen=True, slots=True)
class Partitioning:
    """`partitioning` of a sink of files."""

    time_pattern: str = TIME_PATTERN
    """strftime's letters, of the time a record was accepted, in UTC; empty: no folders."""

    def __post_init__(self) -> None:
        if problem := problem_of_pattern(self.time_pattern):
            raise ValueError(problem)


def config_of(kind: type[C], sink: SinkObject) -> C:
    """The sink's settings as its type's `Config`.

    Raises:
        SinkMisconfiguredError: they do not fit; the text has no value of a secret.
    """
    try:
        return msgspec.convert(dict(sink.config), kind)
    except msgspec.ValidationError as error:
        raise SinkMisconfiguredError(f"Sink {sink.name!r}: {str(error).rstrip('.')}.") from error


def problem_of_format(sink_type: str, format_type: str, compression: str | None) -> str | None:
    """Why a sink of files cannot write this format; None when it can, or when it writes no files."""
    if sink_type not in {"local", "r2", "s3"} or format_type != "json" or compression in JSON_COMPRESSIONS:
        return None
    return f"JSON files cannot be compressed with {compression}. Use gzip or uncompressed, or Parquet."


def check_path(path: str) -> None:
    """Raise ValueError unless keys of a bucket may begin so."""
    if problem := problem_of_path(path, "path"):
        raise ValueError(problem)


def check_bucket_name(name: str) -> None:
    """Raise ValueError unless a bucket may be called so. It is also a folder's name here.

    Source: R2 docs, "Create buckets"; Amazon S3 user guide, "General purpose bucket naming rules" (which has dots too).
    """
    if _BUCKET.fullmatch(name) is None:
        raise ValueError(
            f"a bucket cannot be called {name!r}. Use 3 to 63 lower-case letters, digits and dashes, "
            f"with a letter or digit at both ends"
        )


def check_table_name(namespace: str, table_name: str) -> None:
    """Raise ValueError unless a table of a catalog may be called so; dots are between the levels of a namespace."""
    if not table_name or not all(namespace.split(".")):
        raise ValueError("table_name and every level of namespace need at least one character")


def r2_endpoint(account_id: str, jurisdiction: str | None) -> str:
    """Where Cloudflare answers for an account's buckets. Source: R2 docs, "Data location > Jurisdictions"."""
    place = f".{jurisdiction}" if jurisdiction and jurisdiction != "default" else ""
    return f"https://{account_id}{place}.r2.cloudflarestorage.com"
