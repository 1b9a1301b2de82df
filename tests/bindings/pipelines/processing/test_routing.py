"""Filter, sample and rules: what the SQL they become keeps, run by the engine that pipelines use."""

from __future__ import annotations

from typing import Any

import datafusion
import pyarrow
import pytest

from edge.bindings.pipelines.processing.declared import FilterStep, Rule, RulesStep, SampleStep, Step
from edge.bindings.pipelines.processing.routing import insert_of, routing_of

ROWS = [{"level": level, "user": f"u{n % 40}"} for n, level in enumerate(["info", "error", None, "debug"] * 500)]


def kept_by(condition: str | None) -> list[int]:
    """Offsets of the rows for which the condition is true."""
    table = pyarrow.table(
        {
            "level": [row["level"] for row in ROWS],
            "user": [row["user"] for row in ROWS],
            "__edge_partition": [0] * len(ROWS),
            "__edge_offset": list(range(len(ROWS))),
        }
    )
    context = datafusion.SessionContext()
    context.register_record_batches("s", [table.to_batches()])
    found = context.sql(f'SELECT "__edge_offset" FROM s WHERE {condition or "true"} ORDER BY 1')
    return [row["__edge_offset"] for row in found.to_pylist()]


def test_a_filter_keeps_what_is_true() -> None:
    kept = kept_by(routing_of([FilterStep("filter", "level = 'error'")]).keep)
    assert kept == [n for n, row in enumerate(ROWS) if row["level"] == "error"]


def test_two_filters_both_decide() -> None:
    keep = routing_of([FilterStep("filter", "level IS NOT NULL"), FilterStep("filter", "user = 'u1' OR user = 'u5'")])
    assert kept_by(keep.keep) == [n for n, row in enumerate(ROWS) if row["level"] and row["user"] in {"u1", "u5"}]


def test_a_sample_keeps_its_share_and_decides_the_same_again() -> None:
    keep = routing_of([SampleStep("sample", 0.25)]).keep
    kept = kept_by(keep)
    assert 0.2 * len(ROWS) < len(kept) < 0.3 * len(ROWS)
    assert kept_by(keep) == kept


def test_a_sample_by_key_keeps_a_key_whole() -> None:
    kept = set(kept_by(routing_of([SampleStep("sample", 0.5, key="user")]).keep))
    users = {ROWS[n]["user"] for n in kept}
    assert 0 < len(users) < 40
    assert kept == {n for n, row in enumerate(ROWS) if row["user"] in users}


def test_a_sample_keeps_errors_always() -> None:
    keep = routing_of([SampleStep("sample", 0.0, always="level = 'error'")]).keep
    assert kept_by(keep) == [n for n, row in enumerate(ROWS) if row["level"] == "error"]


@pytest.mark.parametrize(("rate", "count"), [(0, 0), (1, len(ROWS))])
def test_a_sample_of_none_and_of_all(rate: float, count: int) -> None:
    assert len(kept_by(routing_of([SampleStep("sample", rate)]).keep)) == count


def test_rules_send_each_record_where_it_belongs() -> None:
    rules = (
        Rule(("alerts", "all"), "level = 'error'", final=True),
        Rule(("all",), "level IN ('error', 'info')"),
    )
    routing = routing_of([RulesStep("rules", rules, default=("rest",))])
    got = {route.sink: kept_by(route.condition) for route in routing.routes}
    levels = {sink: {ROWS[n]["level"] for n in offsets} for sink, offsets in got.items()}
    assert levels == {"alerts": {"error"}, "all": {"error", "info"}, "rest": {None, "debug"}}
    assert routing.unrouted is None


def test_a_final_rule_hides_records_from_the_rules_after_it() -> None:
    rules = (Rule(("first",), "level = 'error'", final=True), Rule(("second",)))
    routing = routing_of([RulesStep("rules", rules)])
    second = next(route for route in routing.routes if route.sink == "second")
    assert {ROWS[n]["level"] for n in kept_by(second.condition)} == {"info", None, "debug"}


def test_records_no_rule_wants_can_be_counted() -> None:
    routing = routing_of([RulesStep("rules", (Rule(("a",), "level = 'info'"),))])
    assert {ROWS[n]["level"] for n in kept_by(routing.unrouted)} == {"error", None, "debug"}


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([SampleStep("sample", 1.5)], '"rate" is 1.5'),
        ([SampleStep("sample", float("nan"))], '"rate" is nan'),
        ([RulesStep("rules", ())], "needs rules"),
        ([RulesStep("rules", (Rule(()),))], "at least one sink"),
        ([RulesStep("rules", (Rule(("a",)),))] * 2, "one rules step"),
    ],
)
def test_steps_that_cannot_work_are_refused(steps: list[Step], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        routing_of(steps)


def test_names_are_quoted_in_the_statement() -> None:
    [route] = routing_of([RulesStep("rules", (Rule(('we"ird',)),))]).routes
    statement: Any = insert_of(route, "Flights")
    assert statement == 'INSERT INTO "we""ird" SELECT * FROM "Flights" WHERE (((true) IS TRUE))'
