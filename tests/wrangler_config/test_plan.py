"""A frozen plan gives the same config back, without pydantic and without secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.bindings.registry import sections, spec_of
from edge.runtime.core.errors import ConfigError
from edge.wrangler_config.plan import freeze, plan_path, thaw

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

    from edge.wrangler_config.worker_config import WorkerConfig

ENTRIES = {name: spec_of(name).entry for name in sections()}


def written(config: WorkerConfig) -> Path:
    path = plan_path(config.path, config.environment)
    path.write_text(freeze(config, path.parent))
    return path


def test_a_thawed_plan_is_the_config(project: Project) -> None:
    project.config(
        vars={"A": {"x": [1, None]}},
        kv_namespaces=[{"binding": "KV", "id": "k", "preview_id": "p"}],
        pipelines=[{"binding": "S", "stream": "s"}],
        r2_buckets=[{"binding": "B"}],
        dev={"port": 1},
        compatibility_date="2026-01-01",
    )
    project.write("edge.toml", '[server]\nallowed_hosts = ["a.test"]\n[aws]\nstream_names = { S = "x" }\n')
    config = project.load()
    assert thaw(written(config), ENTRIES.__getitem__) == config


def test_the_plan_of_an_environment_has_a_file_of_its_own(project: Project) -> None:
    project.config(env={"prod": {"vars": {"A": "prod"}}})
    config = project.load("prod")
    assert written(config).name == "wrangler.prod.plan.json"
    assert written(project.load()).name == "wrangler.plan.json"
    assert thaw(written(config), ENTRIES.__getitem__) == config


def test_a_plan_may_be_moved_with_its_files(project: Project, tmp_path: Path) -> None:
    project.config()
    written(project.load())
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    thawed = thaw(moved / "wrangler.plan.json", ENTRIES.__getitem__)
    moved.rename(tmp_path)
    assert thawed is not None
    assert (thawed.path, thawed.main) == (moved / "wrangler.jsonc", moved / "entry.py")


def test_a_plan_may_lie_in_another_folder(project: Project) -> None:
    project.config()
    config = project.load()
    path = project.write("build/out.json", freeze(config, project.folder / "build"))
    assert thaw(path, ENTRIES.__getitem__) == config


def test_values_from_files_stay_out_of_the_plan_and_come_from_the_process(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_TEST_REGION", "secret-at-build")
    project.config(vars={"PLAIN": "seen", "BOTH": "from-config"}, secrets=None)
    project.write(".dev.vars", "TOKEN=secret-token\nBOTH=secret-both")
    project.write("edge.toml", '[aws]\nregion = { env = "EDGE_TEST_REGION" }')
    plan = written(project.load())
    assert "secret-" not in plan.read_text()
    (project.folder / ".dev.vars").unlink()
    monkeypatch.setenv("EDGE_TEST_REGION", "eu-north-1")
    monkeypatch.setenv("TOKEN", "from-process")
    thawed = thaw(plan, ENTRIES.__getitem__)
    assert thawed is not None
    assert thawed.vars == {"PLAIN": "seen", "BOTH": "from-config", "TOKEN": "from-process"}
    assert thawed.secret_names == {"TOKEN", "BOTH"}
    assert thawed.settings.aws.region == "eu-north-1"


def test_missing_secrets_are_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    project.config()
    project.write(".dev.vars", "TOKEN=x")
    thawed = thaw(written(project.load()), ENTRIES.__getitem__)
    assert thawed is not None
    assert thawed.vars == {}
    assert thawed.warnings == ("Missing secrets: TOKEN. Set them as environment variables.",)


def test_a_missing_reference_is_an_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_TEST_REGION", "x")
    project.config()
    project.write("edge.toml", '[aws]\nregion = { env = "EDGE_TEST_REGION" }')
    plan = written(project.load())
    monkeypatch.delenv("EDGE_TEST_REGION")
    with pytest.raises(ConfigError) as refused:
        thaw(plan, ENTRIES.__getitem__)
    assert str(refused.value) == (
        '"aws.region" refers to the environment variable EDGE_TEST_REGION, which is not set. Set it for this process.'
    )


@pytest.mark.parametrize("change", ["config", "settings-changed", "settings-added", "cut", "version", "gone", "list"])
def test_a_plan_that_does_not_match_is_not_used(project: Project, change: str) -> None:
    project.config()
    if change == "settings-changed":
        project.write("edge.toml", "")
    plan = written(project.load())
    assert thaw(plan, ENTRIES.__getitem__) is not None
    if change == "config":
        project.config(vars={"A": 1})
    elif change.startswith("settings"):
        project.write("edge.toml", "[limits]\nbody_bytes = 1")
    elif change == "cut":
        plan.write_bytes(plan.read_bytes()[:-10])
    elif change == "version":
        plan.write_text(json.dumps(json.loads(plan.read_text()) | {"version": 0}))
    elif change == "list":
        plan.write_text("[]")
    else:
        plan.unlink()
    assert thaw(plan, ENTRIES.__getitem__) is None


def test_changed_development_values_do_not_make_a_plan_stale(project: Project) -> None:
    project.config()
    project.write(".dev.vars", "A=1")
    config = project.load()
    plan = written(config)
    project.write(".dev.vars", "A=2")
    thawed = thaw(plan, ENTRIES.__getitem__)
    assert thawed is not None
    assert thawed._replace(warnings=(), vars=config.vars, files=config.files, value_files=config.value_files) == config


@pytest.mark.parametrize("what", ["load", "thaw"])
def test_neither_loading_nor_thawing_imports_pydantic(project: Project, what: str) -> None:
    """Without a settings file; a start would pay 110 ms."""
    project.config(kv_namespaces=[{"binding": "KV"}])
    written(project.load())
    code = (
        "import sys; from pathlib import Path\n"
        "from edge.bindings.registry import sections, spec_of\n"
        "from edge.wrangler_config.plan import thaw\n"
        "entries = {name: spec_of(name).entry for name in sections()}\n"
        "if sys.argv[1] == 'thaw':\n"
        "    config = thaw(Path('wrangler.plan.json'), entries.__getitem__)\n"
        "else:\n"
        "    from edge.wrangler_config.load import load\n"
        "    config = load(None, environment=None, sections=entries)\n"
        "print(config.name, config.bindings['kv_namespaces'][0].binding)\n"
        "print(sorted({'pydantic', 'pydantic_core', 'typing_extensions', 'tomllib'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, what],
        cwd=project.folder,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "demo KV\n[]\n"
