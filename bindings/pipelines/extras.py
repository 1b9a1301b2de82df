"""Libraries that are extras: loaded on use, and named with their install command where they are missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...runtime.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def needing(what: str, extra: str = "pipelines") -> Iterator[None]:
    """Import in this block.

    Args:
        what: with its verb, as "Pipelines need".
        extra: of this package; several with commas.

    Raises:
        UnsupportedError: a library is missing; the text says which, and the command.
    """
    try:
        yield
    except ImportError as error:
        msg = f"{what} {error.name}, which is not installed. Run: pip install 'edge-workers[{extra}]'"
        raise UnsupportedError(msg) from error
