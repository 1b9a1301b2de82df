"""What a roll will have done once it is committed: written down before anything becomes visible."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import msgspec

from ..sinks.sink import Roll, StagedFile

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping


@dataclass(slots=True)
class Tally:
    """What became of a range of records, in input records (UNNEST makes several rows of one)."""

    delivered: int = 0
    filtered: int = 0
    """The SQL left them out."""
    dead: int = 0
    """They are dead letters."""
    lost: int = 0
    """The log itself declares them gone."""

    @property
    def count(self) -> int:
        return self.delivered + self.filtered + self.dead + self.lost

    def add(self, other: Tally) -> None:
        self.delivered += other.delivered
        self.filtered += other.filtered
        self.dead += other.dead
        self.lost += other.lost


@dataclass(frozen=True, slots=True)
class Intent:
    """A roll with its accounting."""

    roll: Roll
    folder: str
    """Of the staged files, inside the staging folder."""
    tallies: Mapping[int, Tally]
    """By partition."""
    counters: MutableMapping[str, float] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(family, kind) -> how many records."""

    @property
    def record_count(self) -> int:
        return sum(tally.count for tally in self.tallies.values())

    def to_json(self) -> bytes:
        return msgspec.json.encode(
            {
                "roll": asdict(self.roll),
                "folder": self.folder,
                "tallies": {partition: asdict(tally) for partition, tally in self.tallies.items()},
                "counters": self.counters,
                "errors": [[*kind, count] for kind, count in self.errors.items()],
            }
        )

    @classmethod
    def from_json(cls, text: bytes) -> Intent:
        value = msgspec.json.decode(text)
        roll = value["roll"]
        for bound in ("since", "until"):
            roll[bound] = {int(partition): offset for partition, offset in roll[bound].items()}
        roll["files"] = tuple(StagedFile(**file) for file in roll["files"])
        return cls(
            Roll(**roll),
            value["folder"],
            {int(partition): Tally(**tally) for partition, tally in value["tallies"].items()},
            value["counters"],
            {(family, kind): count for family, kind, count in value["errors"]},
        )
