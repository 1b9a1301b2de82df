"""Who must be able to read a stream's log, whether it has begun or not: every INSERT that the catalogue has.

A pipeline that cannot start yet (its extra is missing, its sink is misconfigured, another process runs the pipelines
and has not looked) has no cursor that would keep the log for it. The catalogue is asked instead, so from the moment a
pipeline is in it, by whatever way it came, its records stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .catalogue import Catalogue


class PipelineReaders:
    """Stream id -> the cursors' names of the INSERTs that read it. Remembers them until the catalogue changes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: tuple[int, Mapping[str, frozenset[str]]] = (-1, {})

    def __call__(self, stream_id: str) -> frozenset[str]:
        """Raises BackendError when the catalogue cannot be read: nothing may be removed then."""
        version, readers = self._known
        if (now := self._catalogue.version()) != version:
            # The version was read before the rest, as in the catalogue itself: what is newer is read once more.
            readers = self._read()
            self._known = (now, readers)
        return readers.get(stream_id, frozenset())

    def _read(self) -> Mapping[str, frozenset[str]]:
        if not self._catalogue.pipelines():
            return {}
        from .delivery.insert_runner import reader_of  # noqa: PLC0415 - for who has pipelines
        from .delivery.plan import decide_plan  # noqa: PLC0415 - as above: it brings the SQL parser

        readers: dict[str, set[str]] = {}
        for plan in decide_plan(self._catalogue).values():
            if plan.pipeline is not None:
                readers.setdefault(plan.key.stream_id, set()).add(reader_of(plan.key))
        return {stream_id: frozenset(names) for stream_id, names in readers.items()}
