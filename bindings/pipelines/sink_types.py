"""The sink types: files of `sinks/` that have `Config`, `SECRETS` and `open_sink`, found by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .objects import SinkObject
    from .sinks.sink import Sink, SinkSite

_FOLDER = Path(__file__).parent / "sinks"
_OTHER_NAMES = {"basin_catalog": "r2_data_catalog"}
"""Newer name -> the one that stays. Source: cloudflare 5.9, types of `client.pipelines.sinks`."""


class SinkType(Protocol):
    """What a sink's module has."""

    Config: type[Any]
    SECRETS: Sequence[str]

    def open_sink(self, sink: SinkObject, site: SinkSite) -> Sink: ...


def sink_type_name(text: str) -> str:
    """How the API writes a type: wrangler's `r2-data-catalog` is `r2_data_catalog`."""
    name = text.replace("-", "_")
    return _OTHER_NAMES.get(name, name)


def find_sink_type(name: str) -> SinkType | None:
    """The type of this name; None when there is none.

    Raises:
        ImportError: its library is not installed.
    """
    if name not in _names():
        return None
    module: Any = import_module(f".sinks.{name}", __package__)
    return cast("SinkType", module) if hasattr(module, "open_sink") and hasattr(module, "Config") else None


def sink_type_names() -> list[str]:
    """Every type there is, sorted. Loads all of them: for a message or a schema."""
    return [name for name in _names() if _is_type(name)]


def _is_type(name: str) -> bool:
    try:
        return find_sink_type(name) is not None
    except ImportError:  # a type whose library is not installed
        return True


def _names() -> list[str]:
    return sorted({path.stem for path in _FOLDER.glob("[!_]*.py*") if path.suffix in (".py", ".pyc")})
