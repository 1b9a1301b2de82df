"""A Lambda function from spawn to its first answer, and its next ones: Edge beside bare awslambdaric + mangum.

Each function is a folder as it would be zipped: the packages copied in, with bytecode (`unchecked-hash`, as it ships)
or without. The child is the real awslambdaric on the base interpreter, around it `edge.runtime.testing.lambda_env`.
"""

from __future__ import annotations

import asyncio
import compileall
import importlib.util
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from figures import Figure, at_most

from edge.runtime.testing.lambda_env import LambdaEnvironment
from edge.runtime.testing.lambda_events import http_answer, http_event

TRIES = 9
WARM_CALLS = 300
ROOT = Path(__file__).parent.parent
PACKAGES = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py", "mangum", "typing_extensions")
EDGE_PARTS = ("__init__.py", "bindings", "runtime", "wrangler_config")

BARE = """
from mangum import Mangum

async def app(scope, receive, send):
    headers = [(b"content-type", b"text/plain;charset=UTF-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, World!"})

handler = Mangum(app, lifespan="off")
"""
EDGE = """
from edge.runtime.adapters.aws_lambda import handler_for

handler = handler_for("wrangler.jsonc")
"""


def figures() -> list[Figure]:
    return asyncio.run(_figures())


async def _figures() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        functions = {
            (name, has_bytecode): _function(Path(folder, f"{name}-{has_bytecode}"), text, has_bytecode=has_bytecode)
            for name, text in (("bare", BARE), ("edge", EDGE))
            for has_bytecode in (True, False)
        }
        cold: dict[tuple[str, bool], list[float]] = {key: [] for key in functions}
        for _ in range(TRIES):  # in turns, so that a neighbour's load falls on all
            for key, function in functions.items():
                cold[key].append(await _first_answer_ms(function))
        warm = {name: await _warm_ms(functions[name, True]) for name in ("bare", "edge")}
    starts = {key: median(values) for key, values in cold.items()}
    return [
        at_most(
            "Lambda hello, spawn to first answer, bytecode and frozen plan, median of nine",
            starts["edge", True],
            90,
            unit=" ms",
            beside=(
                f"bare awslambdaric + mangum {starts['bare', True]:.0f} ms; "
                f"without bytecode {starts['edge', False]:.0f} ms, bare {starts['bare', False]:.0f} ms; "
                f"warm {warm['edge']:.2f} ms, bare {warm['bare']:.2f} ms"
            ),
        )
    ]


def _function(folder: Path, text: str, *, has_bytecode: bool) -> Path:
    """A function's folder."""
    ignored = shutil.ignore_patterns("__pycache__", "templates")
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        assert found is not None, f"{name} is not installed"
        assert found.origin is not None, f"{name} has no file"
        origin = Path(found.origin)
        if found.submodule_search_locations:
            shutil.copytree(origin.parent, folder / name, ignore=ignored)
        else:
            shutil.copy(origin, folder)
    if "edge" in text:
        for part in EDGE_PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / "edge" / part, ignore=ignored)
            else:
                (folder / "edge").mkdir(exist_ok=True)
                shutil.copy(source, folder / "edge")
        for file in (ROOT / "bench/workers/hello").iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        subprocess.run([Path(sys.executable).with_name("edge"), "build", "--plan"], cwd=folder, check=True)
    (folder / "app.py").write_text(text)
    if has_bytecode:
        compileall.compile_dir(folder, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return folder


def _environment(folder: Path) -> LambdaEnvironment:
    python = getattr(sys, "_base_executable", sys.executable)  # a venv's .pth files are not on Lambda
    return LambdaEnvironment("app.handler", folder, environ={"PYTHONDONTWRITEBYTECODE": "1"}, python=python)


async def _first_answer_ms(folder: Path) -> float:
    start = time.perf_counter()
    async with _environment(folder) as environment:
        answer = await environment.invoke(http_event("2.0"))
        took_ms = (time.perf_counter() - start) * 1000
    assert http_answer(answer.value)[2] == b"Hello, World!", environment.log
    return took_ms


async def _warm_ms(folder: Path) -> float:
    event = http_event("2.0", "GET", "/path?q=1", [("host", "worker.example"), ("accept", "*/*")])
    took = []
    async with _environment(folder) as environment:
        for _ in range(WARM_CALLS):
            await environment.idle()
            start = time.perf_counter()
            await environment.invoke(event)
            took.append((time.perf_counter() - start) * 1000)
    return median(took)
