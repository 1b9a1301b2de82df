"""Decides when what has collected becomes a file. Pure: numbers in, a decision out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RollPolicy:
    """When a file is closed: whichever limit is reached first."""

    interval_s: float = 10.0
    size_bytes: int = 64 * 1024 * 1024
    first_interval_s: float = 1.0
    """For the first file after a start, so that someone who sends one record and looks sees it."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be written out."""

    record_count: int
    size_bytes: int
    waiting_since: float
    """When its first record was seen, Unix seconds."""


def decide_roll(policy: RollPolicy, backlog: Backlog, now: float, *, is_first: bool) -> bool:
    """Whether to write the backlog out now."""
    if backlog.record_count == 0:
        return False
    interval_s = policy.first_interval_s if is_first else policy.interval_s
    return backlog.size_bytes >= policy.size_bytes or now - backlog.waiting_since >= interval_s
