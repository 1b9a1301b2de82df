"""Where a table is: the catalog's properties as pyiceberg takes them, and the table's name.

The standard library only, so that a sink can be declared and checked without loading pyiceberg.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .sink_config import Credentials

FILE_IO = f"{__package__}.iceberg_files.DurableFileIO"
CONNECT_SECONDS = 5
REQUEST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class TablePlace:
    """A table, and how it is kept."""

    catalog: Mapping[str, str] = field(repr=False)
    """Properties of pyiceberg's catalog: credentials among them."""
    namespace: tuple[str, ...]
    table: str
    existing_table: Literal["refuse", "append"] = "refuse"
    """What to do with a table that somebody else made."""
    snapshot_max_age_s: float = 86_400.0
    folders: tuple[Path, ...] = ()
    """To be made before the first use."""

    @property
    def identifier(self) -> tuple[str, ...]:
        return (*self.namespace, self.table)

    def __str__(self) -> str:
        return f"Iceberg table {'.'.join(self.identifier)}"


def sqlite_catalog(database: Path, warehouse: Path | str) -> dict[str, str]:
    """A catalog in a file of this machine; `warehouse` is a folder or an s3:// address."""
    return {
        "type": "sql",
        "uri": f"sqlite:///{database}",
        "warehouse": f"file://{warehouse}" if not isinstance(warehouse, str) else warehouse,
        "py-io-impl": FILE_IO,
    }


def s3_properties(endpoint: str | None, region: str | None, credentials: Credentials | None) -> dict[str, str]:
    """How pyiceberg reaches the warehouse's files."""
    if endpoint is not None and region is None:
        region = "us-east-1"  # else the client asks AWS for it, whatever the endpoint is
    given = {"s3.endpoint": endpoint, "s3.region": region}
    if credentials is not None:
        given |= {
            "s3.access-key-id": credentials.access_key_id,
            "s3.secret-access-key": credentials.secret_access_key,
            "s3.session-token": credentials.session_token,
        }
    limits = {"s3.connect-timeout": str(CONNECT_SECONDS), "s3.request-timeout": str(REQUEST_SECONDS)}
    return {name: value for name, value in given.items() if value is not None} | limits
