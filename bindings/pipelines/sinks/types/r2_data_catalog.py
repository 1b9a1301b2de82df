"""R2 Data Catalog: an Iceberg table in an R2 bucket. By default bucket and catalog are folders of the state folder.

With `remote = true` it is the account's own catalog, reached through its REST API.
Source: Cloudflare docs, Pipelines "R2 Data Catalog sink", R2 "Data Catalog > Config examples" (address, warehouse).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..iceberg_place import TablePlace, s3_properties, sqlite_catalog
from ..sink_config import check_bucket_name, check_table_name, config_of
from .r2 import FOLDER_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from ...objects import SinkObject
    from ..iceberg_sink import IcebergSink
    from ..sink import SinkSite

SECRETS = ("token",)
CATALOG_FOLDER = "__r2_data_catalog"
"""Of the bucket; the hosted catalog keeps its tables there."""
CATALOG_ADDRESS = "https://catalog.cloudflarestorage.com"


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an r2_data_catalog sink."""

    bucket: str
    table_name: str
    namespace: str = "default"
    token: str | None = field(default=None, repr=False)
    account_id: str | None = None
    remote: bool = False
    """Write to the real catalog of `account_id`, with `token`."""
    existing_table: Literal["refuse", "append"] = "refuse"
    """append: use a table that something else made, if its columns are the SQL's."""
    snapshot_max_age_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        check_bucket_name(self.bucket)
        check_table_name(self.namespace, self.table_name)
        if self.remote and (self.account_id is None or self.token is None):
            raise ValueError("remote = true needs account_id and token")


def open_sink(sink: SinkObject, site: SinkSite) -> IcebergSink:
    """Open the sink; catalog and table are first asked, or made, by the first roll.

    Raises:
        SinkMisconfiguredError: the settings do not make sense.
    """
    from ..iceberg_sink import IcebergSink  # noqa: PLC0415 - it loads pyiceberg: for opening a sink, not declaring one

    return IcebergSink(place_of(sink, site.host.state_dir), sink, site)


def require_column(name: str, type_: Any) -> None:
    """Raise SinkMisconfiguredError for a column of an Arrow type that a table cannot hold."""
    from ..iceberg_columns import iceberg_type  # noqa: PLC0415 - pyarrow: for who plans SQL, not for declaring a sink

    iceberg_type(type_, name)


def place_of(sink: SinkObject, state_dir: Path) -> TablePlace:
    """Where the sink's table is. Raises as `open_sink`."""
    config = config_of(Config, sink)
    folder = state_dir / FOLDER_NAME / config.bucket / CATALOG_FOLDER
    if config.remote:
        catalog = {
            "type": "rest",
            "uri": f"{CATALOG_ADDRESS}/{config.account_id}/{config.bucket}",
            "warehouse": f"{config.account_id}_{config.bucket}",
            "token": config.token or "",
            **s3_properties(None, None, None),
        }
    else:
        catalog = sqlite_catalog(folder / "catalog.sqlite3", folder)
    return TablePlace(
        catalog,
        tuple(config.namespace.split(".")),
        config.table_name,
        existing_table=config.existing_table,
        snapshot_max_age_s=config.snapshot_max_age_seconds,
        folders=() if config.remote else (folder,),
    )
