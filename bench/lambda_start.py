"""Lambda: spawn of the runtime client to the first answer, and what a warm one costs, beside the least mangum can do.

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
WARM_TRIES = 300
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
        parsed = _first_ms(ours, "app.handler")
        subprocess.run(
            [EDGE, "build", "--plan", "--config", str(ours / "wrangler.jsonc")], check=True, capture_output=True
        )
        planned, peer = _first_in_turns_ms((ours, "app.handler"), (bare, "lambda_mangum.handler"))
        warm, warm_peer = _warm_ms(ours, "app.handler"), _warm_ms(bare, "lambda_mangum.handler")
        _remove_bytecode(ours)
        compiled = _first_ms(ours, "app.handler")
    beside = (
        f"bare awslambdaric + mangum {peer:.0f} ms, in turns; parsing the config instead {parsed:.0f} ms; "
        f"without shipped bytecode {compiled:.0f} ms; medians of {TRIES}"
    )
    return [
        at_most("Lambda hello with a plan, spawn to first answer", planned, 90, unit=" ms", beside=beside),
        Figure(
            f"Lambda hello, warm, median of {WARM_TRIES}",
            f"{warm:.2f} ms",
            f"bare awslambdaric + mangum {warm_peer:.2f} ms; thawing included",
            "no target",
            is_met=True,
        ),
    ]


def _first_ms(folder: Path, handler: str) -> float:
    return median(asyncio.run(_answers(folder, handler, 1))[0] for _ in range(TRIES)) * 1000


def _first_in_turns_ms(*functions: tuple[Path, str]) -> list[float]:
    """Of each function, started in turns: what else the machine does meets all of them alike."""
    took = [[asyncio.run(_answers(*function, 1))[0] for function in functions] for _ in range(TRIES)]
    return [median(times) * 1000 for times in zip(*took, strict=True)]


def _warm_ms(folder: Path, handler: str) -> float:
    return median(asyncio.run(_answers(folder, handler, 1 + WARM_TRIES))[1:]) * 1000


async def _answers(folder: Path, handler: str, count: int) -> list[float]:
    """Seconds to each answer: the first one from the spawn, the others from when the environment was idle again."""
    environ = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    took = []
    async with LambdaEnvironment(handler, folder, environ=environ, python=str(folder / "python")) as started:
        start = started.spawned_at
        for _ in range(count):
            answer = await started.invoke(EVENT)
            took.append(time.perf_counter() - start)
            told: Any = answer.value
            assert told["statusCode"] == 200, told
            await started.idle()
            start = time.perf_counter()
    return took


def _remove_bytecode(folder: Path) -> None:
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)


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
