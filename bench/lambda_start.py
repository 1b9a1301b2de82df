"""Lambda: spawn of the runtime client to the first answer, with shipped bytecode, beside the least mangum can do.

Both functions are bundled as they are deployed: a folder with its packages and `unchecked-hash` bytecode, read by the
real awslambdaric. Which path was measured is said: a frozen plan (`edge build --plan`), or parsing the config.
"""

from __future__ import annotations

import asyncio
import compileall
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from figures import Figure, at_most
from load import EDGE, HERE

from edge.runtime.testing.lambda_env import LambdaEnvironment

TRIES = 9
PACKAGES = ("awslambdaric", "snapshot_restore_py", "simplejson", "mangum", "typing_extensions.py")
EVENT = {
    "version": "2.0",
    "rawPath": "/",
    "rawQueryString": "",
    "headers": {"host": "bench.test"},
    "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"}},
    "isBase64Encoded": False,
}


def figures() -> list[Figure]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        ours, bare = _bundle(folder / "edge", with_edge=True), _bundle(folder / "mangum", with_edge=False)
        parsed = _median_ms(ours, "app.handler")
        subprocess.run(
            [EDGE, "build", "--plan", "--config", str(ours / "wrangler.jsonc")], check=True, capture_output=True
        )
        planned, peer = _median_ms(ours, "app.handler"), _median_ms(bare, "lambda_mangum.handler")
    beside = f"bare awslambdaric + mangum {peer:.0f} ms; parsing the config instead {parsed:.0f} ms; medians of nine"
    return [at_most("Lambda hello with a plan, spawn to first answer", planned, 90, unit=" ms", beside=beside)]


def _median_ms(folder: Path, handler: str) -> float:
    return median(asyncio.run(_first_answer(folder, handler)) for _ in range(TRIES)) * 1000


async def _first_answer(folder: Path, handler: str) -> float:
    environ = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    isolated = str(folder / "python")
    start = time.perf_counter()
    async with LambdaEnvironment(handler, folder, environ=environ, python=isolated) as started:
        answer = await started.invoke(EVENT)
        took = time.perf_counter() - start
    told: Any = answer.value
    assert told["statusCode"] == 200, told
    return took


def _bundle(folder: Path, *, with_edge: bool) -> Path:
    """A deployed function's folder: its packages beside it, bytecode that is not checked against the sources."""
    folder.mkdir()
    site = Path(sys.prefix) / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for name in (*PACKAGES, *(path.name for path in site.glob("*runtime_client*"))):
        source = site / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    if with_edge:
        root = HERE.parent
        ignored = shutil.ignore_patterns("__pycache__", "templates")
        for part in ("runtime", "bindings", "wrangler_config"):
            shutil.copytree(root / part, folder / "edge" / part, ignore=ignored)
        shutil.copy(root / "__init__.py", folder / "edge")
        shutil.copytree(HERE / "workers/lambda_hello", folder, dirs_exist_ok=True, ignore=ignored)
    else:
        shutil.copy(HERE / "peers/lambda_mangum.py", folder)
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    # No site-packages but the bundle's: what the managed runtime has, and nothing of this machine's.
    wrapper = folder / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys._base_executable} -s -S "$@"\n')
    wrapper.chmod(0o755)
    return folder
