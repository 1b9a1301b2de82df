"""What is wrong with a manifest: all of it at once, at its line and column."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.workflows.manifests.problems import PROBLEMS_MAX, ManifestError
from edge.bindings.workflows.manifests.read import STEPS_MAX, Surroundings, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from edge.bindings.workflows.manifests.manifest import Manifest


def problems(text: str, file: str = "m.yaml", **options: Any) -> list[str]:
    """The report's lines, without the file's name."""
    with pytest.raises(ManifestError) as caught:
        read_manifest(text, file, **options)
    return [line.removeprefix(f"{file}:") for line in caught.value.report.splitlines()]


def with_steps(steps: str) -> str:
    return f"kind: Workflow/v1\nname: m\nsteps:\n{textwrap.indent(textwrap.dedent(steps).strip(), '  ')}\n"


def step_problems(steps: str, **options: Any) -> list[str]:
    return problems(with_steps(steps), **options)


def read(steps: str) -> Manifest:
    return read_manifest(with_steps(steps))


MANY = """\
kind: Workflow/v1
name: transcode
params: {schema: {type: object, propertis: {}}}
steps:
  probe:   {uses: "./media.py:probe", retries: {limit: 3, delay: 5 lightyears}}
  ladder:  {uses: "./media.py:hls", with: {src: "${steps.prob.out}"}, for_each: 3, max_parallel: 0}
  thumb:   {uses: ffmpeg.thumbnail, needs: [probe, ladde], timeout: 2 minuts}
  approve: {wait_for_event: "", if: "params.review"}
  q:       {sleap: 3}
outputs: {}
"""


def test_every_problem_is_told_at_once_at_its_place() -> None:
    assert [line.partition(": ")[0] for line in problems(MANY)] == [
        *("3:33", "5:48", "6:52", "6:81", "6:98", "7:19", "7:52", "7:69", "8:29", "8:37", "9:3", "10:1"),
    ]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("a: {sleep: 1}\nb: {sleep: 1, needs: [aa]}", '5:25: There is no step "aa". Did you mean "a"?'),
        ("a: {sleep: 1, need: [a]}", '4:17: A step with sleep takes no "need". Did you mean "needs"?'),
        (
            "a: {sleep: 1, wait_for_event: x}",
            '4:17: The step "a" has sleep and wait_for_event: a step does one of them.',
        ),
        ("a: {sleep: 366 days}", "4:14: sleep is '366 days': the longest duration is 365 days."),
        ("a: {sleep_until: tomorrow}", "4:20: sleep_until is an ISO 8601 text, or Unix milliseconds, got 'tomorrow'."),
        ("a: {wait_for_event: x, timeout: 0}", "4:35: timeout is more than 0."),
        ("a: [1]", '4:6: The step "a" is a map, got a list.'),
        (
            "1a: {sleep: 1}",
            "4:3: The name of a step is a letter or _, then up to 63 letters, digits, - and _, got '1a'.",
        ),
        (
            "a: {sleep: '${params.x | lowr}'}",
            '4:15: ${params.x | lowr}: there is no filter "lowr". Did you mean "lower"?',
        ),
        ("a: {sleep: '${param.x}'}", '4:17: Nothing is called "param" here. Did you mean "params"?'),
        ("a: {sleep: '${item}'}", '4:17: Nothing is called "item" here. It is there in a step with for_each.'),
        ("a: {sleep: 1}\nb: {sleep: '${steps.a.output}'}", "5:17: steps.a has out and skipped: write steps.a.out."),
        ("a: {workflow: 7}", "4:17: workflow is the name of one, got 7."),
        ("a: {sleep: 1, if: 5}", '4:21: if is one "${...}", or true or false, got 5.'),
        ("a: {uses: x.y}", '4:13: uses is "./file.py:function" or "binding:NAME.method", got \'x.y\'.'),
        ("a: {uses: ../up.py:f}", '4:13: uses is "./file.py:function" or "binding:NAME.method", got \'../up.py:f\'.'),
        (
            "a: {uses: ./m.py:f, with: 3}",
            "4:29: with is a map of named arguments, or a list of arguments, got a whole number.",
        ),
        ("a: {uses: ./m.py:f, sensitive: input}", "4:34: sensitive is \"output\", got 'input'."),
        ("a: {uses: ./m.py:f, rollback: {with: {}}}", "4:33: rollback is a map with uses: what undoes the step."),
        ("a: {sleep: 1, max_parallel: 2}", "4:31: max_parallel is of a step with for_each."),
        ("a: {sleep: 1}\na: {sleep: 2}", "5:3: The key 'a' is there already, in line 4."),
        (
            "a: {sleep: !!python/name:os.system 1}",
            "4:14: Tags are not taken: remove tag:yaml.org,2002:python/name:os.system.",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_mistake_is_told_with_what_to_write(steps: str, expected: str) -> None:
    assert step_problems(steps) == [expected]


def test_a_circle_is_named_with_its_path_through_references_too() -> None:
    steps = """
        free: {sleep: 1}
        a: {sleep: 1, needs: [c, free]}
        b: {sleep: "${steps.a.out}"}
        c: {sleep: 1, if: "${steps.b.skipped}"}
        me: {sleep: 1, needs: me}
    """
    assert step_problems(steps) == [
        "5:3: The steps wait for each other: a -> c -> b -> a.",
        "8:3: The steps wait for each other: me -> me.",
    ]


def test_a_reference_is_an_edge() -> None:
    manifest = read("late: {sleep: '${steps.early.out | default(1)}'}\nearly: {sleep: 1}")
    assert list(manifest.steps) == ["early", "late"]
    assert manifest.steps["late"].needs == ("early",)


def test_a_rollback_may_refer_to_its_own_step() -> None:
    manifest = read(
        "a: {uses: './m.py:f', rollback: {uses: './m.py:g', with: {key: '${steps.a.out} ${error.message}'}}}"
    )
    assert manifest.steps["a"].needs == ()


def test_functions_and_bindings_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "media.py").write_text("import os\nasync def probe(): ...\nthumb = probe\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    surroundings = Surroundings(tmp_path, {"BUCKET"})
    steps = """
        a: {uses: "./media.py:probe"}
        b: {uses: "./media.py:thumb"}
        c: {uses: "./media.py:prob"}
        d: {uses: "./medio.py:probe"}
        e: {uses: "./broken.py:f"}
        f: {uses: "binding:BUCKET.put"}
        g: {uses: "binding:BUCKETS.put"}
    """
    found = step_problems(steps, surroundings=surroundings)
    assert found[0] == '6:13: media.py has no function prob. Did you mean "probe"?'
    assert found[1] == '7:13: medio.py cannot be read (No such file or directory). Did you mean "media.py"?'
    assert found[2].startswith("8:13: broken.py is no Python: ")
    assert found[3:] == ['10:13: There is no binding "BUCKETS". Did you mean "BUCKET"?']


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: The manifest is empty."),
        ("- 1", "1:1: A manifest is a map with steps, got a list."),
        ("kind: Workflow/v1\nname: m\n", "1:1: A manifest has steps: a map of names to what each does."),
        ("a: b: c", "1:5: This is no YAML: mapping values are not allowed in this context."),
        ("a: *x", "1:4: No anchor &x stands before this."),
        ("a: &x [*x]", "1:8: *x is inside what &x names."),
        ("a: 1\n---\nb: 2", "2:1: A manifest is one document: this is a second one."),
        ("? [1]\n: 2", "1:3: A key is a text."),
        ("a: 1e999", "1:4: 1e999 is no number that can be kept."),
        ("a: \x07", "1:1: This is no YAML: unacceptable character #x0007: control characters are not allowed."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_broken_text_is_a_problem_and_no_traceback(text: str, expected: str) -> None:
    assert expected in problems(text)


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    (found,) = problems("\n".join(lines))
    assert found.endswith("The manifest has more than 50,000 values, aliases counted.")


def test_aliases_stand_for_what_they_name() -> None:
    manifest = read(
        "a: {uses: './m.py:f', retries: &r {limit: 1, delay: 1 second}}\nb: {uses: './m.py:f', retries: *r}"
    )
    assert manifest.steps["a"].config == manifest.steps["b"].config == {"retries": {"limit": 1, "delay": "1 second"}}


def test_words_are_texts_as_in_yaml_1_2() -> None:
    manifest = read("a: {uses: './m.py:f', with: [yes, on, 2026-01-01, 1:30, 0o10, 0x1F, 1_000, ~, 1.5, .5, true]}")
    assert manifest.steps["a"].arguments == ["yes", "on", "2026-01-01", "1:30", 8, 31, "1_000", None, 1.5, 0.5, True]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 60_000, '{"a":' * 50_000], ids=repr)
def test_deep_nesting_is_refused(text: str) -> None:
    assert "more than 40 levels" in problems(text[:200_000], "m.json" if '"' in text[:10] else "m.yaml")[-1]


def test_a_huge_manifest_is_refused() -> None:
    assert problems("#" * 300_000) == ["1:1: The manifest has 300,000 bytes. The limit is 262,144."]
    steps = "\n".join(f"s{n}: {{sleep: 1}}" for n in range(STEPS_MAX + 1))
    assert step_problems(steps) == ["4:3: A manifest has at most 1,000 steps, got 1,001."]


def test_of_many_problems_the_first_are_shown() -> None:
    found = step_problems("\n".join(f"s{n}: {{sleep: x}}" for n in range(PROBLEMS_MAX + 7)))
    assert found[PROBLEMS_MAX] == " and 7 more"


JSON = """{
  "kind": "Workflow/v1",
  "name": "m",
  "steps": {
    "a": {"uses": "./m.py:f", "with": {"é\\ud83d\\ude00": "${params.x}"}},
    "b": {"sleep": "1 second", "needs": ["a"]}
  }
}"""


def test_json_and_yaml_that_say_the_same_are_one_version() -> None:
    as_yaml = with_steps('b: {sleep: 1 second, needs: [a]}\na: {uses: ./m.py:f, with: {"é\U0001f600": "${params.x}"}}')
    assert read_manifest(JSON, "").version == read_manifest(as_yaml).version
    assert read_manifest(JSON, "").version != read_manifest(JSON.replace("1 second", "2 seconds"), "").version


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"1 second"', '"1 secund"', "6:20: sleep is '1 secund'"),
        ('"1 second",', '"1 second"', '6:31: A comma or } is expected here, got \'"needs": ["a\'.'),
        ('["a"]', '["a",]', "6:46: Nothing follows the comma but ]"),
        ('"b": {', '"b" {', "6:9: A colon is expected after the key 'b', got '{\"sleep\": \"1'."),
        ('"b": {', "b: {", "6:5: A key in quotes is expected here"),
        ('"b"', '"a"', "6:5: The key 'a' is there already, in line 5."),
        ('"1 second"', "nope", "6:20: A value is expected here, got 'nope, \"needs'."),
        ('"1 second"', "1e999", "6:20: 1e999 is no number that can be kept."),
        ("]}\n  }\n}", "]}\n  }\n} 7", "8:3: Nothing may follow the manifest."),
        ('"name"', '"nam\ne"', "3:7: Invalid control character at."),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_problems_of_json_have_places_too(old: str, new: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in problems(JSON.replace(old, new, 1), "m.json"))


def test_a_name_is_given_or_the_manifests_own() -> None:
    text = with_steps("a: {sleep: 1}")
    assert read_manifest(text, name="m").name == "m"
    assert problems(text, name="other") == ['2:7: The manifest is of "m", and was given as "other": leave one out.']
    nameless = text.replace("name: m\n", "")
    assert read_manifest(nameless, name="other").name == "other"
    assert problems(nameless) == ["1:1: The manifest has no name: add name: and what the workflow is called."]


KEYS = (
    *("kind", "name", "steps", "params", "schema", "type", "properties", "items", "enum", "required", "output"),
    *("a", "b", "uses", "with", "if", "for_each", "max_parallel", "needs", "retries", "timeout", "rollback"),
    *("sleep", "sleep_until", "wait_for_event", "workflow", "cascade"),
)
TREES = st.recursive(
    st.sampled_from(["a", "${x}", "${steps.a.out}", 1, None, True, -2.5]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=30,
)


@given(TREES)
def test_whatever_is_in_it_a_manifest_is_read_or_refused_with_places(tree: Any) -> None:
    whole = {"kind": "Workflow/v1", "name": "m", "steps": tree}
    for text, file in ((json.dumps(whole), "m.json"), (json.dumps(tree), "m.yaml")):
        found: tuple[Any, ...] = ()
        try:
            read_manifest(text, file)
        except ManifestError as error:
            found = error.problems
        assert all(place.line == 1 and 1 <= place.column <= len(text) + 1 for place, _ in found)


@given(st.text(alphabet="abk: ${}[]\"'\n\t-|>&*!#%@,?~0.\\/\x00é", max_size=60))
def test_whatever_text_is_read_or_refused(text: str) -> None:
    for file in ("m.yaml", "m.json", ""):
        with pytest.raises(ManifestError):
            read_manifest(text, file)
