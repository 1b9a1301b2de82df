"""Manifests that make instances of each other without end are refused, each at its step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.bindings.workflows.manifests.descent import endless
from edge.bindings.workflows.manifests.read import read_manifest

if TYPE_CHECKING:
    from edge.bindings.workflows.manifests.manifest import Manifest


def made(name: str, *steps: str) -> Manifest:
    """Its steps are named s0, s1 ..., the first in line 4."""
    lines = "".join(f"\n  s{number}: {{{step}}}" for number, step in enumerate(steps))
    return read_manifest(f"kind: Workflow/v1\nname: {name}\nsteps:{lines}\n", f"{name}.yaml")


def told(*found: Manifest, applied: tuple[Manifest, ...] = ()) -> list[str]:
    return [line for error in endless(found, applied).values() for line in error.report.splitlines()]


@pytest.mark.parametrize("step", ["workflow: m", "workflow: m, if: true", "workflow: m, for_each: [1]"])
def test_a_workflow_is_not_its_own_child_in_any_case(step: str) -> None:
    expected = 'm.yaml:4:3: The step "s0" makes an instance of its own workflow, without end: give it an if.'
    assert told(made("m", step)) == [expected]


@pytest.mark.parametrize(
    "bound", ['if: "${params.deeper}"', "if: false", 'for_each: "${params.parts}"', "for_each: []"]
)
def test_what_may_end_is_let_be(bound: str) -> None:
    assert told(made("m", f"workflow: m, {bound}")) == []
    assert told(made("a", f"workflow: b, {bound}"), made("b", "workflow: a")) == []


def test_a_circle_is_told_in_each_of_its_files_with_the_way_and_the_other_places() -> None:
    circle = made("a", "sleep: 1", "workflow: b"), made("b", "workflow: c"), made("c", "workflow: a")
    in_a, in_b, in_c = told(*circle, made("d", "workflow: a"))
    way = "a -> b -> c -> a"
    begins = f'a.yaml:5:3: The step "s1" makes an instance of "b", and so on without end: {way}. '
    assert in_a == begins + 'The others are "s0" at b.yaml:4:3 and "s0" at c.yaml:4:3: give one of these steps an if.'
    assert in_b.startswith('b.yaml:4:3: The step "s0" makes an instance of "c",')
    assert '"s0" at c.yaml:4:3 and "s1" at a.yaml:5:3' in in_b
    assert "without end: c -> a -> b -> c." in in_c


def test_a_circle_through_what_is_applied_is_told_of_the_new_one() -> None:
    applied = made("b", "sleep: 1", "workflow: a"), made("a", "sleep: 1")
    (refused,) = told(made("a", "workflow: b"), applied=applied)
    assert refused.startswith('a.yaml:4:3: The step "s0" makes an instance of "b", and so on without end: a -> b -> a.')
    assert 'The other is "s1" of "b" as it is applied (line 5)' in refused
    assert told(made("a", "workflow: b"), made("b", "sleep: 1"), applied=applied) == [], "a new one takes its place"
    assert told(made("d", "workflow: e"), applied=applied) == [], "who is not in the circle is not told of it"


def test_each_step_of_a_circle_is_told_of_and_no_other() -> None:
    report = told(made("a", "workflow: b", "workflow: b, for_each: [1, 2]", "workflow: gone"), made("b", "workflow: a"))
    assert [line.partition(": ")[0] for line in report] == ["a.yaml:4:3", "a.yaml:5:3", "b.yaml:4:3"]


def test_a_long_line_of_children_is_no_circle() -> None:
    chain = [made(f"m{number}", f"workflow: m{number + 1}") for number in range(200)]
    assert told(*chain) == []
    (first, *_) = told(*chain, made("m200", "workflow: m0"))
    assert " -> m0. " in first
