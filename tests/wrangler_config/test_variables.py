"""Vars and secrets: the precedence table, and which names are secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Project

FILES = {
    ".dev.vars": "dev",
    ".dev.vars.staging": "dev-staging",
    ".env": "env",
    ".env.local": "local",
    ".env.staging": "staging",
    ".env.staging.local": "staging-local",
}

PRECEDENCE: list[tuple[str | None, list[str], str]] = [
    (None, [], "config"),
    (None, [".dev.vars"], "dev"),
    (None, [".dev.vars", ".env"], "dev"),
    (None, [".dev.vars.staging"], "config"),
    (None, [".env", ".env.local"], "local"),
    (None, [".env", ".env.staging"], "env"),
    ("staging", [".dev.vars", ".dev.vars.staging"], "dev-staging"),
    ("staging", [".dev.vars"], "dev"),
    ("staging", [".env", ".env.local", ".env.staging"], "staging"),
    ("staging", list(FILES)[2:], "staging-local"),
    ("staging", list(FILES), "dev-staging"),
]


@pytest.mark.parametrize(("environment", "names", "winner"), PRECEDENCE)
def test_the_highest_source_wins(project: Project, environment: str | None, names: list[str], winner: str) -> None:
    project.config(vars={"A": "config"}, env={"staging": {"vars": {"A": "config"}}})
    for name in names:
        project.write(name, f"A={FILES[name]}\n")
    assert project.load(environment).vars == {"A": winner}


def test_dev_vars_of_the_environment_hides_the_common_one_whole(project: Project) -> None:
    project.config(env={"staging": {}})
    project.write(".dev.vars", "COMMON=1")
    project.write(".dev.vars.staging", "OWN=2")
    assert project.load("staging").vars == {"OWN": "2"}


def test_dev_vars_hides_names_only_dot_env_has(project: Project) -> None:
    project.config()
    project.write(".env", "ONLY=1")
    project.write(".dev.vars", "A=2")
    assert project.load().vars == {"A": "2"}


def test_dot_env_files_are_merged_and_expanded(project: Project) -> None:
    project.config()
    project.write(".env", "HOST=h\nURL=http://${HOST}/${PORT:-80}/\\$x\n")
    project.write(".env.local", "HOST=local\n")
    assert project.load().vars == {"HOST": "local", "URL": "http://local/80/$x"}


def test_env_files_replace_every_other_file(project: Project) -> None:
    project.config(vars={"A": "config"})
    project.write(".dev.vars", "A=dev\nB=dev")
    one, two = project.write("one", "A=one\nC=one"), project.write("two", "A=two")
    assert project.load(env_files=(one, two)).vars == {"A": "two", "C": "one"}


def test_an_env_file_that_is_not_there_is_an_error(project: Project) -> None:
    from edge.runtime.core.errors import ConfigError

    project.config()
    with pytest.raises(ConfigError, match="Could not read file: nope"):
        project.load(env_files=(project.folder / "nope",))


def test_var_on_the_command_line_wins_over_everything(project: Project) -> None:
    project.config(vars={"A": "config"})
    project.write(".dev.vars", "A=dev")
    assert project.load(var_overrides={"A": "cli"}).vars == {"A": "cli"}


def test_a_json_var_overridden_by_a_file_becomes_a_string(project: Project) -> None:
    project.config(vars={"A": {"x": 1}, "B": [1]})
    project.write(".dev.vars", 'A={"x": 2}')
    assert project.load().vars == {"A": '{"x": 2}', "B": [1]}


def test_values_from_files_are_secret_and_those_of_the_config_are_not(project: Project) -> None:
    project.config(vars={"A": 1, "B": 2})
    project.write(".dev.vars", "B=x\nC=y")
    config = project.load()
    assert config.secret_names == {"B", "C"}
    assert config.declared_vars == {"A": 1, "B": 2}


def test_declared_secrets_let_no_other_name_in(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_PROCESS", "p")
    monkeypatch.setenv("IN_BOTH", "p")
    project.config(vars={"A": "config"}, secrets={"required": ["IN_BOTH", "FROM_PROCESS"]})
    project.write(".dev.vars", "A=file\nIN_BOTH=file\nOTHER=file")
    config = project.load()
    assert config.vars == {"A": "file", "IN_BOTH": "file", "FROM_PROCESS": "p"}
    assert config.secret_names == {"A", "IN_BOTH", "FROM_PROCESS"}


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, {"A": "file"}),
        ({"CLOUDFLARE_INCLUDE_PROCESS_ENV": "true"}, {"A": "file", "EDGE_TEST_P": "process"}),
        ({"CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV": "false"}, {}),
    ],
)
def test_switches_of_the_process_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch, switches: dict[str, str], expected: dict[str, Any]
) -> None:
    project.config()
    project.write(".env", "A=file")
    monkeypatch.setenv("EDGE_TEST_P", "process")
    for name, value in switches.items():
        monkeypatch.setenv(name, value)
    values = project.load().vars
    assert {name: values[name] for name in ("A", "EDGE_TEST_P") if name in values} == expected


def test_files_lists_everything_that_was_read(project: Project) -> None:
    project.config()
    project.write("edge.toml", "")
    project.write(".env", "")
    project.write(".env.local", "")
    config = project.load()
    assert [p.name for p in config.files] == ["wrangler.jsonc", "edge.toml", ".env", ".env.local"]
    assert [p.name for p in config.value_files] == [".env", ".env.local"]


def test_a_file_value_with_the_name_of_a_binding_is_warned_about(project: Project) -> None:
    project.config(kv_namespaces=[{"binding": "KV"}])
    project.write(".dev.vars", "KV=x")
    assert project.warnings() == ["KV is both a binding and a name in .dev.vars, .env or --var; env.KV is the binding."]
