"""Counts by the minute: a day is kept, totals never fall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.delivery.counts import (
    MINUTES_KEPT,
    MinuteCount,
    UserErrors,
    add_minute,
    add_user_errors,
    minute_counts,
    user_error_totals,
    user_errors,
)
from edge.bindings.pipelines.delivery.facts import delivery_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.bindings._shared.sqlite_facts import Facts

DAY = 1_000_000
"""A minute."""
KIND = ("sink", "refused")


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    one = delivery_facts(tmp_path)
    yield one
    one.close()


def test_a_store_that_is_not_there_has_no_counts(facts: Facts) -> None:
    assert minute_counts(facts, 0) == user_errors(facts, 0) == user_error_totals(facts) == []


def test_a_minute_adds_up_and_is_forgotten_after_a_day_but_totals_stay(facts: Facts) -> None:
    for minute in (DAY, DAY, DAY + 1, DAY + MINUTES_KEPT + 1):
        with facts.write() as connection:
            add_minute(connection, "i", {"recordsIn": 2.0, "filesWritten": 0}, minute)
    assert minute_counts(facts, 0) == [
        MinuteCount("i", (DAY + 1) * 60, "recordsIn", 2),
        MinuteCount("i", (DAY + MINUTES_KEPT + 1) * 60, "recordsIn", 2),
    ]
    assert minute_counts(facts, (DAY + 2) * 60) == [MinuteCount("i", (DAY + MINUTES_KEPT + 1) * 60, "recordsIn", 2)]
    assert facts.read("SELECT name, value FROM counters") == [("recordsIn", 8.0)]


def test_user_errors_of_a_day_ago_are_no_longer_shown_but_still_counted(facts: Facts) -> None:
    for minute in (DAY, DAY, DAY + 5, DAY + MINUTES_KEPT + 1, DAY + MINUTES_KEPT + 9, DAY + MINUTES_KEPT + 9):
        with facts.write() as connection:
            add_user_errors(connection, "i", {KIND: 3}, minute)
    assert user_errors(facts, 0) == [
        UserErrors("i", (DAY + MINUTES_KEPT + 1) * 60, *KIND, 3),
        UserErrors("i", (DAY + MINUTES_KEPT + 9) * 60, *KIND, 6),
    ]
    assert user_error_totals(facts) == [UserErrors("i", 0, *KIND, 18)]
