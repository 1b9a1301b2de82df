"""What is wrong with a manifest: every problem at once, each at its line and column."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from ..errors import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable

PROBLEMS_MAX = 100
"""Shown of one manifest; what is wrong a thousand times is wrong for one reason."""
ECHO_CHARS_MAX = 80


class Place(NamedTuple):
    """Where something is written, both counted from 1."""

    line: int = 1
    column: int = 1


class Problem(NamedTuple):
    place: Place
    text: str


class ManifestError(WorkflowError):
    """Raised when a manifest cannot be used. `problems` has them all; `report` is a line for each."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        shown = [f"{file}:{place.line}:{place.column}: {text}" for place, text in self.problems[:PROBLEMS_MAX]]
        if len(self.problems) > PROBLEMS_MAX:
            shown.append(f"{file}: and {len(self.problems) - PROBLEMS_MAX} more")
        self.report = "\n".join(shown)
        super().__init__("workflow.invalid_manifest", self.report)

    @classmethod
    def of_file(cls, file: str, text: str) -> ManifestError:
        """One problem of the whole file."""
        return cls(file, [Problem(Place(), text)])


class Problems:
    """Collects them while a manifest is read."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, place: Place, text: str) -> None:
        self.found.append(Problem(place, text))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelled most like one; None when none is."""
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.6)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` when something near is known, else what is known, else nothing."""
    names = sorted(known)
    if (near := nearest(name, names)) is not None:
        return f' Did you mean "{near}"?'
    return f" Known: {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}." if names else ""


def echo(value: object) -> str:
    """A value as a message repeats it."""
    text = repr(value)
    return text if len(text) <= ECHO_CHARS_MAX else f"{text[:ECHO_CHARS_MAX]}..."
