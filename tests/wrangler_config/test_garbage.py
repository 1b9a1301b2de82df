"""Whatever is in the files: a config or a ConfigError, never anything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.runtime.core.errors import ConfigError
from edge.wrangler_config.known_keys import TOP_LEVEL_KEYS
from edge.wrangler_config.plan import thaw

if TYPE_CHECKING:
    from conftest import Project

one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example writes the files anew

GARBAGE = st.binary(max_size=80) | st.text(alphabet='{}[]",:=\n#.a1"\'\\envlimits', max_size=80).map(str.encode)

names = st.sampled_from([*sorted(TOP_LEVEL_KEYS), "staging", "binding", "bindings", "producers", "required", "wat"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
wrong_values = st.dictionaries(names, values, max_size=6)
settings_names = st.sampled_from(["server", "limits", "aws", "env", "staging", "body_bytes", "region", "stream_names"])
wrong_settings = st.dictionaries(
    settings_names, st.dictionaries(settings_names | st.text(max_size=2), values, max_size=3) | values, max_size=4
)


def loads_or_is_refused(project: Project) -> None:
    for environment in ("", "staging"):
        try:
            project.load(environment)
        except ConfigError as error:
            assert "✘ [ERROR] " in str(error)  # noqa: PT017 - not every text is refused


@pytest.mark.parametrize("name", ["wrangler.json", "wrangler.jsonc", "wrangler.toml"])
@one_folder
@given(GARBAGE)
def test_bytes_as_wrangler_file(name: str, project: Project, data: bytes) -> None:
    project.write(name, data)
    loads_or_is_refused(project)


@pytest.mark.parametrize("name", ["edge.toml", "edge.jsonc", ".dev.vars", ".env"])
@one_folder
@given(GARBAGE)
def test_bytes_as_the_files_beside_it(name: str, project: Project, data: bytes) -> None:
    project.config()
    project.write(name, data)
    loads_or_is_refused(project)


@one_folder
@given(wrong_values, st.none() | wrong_values)
def test_any_json_in_the_wrangler_file(project: Project, top: dict[str, Any], staging: dict[str, Any] | None) -> None:
    if staging is not None:
        top["env"] = {"staging": staging}
    project.write("wrangler.jsonc", json.dumps(top))
    loads_or_is_refused(project)


@one_folder
@given(wrong_values)
def test_any_json_beside_a_whole_config(project: Project, keys: dict[str, Any]) -> None:
    project.config(**keys)
    loads_or_is_refused(project)


@one_folder
@given(wrong_settings)
def test_any_json_in_the_settings_file(project: Project, content: dict[str, Any]) -> None:
    project.config(env={"staging": {}})
    project.write("edge.jsonc", json.dumps(content))
    loads_or_is_refused(project)


@one_folder
@given(GARBAGE)
def test_bytes_as_a_plan_are_no_plan(project: Project, data: bytes) -> None:
    assert thaw(project.write("wrangler.plan.json", data), {}.__getitem__) is None
