"""`env`: a Worker's bindings as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import UnsupportedNameError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Env:
    """Bindings, vars and secrets by name. A missing name is an AttributeError, `env["X"]` a TypeError.

    Source: spec "Handler-side contract", 4.
    """

    def __init__(self, bindings: Mapping[str, Any], unsupported: Mapping[str, str] | None = None) -> None:
        self.__dict__.update(bindings)
        object.__setattr__(self, "_unsupported", dict(unsupported or {}))

    def __getattr__(self, name: str) -> Any:
        section = self.__dict__.get("_unsupported", {}).get(name)
        if section is not None:
            msg = f'env.{name} is a "{section}" binding, which this platform does not have yet (README, support table).'
            raise UnsupportedNameError(msg)
        known = ", ".join(binding_names(self)) or "none"
        msg = f"env has no binding {name!r} (bindings: {known}). Name it in the wrangler file."
        raise AttributeError(msg)

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"env is read-only; env.{name} cannot be set."
        raise AttributeError(msg)

    def __repr__(self) -> str:
        return f"Env({', '.join(binding_names(self))})"


def binding_names(env: Env) -> list[str]:
    """Names a handler can use, in the order they were bound."""
    return [name for name in env.__dict__ if name != "_unsupported"]
