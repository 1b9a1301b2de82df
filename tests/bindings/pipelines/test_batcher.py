"""When a file is due."""

from __future__ import annotations

import pytest

from edge.bindings.pipelines.batcher import Backlog, RollPolicy, decide_roll

POLICY = RollPolicy(interval_s=10.0, size_bytes=1_000, first_interval_s=1.0)


@pytest.mark.parametrize(
    ("records", "size", "age", "is_first", "is_due"),
    [
        (0, 0, 100.0, False, False),
        (1, 10, 9.9, False, False),
        (1, 10, 10.0, False, True),
        (1, 10, 0.9, True, False),
        (1, 10, 1.0, True, True),
        (5, 999, 0.0, False, False),
        (5, 1_000, 0.0, False, True),
    ],
    ids=["nothing waits", "young", "old", "young first", "first", "small", "large"],
)
def test_file_is_due_by_age_or_size(records: int, size: int, age: float, is_first: bool, is_due: bool) -> None:
    backlog = Backlog(records, size, waiting_since=500.0)
    assert decide_roll(POLICY, backlog, 500.0 + age, is_first=is_first) is is_due
