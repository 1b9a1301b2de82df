"""What `env` holds besides bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.core.js_values import jsnull
from edge.runtime.environment import open_environment
from edge.runtime.testing.fake_host import FakeHost
from edge.wrangler_config.worker_config import WorkerConfig

if TYPE_CHECKING:
    from pathlib import Path


async def test_variables_are_what_javascript_shows_python(tmp_path: Path) -> None:
    variables = {"TEXT": "a", "COUNT": 2, "ON": True, "NONE": None, "OBJ": {"a": {"b": [1]}}, "LIST": [1, {"c": 2}]}
    config = WorkerConfig(
        path=tmp_path / "wrangler.jsonc",
        name="demo",
        main=None,
        environment=None,
        compatibility_date=None,
        compatibility_flags=(),
        vars=variables,
        secret_names=frozenset(),
        bindings={},
        unsupported={},
    )
    async with open_environment(config, "local", FakeHost()) as environment:
        env = environment.env
        assert [getattr(env, name) for name in ("TEXT", "COUNT", "ON", "NONE")] == ["a", 2, True, jsnull]
        assert env.OBJ.a.b[0] == 1
        assert env.LIST[1].c == 2
        assert env.OBJ.to_py() == variables["OBJ"]
