"""Section -> folder, platform -> file, by name: there is no list to edit."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..runtime.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

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
    return any((_FOLDER / section / f"rest.{ending}").exists() for ending in ("py", "pyc"))


def routes_of(section: str) -> Callable[[Any], Sequence[Route]]:
    """What makes a section's routes from its opened `admin`; loads its `rest.py`."""
    return cast("Callable[[Any], Sequence[Route]]", import_module(f"{_PACKAGE}.{section}.rest").routes)


def local_routes_of(section: str) -> Callable[[Any], Sequence[Route]] | None:
    """What makes the routes that programs of this machine may call without a token; None when there are none."""
    return getattr(import_module(f"{_PACKAGE}.{section}.rest"), "local_routes", None)


def described_paths(section: str) -> Mapping[str, Any]:
    """What a section serves outside of `/client/v4` and describes itself: path -> OpenAPI's path item."""
    return cast("Mapping[str, Any]", getattr(import_module(f"{_PACKAGE}.{section}.rest"), "DESCRIBED_PATHS", {}))


def answerer_of(section: str) -> Callable[[Any, Call], Awaitable[dict[str, Any] | None]] | None:
    """What answers GraphQL queries about a section's figures, given its `admin`; None when it has none."""
    return getattr(import_module(f"{_PACKAGE}.{section}.rest"), "answer_question", None)


def opener_of(section: str, platform: str) -> OpenBinding:
    """How to open a section on a platform ("local", "aws").

    Raises:
        UnsupportedError: there is no file of that name in the section's folder.
    """
    if not (_FOLDER / section / f"{platform}.py").exists() and not (_FOLDER / section / f"{platform}.pyc").exists():
        msg = (
            f'[[{section}]] has no backend for platform "{platform}": there is no bindings/{section}/{platform}.py. '
            f"Remove the binding from this environment, or add the backend (ARCHITECTURE.md, recipes)."
        )
        raise UnsupportedError(msg)
    return cast("OpenBinding", import_module(f"{_PACKAGE}.{section}.{platform}").open_binding)
