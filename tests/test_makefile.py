"""`make`: what each target installs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.mark.parametrize(("worker", "is_needed"), [("handlers/flights", True), ("handlers/hello", False)])
def test_an_example_with_pipelines_gets_what_they_need(tmp_path: Path, worker: str, is_needed: bool) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "dev", f"WORKER={worker}", f"VENV={tmp_path / 'venv'}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ('-e ".[pipelines]"' in done.stdout) is is_needed
    assert f"edge dev --config {worker}/wrangler.jsonc" in done.stdout
