"""The order of steps: each after those it needs. A circle is named with its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .manifest import Step
    from .problems import Problems


def put_in_order(steps: Mapping[str, Step], problems: Problems) -> dict[str, Step]:
    """The steps, each after those it needs, else as written; circles are told to `problems`, and left out."""
    ordered: dict[str, Step] = {}
    left = dict(steps)
    waiting = {name: sum(one in steps for one in step.needs) for name, step in steps.items()}
    followers: dict[str, list[str]] = {name: [] for name in steps}
    for name, step in steps.items():
        for need in step.needs:
            if need in followers:
                followers[need].append(name)
    ready = [name for name in steps if waiting[name] == 0]
    while ready:
        following: list[str] = []
        for name in ready:
            ordered[name] = left.pop(name)
            for follower in followers[name]:
                waiting[follower] -= 1
                if waiting[follower] == 0:
                    following.append(follower)
        ready = following
    _tell_circles(left, problems)
    return ordered


def _tell_circles(left: Mapping[str, Step], problems: Problems) -> None:
    """Walk from need to need until a step comes again: what is not ordered leads into a circle."""
    told: set[str] = set()
    for name in left:
        path: list[str] = []
        seen: dict[str, int] = {}
        at: str | None = name
        while at is not None and at not in told and at not in seen:
            seen[at] = len(path)
            path.append(at)
            at = next((need for need in left[at].needs if need in left), None)
        if at is not None and at in seen:
            circle = [*path[seen[at] :], at]
            problems.add(left[at].place, f"The steps wait for each other: {' -> '.join(circle)}.")
        told.update(path)
