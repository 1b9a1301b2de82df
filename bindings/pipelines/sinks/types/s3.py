"""Files in an S3 bucket, or in any store that speaks S3 (with `endpoint`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..addresses import problem_of_url
from ..file_names import FileNaming
from ..sink_config import Credentials, Partitioning, check_path, config_of

if TYPE_CHECKING:
    from ...objects import SinkObject
    from ..object_store import Bucket, ObjectStoreSink
    from ..sink import SinkSite

SECRETS = ("credentials",)


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an s3 sink; named as Cloudflare's API names those of r2."""

    bucket: str
    path: str = ""
    partitioning: Partitioning = field(default_factory=Partitioning)
    file_naming: FileNaming = field(default_factory=FileNaming)
    region: str | None = None
    """None: AWS_REGION, else us-east-1."""
    endpoint: str | None = None
    """None: AWS itself."""
    credentials: Credentials | None = None
    """None: AWS_* variables, web identity, the container's or the instance's role."""
    allow_private_network: bool = False
    """Let `endpoint` be an address that is not on the public internet, as localhost."""

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.endpoint is not None and (problem := problem_of_url(self.endpoint)):
            raise ValueError(problem)


def open_sink(sink: SinkObject, site: SinkSite) -> ObjectStoreSink:
    """Open the bucket; it is not asked before the first file.

    Raises:
        SinkMisconfiguredError: the settings do not make sense.
    """
    from ..object_store import ObjectStoreSink  # noqa: PLC0415 - it loads pyarrow and obstore: for opening a sink, not for declaring one

    config = config_of(Config, sink)
    return ObjectStoreSink(open_bucket(config), config, sink.format, site.host)


def open_bucket(config: Config) -> Bucket:
    """The bucket a config names."""
    from ..object_store import s3_bucket  # noqa: PLC0415 - it loads pyarrow and obstore: for opening a sink, not for declaring one

    credentials = config.credentials.parts() if config.credentials else None
    return s3_bucket(config.bucket, endpoint=config.endpoint, region=config.region, credentials=credentials)
