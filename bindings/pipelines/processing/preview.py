"""What the steps of a stream make of records, one by one: what `edge streams test` shows.

Nothing is sent and nothing is written: the steps run over the records of a file, with a look before and after each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .declared import EnrichStep, MaskStep, ParseStep
from .processor import Processor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .declared import Step
    from .facts import Facts


@dataclass(frozen=True, slots=True)
class StepView:
    """One record at one step."""

    title: str
    """"2 mask (before the log)"."""
    before: bytes
    after: bytes | None
    """None: the record ends here, and `note` says why."""
    note: str = ""
    """What a step decided that changes no record."""


@dataclass(frozen=True, slots=True)
class RecordView:
    number: int
    """Of the record in the file, from 1."""
    steps: tuple[StepView, ...]
    result: bytes | None
    """What the checks and the SQL get; None when a step ended it."""


def preview(
    records: Sequence[bytes], steps: Sequence[Step], stream: str, folder: Path, facts: Facts
) -> Iterator[RecordView]:
    """Each record (JSON text without line breaks) through every step that changes records, in the order they run.

    Raises:
        ConfigError: a step cannot work.
    """
    stages = [_Stage(number, step, Processor([step], stream, folder)) for number, step in _in_order(steps)]
    for number, record in enumerate(records, 1):
        views: list[StepView] = []
        current: bytes | None = record
        for stage in stages:
            assert current is not None, "a record that ended goes no further"
            view = stage.view(current, facts)
            views.append(view)
            current = view.after
            if current is None:
                break
        yield RecordView(number, tuple(views), current)


def _in_order(steps: Sequence[Step]) -> list[tuple[int, Step]]:
    """The steps that change records, those before the log first; with their numbers in the file."""
    changing = [(n, step) for n, step in enumerate(steps, 1) if isinstance(step, (ParseStep, EnrichStep, MaskStep))]
    return sorted(changing, key=lambda numbered: not _is_before_log(numbered[1]))


def _is_before_log(step: Step) -> bool:
    return isinstance(step, MaskStep) and step.stage == "ingest"


@dataclass(frozen=True, slots=True)
class _Stage:
    number: int
    step: Step
    processor: Processor

    def view(self, record: bytes, facts: Facts) -> StepView:
        title = f"{self.number} {self.step.type}"
        if _is_before_log(self.step):
            return StepView(f"{title}, before the log", record, self.processor.before_log(record + b"\n").rstrip(b"\n"))
        result = self.processor.before_sql(record + b"\n", facts)
        if result.dead:
            return StepView(title, record, None, f"dead letter ({result.dead[0].kind}): {result.dead[0].message}")
        if result.dropped_count:
            return StepView(title, record, None, "dropped")
        return StepView(title, record, result.lines.rstrip(b"\n"))
