"""What the commands of streams, sinks and pipelines share: where the state is, and finding what is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from ...bindings.pipelines.admin import PipelinesAdmin
from ...bindings.pipelines.catalogue import NoSuchObjectError
from ...wrangler_config.worker_config import DevSettings
from ..hosts.state_folder import prepare_state_folder
from ..serve import load_config
from .options import choice_of, state_folder_of
from .served_url import find_served_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ...bindings.pipelines.objects import PipelineObject, SinkObject, StreamObject

    T = TypeVar("T", StreamObject, SinkObject, PipelineObject)


def open_admin(path: Path | None, environment: str | None, persist_to: Path | None) -> PipelinesAdmin:
    """The state folder that is meant, made when it is not there; with --persist-to no config is needed.

    It is closed when the command ends.
    """
    if persist_to is not None:
        folder = persist_to.absolute()
    else:
        folder = state_folder_of(load_config(choice_of(path, environment)), None)
    admin = PipelinesAdmin.of(prepare_state_folder(folder))
    click.get_current_context().call_on_close(admin.close)
    return admin


def origin_of(path: Path | None, environment: str | None, persist_to: Path | None) -> str:
    """Where the state folder is served; when it is not, where `edge dev` would listen with this config."""
    if persist_to is not None:
        folder, dev = persist_to.absolute(), DevSettings()
    else:
        config = load_config(choice_of(path, environment))
        folder, dev = state_folder_of(config, None), config.dev
    return find_served_url(folder) or f"http://{dev.ip}:{dev.port}"


def require(kind: Any, id_or_name: str, find: Callable[[str], T | None], known: Callable[[], Sequence[T]]) -> T:
    """The object of this id or name.

    Raises:
        NoSuchObjectError: there is none; the text names those there are.
    """
    if (found := find(id_or_name)) is None:
        raise NoSuchObjectError(kind, id_or_name, (one.name for one in known()))
    return found


def page_of(objects: Sequence[T], page: int, per_page: int) -> Sequence[T]:
    return objects[(page - 1) * per_page : page * per_page]
