"""Where a sink keeps its files: one text per place, so that the files of several sinks can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ..sink_types import find_sink_type
from .sink_config import r2_endpoint
from .types.r2 import FOLDER_NAME
from .types.r2_data_catalog import CATALOG_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def place_of(type_: str, config: Mapping[str, Any], state_dir: Path, config_folder: Path) -> str | None:
    """The folder, or the bucket and path, that holds all files of a sink, with a slash at its end.

    None: the sink keeps no files at a place of its own, or its settings are wrong, so that it delivers nothing.
    """
    kind = find_sink_type(type_)
    if kind is None:
        return None
    try:
        settings = msgspec.convert(dict(config), kind.Config)
    except msgspec.ValidationError:
        return None
    match type_:
        case "local":
            return f"{(config_folder / settings.path).resolve()}/"
        case "r2" if settings.remote or settings.endpoint:
            store = settings.endpoint or r2_endpoint(settings.account_id, settings.jurisdiction)
            return _joined(store, settings.bucket, settings.path)
        case "r2":
            return _joined(str(state_dir.resolve()), FOLDER_NAME, settings.bucket, settings.path)
        case "s3":
            return _joined(settings.endpoint or "s3:/", settings.bucket, settings.path)
        case "r2_data_catalog" if settings.remote:
            return _joined(r2_endpoint(settings.account_id, None), settings.bucket, CATALOG_FOLDER)
        case "r2_data_catalog":
            return _joined(str(state_dir.resolve()), FOLDER_NAME, settings.bucket, CATALOG_FOLDER)
        case "iceberg" if (settings.warehouse or "").startswith("s3://"):
            return _joined(settings.endpoint or "s3:/", settings.warehouse.removeprefix("s3://"))
    return None


def _joined(*parts: str) -> str:
    return "".join(f"{part.rstrip('/')}/" for part in parts if part.strip("/")).replace("//", "/")
