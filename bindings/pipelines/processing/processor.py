"""The steps of one stream, in order, over the records of one frame.

Masks with `stage = "ingest"` run before the log, everything else between the log and the SQL. Records are JSON lines
on both sides; one that no step concerns keeps its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from ....runtime.core.errors import ConfigError
from .declared import EnrichStep, MaskStep, ParseStep
from .enrich import Enrich
from .mask import Mask
from .parse import Parse
from .routing import Routing, routing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .declared import IngestDeclaration, Step
    from .facts import Facts

PARSE_FAILED = "_parse_failed"
"""The field that names the formats a kept record did not have."""

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """A record that a step sent to the dead letters."""

    index: int
    kind: str
    message: str

    def moved(self, begin: int) -> DeadRecord:
        """The same record, counted from `begin` records earlier."""
        return DeadRecord(self.index + begin, self.kind, self.message)


@dataclass(frozen=True, slots=True)
class Processed:
    """What the steps left of a frame."""

    lines: bytes
    """The records that go on, one a line."""
    kept: tuple[int, ...] | None
    """Their indexes in what came in; None when every record is there."""
    dead: tuple[DeadRecord, ...] = ()
    dropped_count: int = 0


class Processor:
    """The steps of one stream. Pure but for lookup files, which `refresh` reads again when they changed."""

    def __init__(self, steps: Sequence[Step], stream: str, folder: Path) -> None:
        """Raises ConfigError, naming the step, for one that cannot work."""
        self._before_log: list[Mask] = []
        self._before_sql: list[_RecordStep] = []
        self.keeps_client = False
        """An enrich step wants to know of the client: the frame has to carry it."""
        for number, step in enumerate(steps):
            try:
                self._add(step, folder)
            except ValueError as error:
                msg = f'ingest.steps[{number}] ({step.type}) of stream "{stream}": {error}'
                raise ConfigError(msg) from error
        try:
            self.routing: Routing = routing_of(steps)
        except ValueError as error:
            raise ConfigError(f'ingest.steps of stream "{stream}": {error}') from error

    @classmethod
    def of(cls, declaration: IngestDeclaration | None, stream: str, folder: Path) -> Processor | None:
        """The stream's processor; None when no step is for it."""
        steps = declaration.of(stream) if declaration else ()
        return cls(steps, stream, folder) if steps else None

    @property
    def changes_records(self) -> bool:
        return bool(self._before_log or self._before_sql)

    @property
    def changes_before_sql(self) -> bool:
        return bool(self._before_sql)

    def before_log(self, lines: bytes) -> bytes:
        """The records with what must not reach the disk hidden."""
        for mask in self._before_log:
            lines = b"".join(_masked_line(mask, line) for line in lines.splitlines(keepends=True))
        return lines

    def before_sql(self, lines: bytes, facts: Facts) -> Processed:
        """The records as the SQL shall see them."""
        if not self._before_sql:
            return Processed(lines, None)
        all_lines = lines.split(b"\n")[:-1]
        if self._hint is not None:
            return Processed(self._masked_lines(lines, all_lines, facts), None)
        kept: list[int] = []
        out: list[bytes] = []
        dead: list[DeadRecord] = []
        for index, line in enumerate(all_lines):
            try:
                out.append(self._processed_line(line, facts))
                kept.append(index)
            except _DroppedError:
                pass
            except _DeadError as error:
                dead.append(DeadRecord(index, error.kind, str(error)))
        is_whole = len(kept) == len(all_lines)
        return Processed(
            b"\n".join(out) + b"\n" if out else b"",
            None if is_whole else tuple(kept),
            tuple(dead),
            len(all_lines) - len(kept) - len(dead),
        )

    @cached_property
    def _hint(self) -> str | None:
        """For steps that are masks alone: what the JSON of every record that one of them changes has in it."""
        hints = [step.hint for step in self._before_sql]
        return "|".join(filter(None, hints)) if all(hints) else None

    def _masked_lines(self, lines: bytes, all_lines: list[bytes], facts: Facts) -> bytes:
        """Records looked at in C, all at once; the few that may hold something are decoded."""
        import pyarrow as pa  # noqa: PLC0415 - there where delivery runs, not needed to take records in
        import pyarrow.compute as pc  # noqa: PLC0415 - as above

        hits = pc.indices_nonzero(pc.match_substring_regex(pa.array(all_lines, pa.binary()), self._hint)).to_pylist()
        if not hits:
            return lines
        for index in hits:
            all_lines[index] = self._processed_line(all_lines[index], facts)
        return b"\n".join(all_lines) + b"\n"

    def _processed_line(self, line: bytes, facts: Facts) -> bytes:
        steps = [step for step in self._before_sql if step.concerns(line)]
        if not steps:
            return line
        record = _decoder.decode(line)
        for step in steps:
            record = step.apply(record, facts)
        return _encoder.encode(record)

    def _add(self, step: Step, folder: Path) -> None:
        if isinstance(step, MaskStep):
            mask = Mask(step)
            if step.stage == "ingest":
                self._before_log.append(mask)
            else:
                self._before_sql.append(
                    _RecordStep(step.type, lambda record, _: mask.apply(record), mask.concerns, mask.hint)
                )
        elif isinstance(step, ParseStep):
            parse = Parse(step)
            self._before_sql.append(_RecordStep(step.type, lambda record, _: _parsed(parse, record)))
        elif isinstance(step, EnrichStep):
            enrich = Enrich(step, folder)
            self.keeps_client |= not {"ip", "user_agent"}.isdisjoint(step.facts)
            self._before_sql.append(_RecordStep(step.type, lambda record, facts: _enriched(enrich, record, facts)))


@dataclass(frozen=True, slots=True)
class _RecordStep:
    name: str
    apply: Callable[[Any, Facts], Any]
    concerns: Callable[[bytes], bool] = lambda _: True
    hint: str | None = None
    """As of Mask; None for a step that may change any record."""


class _DroppedError(Exception):
    """A step drops this record."""


class _DeadError(Exception):
    """A step sends this record to the dead letters."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _masked_line(mask: Mask, line: bytes) -> bytes:
    if not mask.concerns(line):
        return line
    return _encoder.encode(mask.apply(_decoder.decode(line))) + b"\n"


def _parsed(parse: Parse, record: Any) -> Any:
    if not isinstance(record, dict):
        return record
    try:
        parse.apply(record)
    except ValueError as error:
        step = parse.step
        if step.on_failure == "drop":
            raise _DroppedError from error
        if step.on_failure == "dead_letter":
            raise _DeadError("parse_failure", f"{step.field} is no {step.format}: {error}") from error
        failed = record.setdefault(PARSE_FAILED, [])
        if isinstance(failed, list):
            failed.append(step.format)
    return record


def _enriched(enrich: Enrich, record: Any, facts: Facts) -> Any:
    if isinstance(record, dict):
        enrich.apply(record, facts)
    return record
