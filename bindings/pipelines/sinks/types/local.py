"""A folder of this machine: NDJSON or Parquet files, each there as a whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..sink import SinkMisconfiguredError
from ..sink_config import Partitioning, config_of

if TYPE_CHECKING:
    from ...objects import SinkObject
    from ..local_folder import LocalSink
    from ..sink import SinkSite

SECRETS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a local sink."""

    path: str
    """The folder. A relative one begins where edge.toml is."""
    partitioning: Partitioning = field(default_factory=Partitioning)

    def __post_init__(self) -> None:
        if not self.path or "\0" in self.path:
            raise ValueError(f"path {self.path!r} is no folder. The folder of edge.toml itself is '.'")


def open_sink(sink: SinkObject, site: SinkSite) -> LocalSink:
    """Open the folder; it is made with the first file.

    Raises:
        SinkMisconfiguredError: the settings do not make sense.
    """
    from ..file_layout import FileLayout  # noqa: PLC0415 - it loads pyarrow: for opening a sink, not for declaring one
    from ..local_folder import LocalSink  # noqa: PLC0415 - as above

    config = config_of(Config, sink)
    folder = site.config_folder / config.path
    if sink.origin == "api" and not folder.resolve().is_relative_to(site.config_folder.resolve()):
        raise SinkMisconfiguredError(
            f"Sink {sink.name!r}: the path {config.path!r} is outside of {site.config_folder}. "
            f"A sink made by the API stays inside it; declare the sink in edge.toml to write elsewhere."
        )
    return LocalSink(folder, sink.format, FileLayout(time_pattern=config.partitioning.time_pattern))
