"""An Iceberg table, by default on this machine: an SQLite catalog and a folder of files, both in the state folder.

With `catalog.type` rest or glue, and `warehouse` at an s3:// address, it is a table of the data lake.
Source: Iceberg spec; Cloudflare docs, Pipelines "R2 Data Catalog sink", for names and for `__ingest_ts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..addresses import problem_of_url
from ..iceberg_place import TablePlace, s3_properties, sqlite_catalog
from ..sink_config import Credentials, check_table_name, config_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...objects import SinkObject
    from ..iceberg_sink import IcebergSink
    from ..sink import SinkSite

SECRETS = ("token", "credentials")
FOLDER_NAME = "iceberg"
"""Of the state folder: `catalog.sqlite3` and `warehouse/`."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """`catalog` of an iceberg sink."""

    type: Literal["sqlite", "rest", "glue"] = "sqlite"
    uri: str | None = None
    """Of a REST catalog; for glue another address than AWS's."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an iceberg sink."""

    table_name: str
    namespace: str = "default"
    """With dots between its levels."""
    catalog: Catalog = field(default_factory=Catalog)
    warehouse: str | None = None
    """Where files are: s3://bucket/path, or what a REST catalog calls it. None: a folder of the state folder."""
    token: str | None = field(default=None, repr=False)
    """For a REST catalog."""
    region: str | None = None
    endpoint: str | None = None
    """Of the S3 store; None: AWS itself."""
    credentials: Credentials | None = None
    """For the S3 store and glue; None: AWS's own variables and roles."""
    existing_table: Literal["refuse", "append"] = "refuse"
    """append: use a table that something else made, if its columns are the SQL's."""
    snapshot_max_age_seconds: float = 86_400.0
    """Older snapshots are let go of; readers of the past need them."""
    allow_private_network: bool = False
    """Let catalog.uri and endpoint be addresses that are not on the public internet, as localhost."""

    def __post_init__(self) -> None:
        check_table_name(self.namespace, self.table_name)
        for url in self.urls():
            if problem := problem_of_url(url):
                raise ValueError(problem)
        if self.catalog.type == "rest" and self.catalog.uri is None:
            raise ValueError("catalog.type rest needs catalog.uri")
        if self.catalog.type == "glue" and not (self.warehouse or "").startswith("s3://"):
            raise ValueError("catalog.type glue needs warehouse = s3://bucket/path")
        if self.catalog.type == "sqlite" and self.warehouse is not None and not self.warehouse.startswith("s3://"):
            raise ValueError("warehouse is s3://bucket/path; leave it out for a folder of the state folder")

    def urls(self) -> tuple[str, ...]:
        """Every address the sink will speak to, as far as the config names them."""
        return tuple(url for url in (self.catalog.uri, self.endpoint) if url is not None)


def open_sink(sink: SinkObject, site: SinkSite) -> IcebergSink:
    """Open the sink; catalog and table are first asked, or made, by the first roll.

    Raises:
        SinkMisconfiguredError: the settings do not make sense.
    """
    from ..iceberg_sink import IcebergSink  # noqa: PLC0415 - it loads pyiceberg: for opening a sink, not declaring one

    config = config_of(Config, sink)
    urls = () if config.allow_private_network else config.urls()
    return IcebergSink(place_of(sink, site.host.state_dir), sink, site, public_urls=urls)


def require_column(name: str, type_: Any) -> None:
    """Raise SinkMisconfiguredError for a column of an Arrow type that a table cannot hold."""
    from ..iceberg_columns import iceberg_type  # noqa: PLC0415 - pyarrow: for who plans SQL, not for declaring a sink

    iceberg_type(type_, name)


def place_of(sink: SinkObject, state_dir: Path) -> TablePlace:
    """Where the sink's table is. Raises as `open_sink`."""
    config = config_of(Config, sink)
    folder = state_dir / FOLDER_NAME
    catalog: Mapping[str, str | None]
    match config.catalog.type:
        case "sqlite":
            catalog = sqlite_catalog(folder / "catalog.sqlite3", config.warehouse or folder / "warehouse")
        case "rest":
            catalog = {"type": "rest", "uri": config.catalog.uri, "warehouse": config.warehouse, "token": config.token}
        case "glue":
            catalog = {"type": "glue", "warehouse": config.warehouse, **_glue(config)}
    return TablePlace(
        {name: value for name, value in catalog.items() if value is not None}
        | s3_properties(config.endpoint, config.region, config.credentials),
        tuple(config.namespace.split(".")),
        config.table_name,
        existing_table=config.existing_table,
        snapshot_max_age_s=config.snapshot_max_age_seconds,
        folders=(folder,) if config.catalog.type == "sqlite" else (),
    )


def _glue(config: Config) -> dict[str, str | None]:
    given: dict[str, str | None] = {"glue.endpoint": config.catalog.uri, "glue.region": config.region}
    if config.credentials is not None:
        given["glue.access-key-id"] = config.credentials.access_key_id
        given["glue.secret-access-key"] = config.credentials.secret_access_key
        given["glue.session-token"] = config.credentials.session_token
    return given
