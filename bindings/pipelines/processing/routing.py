"""Filter, sample and rules as SQL: the engine that runs pipelines runs these too.

A condition is true, false or null; only true keeps a record, sends it to a rule's sinks or makes a rule final.
A sample compares the first 32 bits of an MD5 with the rate: the same key decides the same on every machine, forever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .declared import FilterStep, RulesStep, SampleStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .declared import Step

HASH_BITS = 32


@dataclass(frozen=True, slots=True)
class Route:
    """One sink and the records it gets."""

    sink: str
    condition: str
    """SQL, true for the sink's records."""


@dataclass(frozen=True, slots=True)
class Routing:
    """What the filter, sample and rules steps of one stream come to."""

    keep: str | None
    """SQL, true for the records that go on; None: all of them."""
    routes: tuple[Route, ...] = ()
    unrouted: str | None = None
    """SQL, true for records that rules were asked about and none wanted; None where there is a default or no rule."""


def routing_of(steps: Sequence[Step]) -> Routing:
    """Raises ValueError for a rate that is none, for rules without a destination, and for two rules steps."""
    conditions: list[str] = []
    rules: RulesStep | None = None
    for step in steps:
        if isinstance(step, (FilterStep, SampleStep)):
            conditions.append(condition_of(step))
        elif isinstance(step, RulesStep):
            if rules is not None:
                raise ValueError("A stream has one rules step; put all rules into it.")
            rules = step
    keep = " AND ".join(conditions) or None
    if rules is None:
        return Routing(keep)
    return _with_rules(keep, rules)


def condition_of(step: FilterStep | SampleStep) -> str:
    """SQL, true for the records that one step lets through. Raises ValueError for a rate that is none."""
    return _is_true(step.where) if isinstance(step, FilterStep) else _sample(step)


def rule_conditions(step: RulesStep) -> list[str]:
    """SQL for each rule, true for the records that reach and match it."""
    conditions: list[str] = []
    finals: list[str] = []
    for rule in step.rules:
        this = _is_true(rule.when)
        conditions.append(" AND ".join([*(f"NOT {one}" for one in finals), this]))
        if rule.final:
            finals.append(this)
    return conditions


def insert_of(route: Route, stream: str) -> str:
    """The statement that sends a route's records to its sink."""
    # The condition is SQL by declaration, parsed and checked like a pipeline's.
    return f"INSERT INTO {quoted(route.sink)} SELECT * FROM {quoted(stream)} WHERE {route.condition}"  # noqa: S608


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _with_rules(keep: str | None, step: RulesStep) -> Routing:
    if not step.rules or any(not rule.to for rule in step.rules):
        raise ValueError('A rules step needs rules, and each of them at least one sink in its "to".')
    routes: dict[str, list[str]] = {}
    for rule, reached in zip(step.rules, rule_conditions(step), strict=True):
        for sink in rule.to:
            routes.setdefault(sink, []).append(f"({reached})")
    unmatched = f"NOT ({' OR '.join(_is_true(rule.when) for rule in step.rules)})"
    for sink in step.default:
        routes.setdefault(sink, []).append(f"({unmatched})")
    return Routing(
        keep,
        tuple(Route(sink, " OR ".join(conditions)) for sink, conditions in routes.items()),
        None if step.default else unmatched,
    )


def _sample(step: SampleStep) -> str:
    if not 0 <= step.rate <= 1:
        raise ValueError(f'"rate" is {step.rate}; it is a share, from 0 to 1.')
    limit = round(step.rate * 2**HASH_BITS)
    if limit >= 2**HASH_BITS:
        return "true"
    key = f"({step.key})" if step.key else _RECORD
    # A null key is one key: its records stay together too.
    share = f"left(md5(coalesce(arrow_cast({key}, 'Utf8'), '')), {HASH_BITS // 4}) < '{limit:0{HASH_BITS // 4}x}'"
    return f"({share} OR {_is_true(step.always)})" if step.always else f"({share})"


_RECORD = """arrow_cast("__edge_partition", 'Utf8') || ':' || arrow_cast("__edge_offset", 'Utf8')"""


def _is_true(condition: str) -> str:
    return f"(({condition}) IS TRUE)"
