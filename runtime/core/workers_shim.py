"""The modules that Worker code imports: `workers`, `js`, `pyodide`. `install()` makes import find them first.

`from workers import X` and `from edge import X` give the same object. Names are loaded when they are first asked
for, so a Worker pays only for what it uses.
Source: spec "Handler-side contract", 2 ("Exported") and 5.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

PLACES: dict[str, str] = {
    "Blob": "blob",
    "BlobEnding": "blob",
    "BlobValue": "type_names",
    "Body": "type_names",
    "Context": "type_names",
    "DurableObject": "entrypoints",
    "FetchKwargs": "type_names",
    "FetchResponse": "response",
    "File": "blob",
    "FormData": "formdata",
    "FormDataValue": "type_names",
    "Headers": "type_names",
    "JSBody": "type_names",
    "Request": "request",
    "RequestInitCfProperties": "type_names",
    "Response": "response",
    "WorkerEntrypoint": "entrypoints",
    "WorkflowEntrypoint": "entrypoints",
    "env": "invocation_names",
    "fetch": "invocation_names",
    "handler": "invocation_names",
    "import_from_javascript": "invocation_names",
    "patch_env": "invocation_names",
    "python_from_rpc": "rpc_values",
    "python_to_rpc": "rpc_values",
    "waitUntil": "invocation_names",
    "wait_until": "invocation_names",
}
"""Name of `workers` -> the file of this folder that defines it."""

_MODULES: dict[str, str] = {
    "js": ".js_shim",
    "workers.asgi": "..asgi_bridge",
    "workers.gateway": "..bridge_options",
    "workers.wsgi": "..wsgi_bridge",
    "workers.workflows": ".workflow_errors",
}
"""Module name -> the file that it shows, seen from this folder."""


def resolve(name: str) -> Any:
    """The object behind a name of `workers`.

    Raises:
        AttributeError: no such name.
    """
    try:
        place = PLACES[name]
    except KeyError:
        msg = f"module 'workers' has no attribute {name!r}"
        raise AttributeError(msg) from None
    return getattr(import_module(f".{place}", __package__), name)


def install() -> None:
    """Make `import workers`, `js`, `pyodide` give Edge's modules, whatever site-packages has. May be called again."""
    if getattr(sys.modules.get("workers"), "__edge__", False):
        return
    workers = _LazyModule("workers", resolve, sorted(PLACES))
    pyodide = _LazyModule("pyodide", _pyodide_name, ["__version__", "ffi", "http"])
    installed: dict[str, ModuleType] = {"workers": workers, "pyodide": pyodide}
    installed.update({name: _showing(name, place) for name, place in _MODULES.items()})
    installed.update({name: _LazyModule(name, _pyodide_part(name), None) for name in ("pyodide.ffi", "pyodide.http")})
    for name in tuple(sys.modules):
        if name.partition(".")[0] in {"workers", "js", "pyodide"}:
            del sys.modules[name]
    sys.modules.update(installed)
    if _MissingNames not in sys.meta_path:
        sys.meta_path.append(_MissingNames)  # last: it is asked when nobody else knew
    sys.modules["asgi"] = installed["workers.asgi"]  # the SDK's older spelling
    for name, module in installed.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(installed[parent], child, module)


class _LazyModule(ModuleType):
    """A module whose names are looked up once, when they are first used."""

    __edge__ = True

    def __init__(self, name: str, look_up: Any, names: list[str] | None) -> None:
        super().__init__(name, f"Edge's `{name}`.")
        self.__path__ = []  # packages, so that import asks _MissingNames; what there is stands in sys.modules
        self._look_up = look_up
        if names is not None:
            self.__all__ = names

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        value = self._look_up(name)
        setattr(self, name, value)
        return value


class _MissingNames:
    """Import's last resort for `from js import Date`: raises the module's own words, which import drops else."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        parent, _, child = name.rpartition(".")
        module = sys.modules.get(parent)
        if isinstance(module, _LazyModule):
            try:
                getattr(module, child)
            except AttributeError as error:
                raise ImportError(str(error), name=name) from None


def _showing(name: str, place: str) -> ModuleType:
    return _LazyModule(name, lambda attribute: getattr(import_module(place, __package__), attribute), None)


def _pyodide_name(name: str) -> Any:
    if name == "__version__":
        return import_module(".pyodide_shim", __package__).VERSION
    raise AttributeError(f"module 'pyodide' has no attribute {name!r}")


def _pyodide_part(module: str) -> Any:
    def look_up(name: str) -> Any:
        shim = import_module(".pyodide_shim", __package__)
        names: dict[str, Any] = shim.FFI if module == "pyodide.ffi" else shim.HTTP
        if name in names:
            return names[name]
        msg = f"{module}.{name} is not in Edge; there are: {', '.join(names)}."
        raise AttributeError(msg)

    return look_up
