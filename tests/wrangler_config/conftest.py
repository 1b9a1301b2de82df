"""A project folder to write files into and load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.registry import sections, spec_of
from edge.runtime.core.errors import ConfigError
from edge.runtime.serve import product_settings
from edge.wrangler_config.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from edge.wrangler_config.worker_config import WorkerConfig

WHOLE = {"name": "demo", "main": "entry.py", "compatibility_flags": ["python_workers"]}
"""The smallest config nothing is to be said about."""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("entry.py", "")

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def config(self, **keys: Any) -> None:
        """Write wrangler.jsonc: WHOLE and these keys; None takes a key out."""
        merged = {k: v for k, v in (WHOLE | keys).items() if v is not None}
        self.write("wrangler.jsonc", json.dumps(merged, indent=1))

    def load(self, environment: str | None = None, **options: Any) -> WorkerConfig:
        options.setdefault("path", None)
        entries = {name: spec_of(name).entry for name in sections()}
        return load(environment=environment, sections=entries, products=product_settings, start=self.folder, **options)

    def warnings(self, environment: str | None = None) -> list[str]:
        """Texts without the place before them."""
        return [text.split(": ", 1)[1] for text in self.load(environment).warnings]

    def refusal(self, environment: str | None = None) -> str:
        with pytest.raises(ConfigError) as refused:
            self.load(environment)
        return str(refused.value)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    for name in ("CLOUDFLARE_ENV", "CLOUDFLARE_INCLUDE_PROCESS_ENV", "CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV"):
        monkeypatch.delenv(name, raising=False)
    return Project(tmp_path)
