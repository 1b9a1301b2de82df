"""`${...}`: what it sees, and what it refuses."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.workflows.errors import WorkflowFatalError
from edge.bindings.workflows.manifests.expressions import ExpressionProblem, Template, parse_template
from edge.bindings.workflows.manifests.filters import FILTERS
from edge.bindings.workflows.manifests.manifest import evaluate
from edge.bindings.workflows.values import VALUE_BYTES_MAX

SCOPE: dict[str, Any] = {
    "params": {
        "n": 3,
        "name": "Ada",
        "tags": ["x", "y"],
        "none": None,
        "odd key": 1,
        "a-b": 2,
        "no": False,
        "big": "z" * 700_000,
    },
    "steps": {"probe": {"out": {"streams": [{"codec": "h264"}]}, "skipped": False}},
}


def value(text: str) -> Any:
    return evaluate(parse_template(text), SCOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${params.n}", 3),
        ("${ params.tags }", ["x", "y"]),
        ("${params.tags[0]}${params.tags[-1]}", "xy"),
        ("${params['odd key']} ${params.a-b}", "1 2"),
        ("n=${params.n}, none=${params.none}, no=${params.no}, ${params.tags}", 'n=3, none=, no=false, ["x", "y"]'),
        ("$${params.n}", "${params.n}"),
        ("cost: $5 ${params.n}$", "cost: $5 3$"),
        ("${steps.probe.out.streams[0].codec | upper}", "H264"),
        ("${params.none.whatever[3].more}", None),
        ("${params.missing | default('x')}", "x"),
        ("${params.none | default(params.n)}", 3),
        ("${params.no | default(true)}", False),
        ("${params.n | gt(2) | and(params.no) | not}", True),
        ("${params.n | eq(3)}", True),
        ("${params.name | in('Bob', 'Ada')}", True),
        ("${'z' | in(params.tags)}", False),
        ("${params.tags | join('-')}", "x-y"),
        ("${params.tags | length}", 2),
        ("${'7' | number | ge(7.0)}", True),
        ('${"it\\"s" | text}', 'it"s'),
        ("${params.tags | first}${params.tags | last}", "xy"),
        ("${'a,b' | split(',')}", ["a", "b"]),
        ("${'}' | text}", "}"),
    ],
)  # fmt: skip
def test_an_expression_gives(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${params.nam}", "params has no member 'nam'. Did you mean \"name\"?"),
        ("${params.tags[2]}", "params.tags is a list of 2 items, and has no 2."),
        ("${params.tags.x}", "params.tags is a list of 2 items, and has no 'x'."),
        ("${params.n.x}", "params.n is 3, which has no members."),
        ("${params.n | upper}", "upper cannot work on 3: it is no text"),
        ("${params.n | lt('x')}", "lt cannot work on 3: "),
        ("${params.name | number}", "number cannot work on 'Ada': "),
        ("${'inf' | number}", "it is no number that can be kept"),
        ("${params.n | length}", "length cannot work on 3: "),
        ("${params.big}${params.big}", "A text made of ${...} is larger than 1 MiB."),
    ],
)
def test_what_leads_nowhere_ends_the_step(text: str, expected: str) -> None:
    with pytest.raises(WorkflowFatalError) as caught:
        value(text)
    assert expected in caught.value.message


def test_no_filter_makes_more_than_a_value_may_be() -> None:
    many = {"params": {"items": ["x"] * 10_000, "glue": "y" * 10_000}}
    with pytest.raises(WorkflowFatalError, match="larger than 1 MiB"):
        evaluate(parse_template("${params.items | join(params.glue)}"), many)
    assert len(evaluate(parse_template("${params.items | join('')}"), many)) < VALUE_BYTES_MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a ${params.n", "${params.n: the closing } is missing."),
        ("${}", "a path as params.key, a number or a text in quotes is expected."),
        ("${params.}", "a name is expected after the dot"),
        ("${params.1}", "a name is expected after the dot"),
        ("${params[x]}", "a whole number or a text in quotes is expected in [ ]"),
        ("${params[0}", "] is expected"),
        ("${params.n + 1}", "'+ 1}' means nothing here"),
        ("${params.n || 1}", "the name of a filter is expected after |"),
        ("${params.n | eval('1')}", 'there is no filter "eval".'),
        ("${params.n | eq}", 'the filter "eq" takes 1 arguments, got 0'),
        ("${params.n | not(1)}", 'the filter "not" takes 0 arguments, got 1'),
        ("${params.n | eq(1}", ") is expected"),
        ("${params.__class__()}", "| and a filter, or the closing }, is expected"),
        ("${" + "a" * 3000 + "}", "an expression has at most 2,000 characters"),
    ],
)
def test_what_is_no_expression_is_told_when_it_is_read(text: str, expected: str) -> None:
    with pytest.raises(ExpressionProblem) as caught:
        parse_template(text)
    assert expected in caught.value.text


def test_nothing_but_data_is_reached() -> None:
    class Secret:
        password = "x"

    with pytest.raises(WorkflowFatalError, match="has no members"):
        evaluate(parse_template("${params.password}"), {"params": Secret()})


@given(st.text(alphabet="${}ab.|[]()'\"0 ,-", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_template(text), str | Template)
    except ExpressionProblem as problem:
        source = problem.source
    else:
        source = ""
    assert source in text


@given(st.sampled_from(sorted(FILTERS)), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_filter_gives_a_value_or_says_why_not(name: str, given_value: Any) -> None:
    for arguments in ("", "(params.v)", "('x')"):
        try:
            template = parse_template(f"${{params.v | {name}{arguments}}}")
        except ExpressionProblem:
            continue
        with suppress(WorkflowFatalError):
            evaluate(template, {"params": {"v": given_value}})
