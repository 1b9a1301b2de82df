"""What a task calls: a function of the Worker's folder, or a method of a binding."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ....runtime.core.errors import BindingError
from ..errors import WorkflowFatalError
from .manifest import BindingMethod, FileFunction
from .problems import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....runtime.core.env import Env

_FILE = re.compile(r"(?:\./)?((?:[A-Za-z_]\w*/)*[A-Za-z_]\w*\.py):([A-Za-z_]\w*)", re.ASCII)
_BINDING = re.compile(r"binding:([A-Za-z_]\w*)\.([A-Za-z]\w*)", re.ASCII)


def parse_uses(value: object) -> FileFunction | BindingMethod | None:
    """`./media.py:probe` or `binding:BUCKET.put`; None for anything else."""
    if not isinstance(value, str):
        return None
    if match := _FILE.fullmatch(value):
        return FileFunction(match[1], match[2])
    return BindingMethod(match[1], match[2]) if (match := _BINDING.fullmatch(value)) else None


class Callables(NamedTuple):
    """Where what tasks call is found, of the code that is loaded now."""

    env: Env
    folder: Path | None
    """The Worker's import root; None: it has no file."""

    def find(self, uses: FileFunction | BindingMethod) -> Callable[..., Any]:
        """What a task calls.

        Raises:
            BindingError: it is not there; it may be once somebody saves the file, so it is tried again as any failure.
            Exception: what the file raised while it was imported.
        """
        if isinstance(uses, BindingMethod):
            found = getattr(getattr(self.env, uses.binding, None), uses.method, None)
        else:
            found = self._function(uses)
        if not callable(found):
            what = "method" if isinstance(uses, BindingMethod) else "function"
            raise BindingError(f"{uses}: there is no such {what}.", name="TypeError")
        called: Callable[..., Any] = found
        return called

    def _function(self, uses: FileFunction) -> Any:
        if self.folder is None or not (self.folder / uses.path).is_file():
            return None
        module = importlib.import_module(uses.path.removesuffix(".py").replace("/", "."))
        if Path(module.__file__ or "") != self.folder / uses.path:
            hidden = f"{uses.path} hides behind the module {module.__name__!r} that is loaded already: rename it."
            raise BindingError(hidden, name="ImportError")
        return getattr(module, uses.name, None)


def check_call(uses: object, function: Callable[..., Any], arguments: Any, named: dict[str, Any]) -> None:
    """Refuse arguments that a function does not take.

    Raises:
        WorkflowFatalError: it would raise TypeError for them, which no retry changes.
    """
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        raise WorkflowFatalError(f"{uses} cannot be called with {echo(arguments or sorted(named))}: {error}.") from None
    except ValueError:  # a builtin without a signature
        return
