"""Section -> folder, platform -> file, by name: there is no list to edit."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..runtime.core.errors import UnsupportedError

if TYPE_CHECKING:
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
