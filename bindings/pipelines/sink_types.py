"""The sink types: the files of `sinks/types/`, found by name. Finding one loads none of its libraries."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .objects import SinkObject
    from .sinks.sink import Sink, SinkSite

_FOLDER = Path(__file__).parent / "sinks" / "types"
_OTHER_NAMES = {"basin_catalog": "r2_data_catalog"}
"""Newer name -> the one that stays. Source: cloudflare 5.9, types of `client.pipelines.sinks`."""

CLOUDFLARE_TYPES = frozenset({"r2", "r2_data_catalog"})
"""Those that Cloudflare has too."""


class SinkType(Protocol):
    """What a sink's module has.

    One whose columns cannot be of every type has `require_column(name, type)` too, which raises SinkMisconfiguredError.
    """

    Config: type[Any]
    SECRETS: Sequence[str]

    def open_sink(self, sink: SinkObject, site: SinkSite) -> Sink: ...


def sink_type_name(text: str) -> str:
    """How the API writes a type: wrangler's `r2-data-catalog` is `r2_data_catalog`."""
    name = text.replace("-", "_")
    return _OTHER_NAMES.get(name, name)


def find_sink_type(name: str) -> SinkType | None:
    """The type of this name; None when there is none. Its library is first needed when a sink is opened."""
    if name not in sink_type_names():
        return None
    return cast("SinkType", import_module(f".sinks.types.{name}", __package__))


def sink_type_names() -> list[str]:
    """Every type there is, sorted."""
    return sorted({path.stem for path in _FOLDER.glob("[!_]*.py*") if path.suffix in (".py", ".pyc")})
