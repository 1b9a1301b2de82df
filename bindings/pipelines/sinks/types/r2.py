"""Files in an R2 bucket. By default the bucket is a folder of the state folder, as everything local is.

With `remote = true` it is the real bucket, reached through R2's S3 API; with `endpoint` it is that server.
Source: Cloudflare docs, Pipelines "R2 sink"; API reference, "Pipelines > Sinks".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..addresses import problem_of_url
from ..file_names import FileNaming
from ..sink_config import Credentials, Partitioning, check_bucket_name, check_path, config_of, r2_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from ...objects import SinkObject
    from ..object_store import Bucket, ObjectStoreSink
    from ..sink import SinkSite

SECRETS = ("credentials",)
FOLDER_NAME = "r2"
"""Of the state folder: one folder per bucket, where R2 buckets of this machine live."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an r2 sink."""

    bucket: str
    path: str = ""
    partitioning: Partitioning = field(default_factory=Partitioning)
    file_naming: FileNaming = field(default_factory=FileNaming)
    account_id: str | None = None
    jurisdiction: str | None = None
    """eu, fedramp; None is the default one."""
    credentials: Credentials | None = None
    remote: bool = False
    """Write to the real bucket of `account_id`, with `credentials`."""
    endpoint: str | None = None
    """Write to this server's bucket instead."""
    allow_private_network: bool = False
    """Let `endpoint` be an address that is not on the public internet, as localhost."""

    def __post_init__(self) -> None:
        check_bucket_name(self.bucket)
        check_path(self.path)
        if self.endpoint is not None and (problem := problem_of_url(self.endpoint)):
            raise ValueError(problem)
        if self.endpoint is not None and self.credentials is None:
            raise ValueError("endpoint needs credentials with access_key_id and secret_access_key")
        if self.remote and (self.account_id is None or self.credentials is None):
            raise ValueError("remote = true needs account_id, and credentials with access_key_id and secret_access_key")
        if self.remote and self.endpoint is not None:
            raise ValueError("remote = true and endpoint name two places; leave one of them out")


def open_sink(sink: SinkObject, site: SinkSite) -> ObjectStoreSink:
    """Open the bucket; a local one is made, a real one is not asked before the first file.

    Raises:
        SinkMisconfiguredError: the settings do not make sense.
    """
    from ..object_store import ObjectStoreSink  # noqa: PLC0415 - it loads pyarrow and obstore: for opening a sink, not for declaring one

    config = config_of(Config, sink)
    return ObjectStoreSink(open_bucket(config, site.host.state_dir), config, sink.format, site.host)


def open_bucket(config: Config, state_dir: Path) -> Bucket:
    """The bucket a config names."""
    from ..object_store import folder_bucket, s3_bucket  # noqa: PLC0415 - it loads pyarrow and obstore: for opening a sink, not for declaring one

    if not config.remote and config.endpoint is None:
        return folder_bucket(state_dir / FOLDER_NAME / config.bucket)
    assert config.credentials is not None, "the config was checked"
    endpoint = config.endpoint or r2_endpoint(config.account_id or "", config.jurisdiction)
    return s3_bucket(config.bucket, endpoint=endpoint, region="auto", credentials=config.credentials.parts())
