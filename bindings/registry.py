"""Section -> folder, platform -> file, by name: there is no list to edit."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..runtime.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import ModuleType

    from ._shared.rest import Call, Route
    from .spec import BindingSpec, OpenBinding

_FOLDER = Path(__file__).parent
_PACKAGE = __name__.rpartition(".")[0]


@cache
def sections() -> tuple[str, ...]:
    """Every section Edge has, sorted. An underscore marks helpers, which are no section."""
    return tuple(sorted(p.parent.name for p in _FOLDER.glob("[!_]*/__init__.py")))


def spec_of(section: str) -> BindingSpec:
    """What the folder says of itself; loads its `__init__.py` only."""
    return cast("BindingSpec", import_module(f"{_PACKAGE}.{section}").SPEC)


@cache
def has_api(section: str) -> bool:
    """Whether the section has routes of the REST API. Then it is open on this machine even when nothing is bound."""
    return _rest_file(section) is not None


def routes_of(section: str) -> Callable[[Any], Sequence[Route]]:
    """What makes a section's routes from its opened `admin`; loads its `rest.py` or `rest/routes.py`."""
    return cast("Callable[[Any], Sequence[Route]]", _rest_of(section).routes)


def local_routes_of(section: str) -> Callable[[Any], Sequence[Route]] | None:
    """What makes the routes that programs of this machine may call without a token; None when there are none."""
    return getattr(_rest_of(section), "local_routes", None)


def described_paths(section: str) -> Mapping[str, Any]:
    """What a section serves outside of `/client/v4` and describes itself: path -> OpenAPI's path item."""
    return cast("Mapping[str, Any]", getattr(_rest_of(section), "DESCRIBED_PATHS", {}))


def answerer_of(section: str) -> Callable[[Any, Call], Awaitable[dict[str, Any] | None]] | None:
    """What answers GraphQL queries about a section's figures, given its `admin`; None when it has none."""
    return getattr(_rest_of(section), "answer_question", None)


def opener_of(section: str, platform: str) -> OpenBinding:
    """How to open a section on a platform ("local", "aws").

    Raises:
        UnsupportedError: there is no file of that name in the section's folder.
    """
    if not _is_there(section, platform):
        msg = (
            f'[[{section}]] has no backend for platform "{platform}": there is no bindings/{section}/{platform}.py. '
            f"Remove the binding from this environment, or add the backend (ARCHITECTURE.md, recipes)."
        )
        raise UnsupportedError(msg)
    return cast("OpenBinding", import_module(f"{_PACKAGE}.{section}.{platform}").open_binding)


def _rest_of(section: str) -> ModuleType:
    return import_module(f"{_PACKAGE}.{section}.{_rest_file(section)}")


def _rest_file(section: str) -> str | None:
    """The module that has a section's routes: one file, or of a folder the one that is named after them."""
    return next((name for name in ("rest", "rest.routes") if _is_there(section, name)), None)


def _is_there(section: str, module: str) -> bool:
    """Whether a section's folder has a module, also one that was compiled alone."""
    path = module.replace(".", "/")
    return any((_FOLDER / section / f"{path}.{ending}").exists() for ending in ("py", "pyc"))
