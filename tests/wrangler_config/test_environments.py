"""`env.<name>`: what is inherited, what is not, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Project


def test_the_name_gets_a_suffix_unless_the_environment_has_its_own(project: Project) -> None:
    project.config(env={"staging": {}, "prod": {"name": "own"}})
    assert [project.load(e).name for e in (None, "", "staging", "prod")] == ["demo", "demo", "demo-staging", "own"]


def test_inherited_keys_are_replaced_whole(project: Project) -> None:
    project.write("other.py", "")
    project.config(
        compatibility_date="2026-01-01",
        env={"a": {}, "b": {"main": "other.py", "compatibility_flags": ["python_workers", "x"]}},
    )
    a, b = project.load("a"), project.load("b")
    assert (a.main, a.compatibility_date) == (project.folder / "entry.py", "2026-01-01")
    assert (b.main, b.compatibility_date) == (project.folder / "other.py", "2026-01-01")
    assert (a.compatibility_flags, b.compatibility_flags) == (("python_workers",), ("python_workers", "x"))


def test_bindings_and_vars_are_not_inherited_and_each_is_warned_about(project: Project) -> None:
    project.config(
        kv_namespaces=[{"binding": "KV"}],
        r2_buckets=[{"binding": "B"}],
        vars={"A": 1, "B_": 2},
        env={"staging": {"vars": {"A": 3}, "r2_buckets": []}},
    )
    config = project.load("staging")
    assert (config.vars, config.bindings, config.unsupported) == ({"A": 3}, {}, {})
    assert project.warnings("staging")[:2] == [
        (
            '"kv_namespaces" exists at the top level, but not on "env.staging".\n'
            'This is not what you probably want, since "kv_namespaces" is not inherited by environments.\n'
            'Please add "kv_namespaces" to "env.staging".'
        ),
        (
            '"vars.B_" exists at the top level, but not on "env.staging.vars".\n'
            'This is not what you probably want, since "vars" configuration is not inherited by environments.\n'
            'Please add "vars.B_" to "env.staging".'
        ),
    ]


def test_vars_missing_as_a_whole_are_one_warning(project: Project) -> None:
    project.config(vars={"A": 1, "B": 2}, env={"staging": {}})
    assert [text.split("\n")[0] for text in project.warnings("staging")] == [
        '"vars" exists at the top level, but not on "env.staging".'
    ]


def test_an_environments_own_bindings_are_used(project: Project) -> None:
    project.config(kv_namespaces=[{"binding": "A"}], env={"s": {"kv_namespaces": [{"binding": "B"}]}})
    assert [e.env_name for e in project.load("s").bindings["kv_namespaces"]] == ["B"]


def test_top_level_only_keys_in_an_environment_are_unexpected(project: Project) -> None:
    project.config(env={"staging": {"keep_vars": True, "dev": {}, "wat": 1}})
    (text,) = project.warnings("staging")
    assert text.startswith('Unexpected fields found in env.staging field: "keep_vars","dev","wat"\n')
    assert '"keep_vars" in line 9 belongs in the top level.' in text


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"account_id": 5}, 'Expected "account_id" to be of type string but got 5.'),
        (
            {"kv_namespaces": [{}]},
            '"env.staging.kv_namespaces[0]" bindings should have a string "binding" field but got {}.',
        ),
        ({"vars": "x"}, 'The field "env.staging.vars" should be an object but got "x".'),
        ({"queues": []}, 'The field "env.staging.queues" should be an object but got [].'),
        (
            {"vars": {"A": 1}, "kv_namespaces": [{"binding": "A"}]},
            "A assigned to KV Namespace and Environment Variable bindings.",
        ),
    ],
)
def test_errors_in_an_environment_stand_under_its_heading(project: Project, keys: dict[str, Any], text: str) -> None:
    project.config(env={"staging": keys})
    lines = project.refusal("staging").split("\n")
    assert lines[:2] == [
        "✘ [ERROR] Processing wrangler.jsonc configuration:",
        '    - "env.staging" environment configuration',
    ]
    assert lines[2].startswith("      - wrangler.jsonc:")
    assert text in lines[2]


def test_errors_of_environments_that_are_not_chosen_do_not_matter(project: Project) -> None:
    project.config(env={"staging": {"account_id": 5}})
    assert project.load().name == "demo"


def test_an_unknown_environment_is_an_error_when_some_are_defined(project: Project) -> None:
    project.config(env={"staging": {}})
    assert (
        'No environment found in configuration with name "prod".\n'
        "      Before using `--env=prod` there should be an equivalent environment section in the configuration.\n"
        '      The available configured environment names are: ["staging"]\n'
        "      \n"
        "      Consider adding an environment configuration section to the wrangler.jsonc file:\n"
        "      ```\n"
        "      [env.prod]\n"
        "      ```"
    ) in project.refusal("prod")


def test_an_unknown_environment_is_a_warning_when_none_is_defined(project: Project) -> None:
    project.config(vars={"A": 1})
    assert project.load("prod").vars == {"A": 1}
    assert project.warnings("prod")[0].startswith('No environment found in configuration with name "prod".')


def test_the_environment_may_come_from_the_process_and_an_empty_name_is_the_top_level(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.config(env={"staging": {}, "prod": {}})
    monkeypatch.setenv("CLOUDFLARE_ENV", "staging")
    assert [project.load(e).name for e in (None, "", "prod")] == ["demo-staging", "demo", "demo-prod"]


def test_an_environment_that_is_no_object(project: Project) -> None:
    project.config(env={"staging": 5})
    assert 'The field "env.staging" should be an object but got 5.' in project.refusal("staging")
