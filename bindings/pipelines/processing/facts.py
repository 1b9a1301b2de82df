"""What a step may know of the request that a record came in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What the frame says of where its records came from."""

    received_at: float
    ip: str | None = None
    user_agent: str | None = None
