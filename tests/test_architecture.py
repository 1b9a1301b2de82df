"""ARCHITECTURE.md, checked: which way imports point, sizes, what is shipped, how light the face is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE_FOLDERS = ("runtime", "bindings", "wrangler_config")
SOURCES = [ROOT / "__init__.py", *sorted(p for f in PACKAGE_FOLDERS for p in (ROOT / f).rglob("*.py"))]
SOURCES = [p for p in SOURCES if "templates" not in p.parts]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

LINES_MAX = 600
FUNCTION_LINES_MAX = 70

OWNERS = {
    "aiohttp": r"runtime/adapters/aiohttp_\w+\.py|runtime/hosts/(outbound|aws|closing)\w*\.py|runtime/testing/\w+\.py",
    "pydantic": r"wrangler_config/\w+\.py",
    "structlog": r"runtime/hosts/logs\.py",
    "mangum": r"runtime/adapters/aws_lambda\w*\.py",
    "sqlite3": r"bindings/_shared/(sqlite|tokens)\w*\.py|bindings/\w+/local\.py",
    "click": r"runtime/cli/\w+\.py",
    "rich": r"runtime/cli/(workflow_drawing|progress)\.py",
    "watchfiles": r"runtime/cli/\w+\.py",
    "uvloop": r"runtime/cli/\w+\.py",
    "boto3": r"$^",
    "botocore": r"$^",
    "datafusion": r"bindings/pipelines/sql/\w+\.py",
    "pyarrow": r"bindings/pipelines/(sql|sinks|delivery|processing)/\w+\.py|bindings/pipelines/schemas/columns\w*\.py",
    "obstore": r"bindings/pipelines/sinks/\w+\.py",
    "pyiceberg": r"bindings/pipelines/sinks/iceberg\w*\.py",
    "confluent_kafka": r"bindings/pipelines/sinks/types/kafka\.py",
    "snowflake": r"bindings/pipelines/sinks/snowflake_table\.py",
    "opentelemetry": r"bindings/pipelines/(sinks/types|ingest)/otlp\w*\.py",
    "duckdb": r"runtime/cli/query\.py|bindings/pipelines/query\.py",
    "zstandard": r"bindings/pipelines/ingest/\w+\.py",
    "yaml": r"bindings/workflows/manifests/yaml_text\.py",
    "grpc": r"bindings/workflows/rpc/grpc_server\.py",
    "google": r"bindings/workflows/rpc/messages\.py|bindings/pipelines/ingest/otlp_messages\.py",
    "graphql": r"bindings/pipelines/observability/graphql_api\.py",
    "jwt": r"bindings/_shared/tokens\.py",
}
"""Library -> the files that may import it; a heavy library is paid for only by who uses it."""

NO_IO = {"asyncio", "os", "pathlib", "random", "secrets", "socket", "ssl", "subprocess", "tempfile", "threading"}
"""Standard library modules that touch disk, network, clock or processes: not for runtime/core."""

ROOMS = {
    "runtime/core": ("runtime/core",),
    "runtime/adapters": (
        "runtime/core",
        "runtime/adapters",
        "wrangler_config/worker_config",
        "runtime/serve",
        "bindings/spec",
    ),
    "runtime/hosts": ("runtime/core", "runtime/hosts"),
    "wrangler_config": ("wrangler_config", "runtime/core/errors"),
    "bindings/_shared": ("runtime/core", "bindings/_shared"),
    "bindings": ("runtime/core", "bindings", "wrangler_config/section", "wrangler_config/worker_config"),
}
"""Room -> what it may import, by prefix; rooms not named may import anything."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT)
    room = next((r for r in sorted(ROOMS, key=len, reverse=True) if str(relative).startswith(f"{r}/")), None)
    for target, is_lazy_or_typing in _imports(path):
        if "/" not in target and target not in PACKAGE_FOLDERS:
            _check_library(relative, target)
            continue
        if room is None or is_lazy_or_typing:
            continue
        assert any(target == a or target.startswith(f"{a}/") for a in ROOMS[room]), f"{relative} imports {target}"
    if str(relative).startswith("bindings/") and len(relative.parts) > 2 and relative.parts[1] != "_shared":
        _check_sections(relative, [t for t, _ in _imports(path)])


def _check_library(relative: Path, library: str) -> None:
    if library in OWNERS:
        assert re.fullmatch(OWNERS[library], str(relative)), f"{relative} imports {library}"
    if str(relative).startswith("runtime/core/"):
        assert library in sys.stdlib_module_names, f"{relative} imports {library}: core is standard library only"


def _check_sections(relative: Path, targets: list[str]) -> None:
    own = relative.parts[1]
    others = {t.split("/")[1] for t in targets if t.startswith("bindings/") and t.count("/") > 1}
    assert others <= {own, "_shared"}, f"{relative} imports another section"


@pytest.mark.parametrize("path", sorted((ROOT / "runtime/core").glob("*.py")), ids=lambda p: p.name)
def test_core_does_no_io(path: Path) -> None:
    touched = {name for name, is_lazy_or_typing in _imports(path) if not is_lazy_or_typing} & NO_IO
    assert not touched, f"{path.name} imports {touched}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LINES_MAX, f"{path.name} is over {LINES_MAX} lines: which second concept is in it?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{path.name}: {node.name} has {lines} lines"


def test_every_package_is_shipped() -> None:
    folders = (p.parent.relative_to(ROOT) for p in SOURCES if p.name == "__init__.py")
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {".".join(("edge", *folder.parts)) for folder in folders}


def test_the_root_has_no_other_module() -> None:
    assert [p.name for p in ROOT.glob("*.py")] == ["__init__.py"]


def test_init_files_hold_no_code() -> None:
    for path in SOURCES:
        if path.name == "__init__.py" and path.parent != ROOT and path.parent.parent.name != "bindings":
            body = ast.parse(path.read_text()).body
            assert len(body) == 1, f"{path.relative_to(ROOT)} holds more than a docstring"
            assert isinstance(body[0], ast.Expr)


def test_the_face_loads_the_standard_library_only() -> None:
    code = "import sys; before = set(sys.modules); import edge; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names <= {"edge"}
    assert not {"asyncio", "email", "http.client", "inspect"} & set(loaded)


def test_all_names_of_the_face_are_there_and_sorted() -> None:
    import edge

    assert list(edge.__all__) == sorted(edge.__all__)
    assert all(hasattr(edge, name) for name in edge.__all__)


def test_readme_table_is_what_the_tree_has() -> None:
    rows = re.findall(r"^\| `(\w+)`[^|]*\|([^|]*)\|([^|]*)\|", (ROOT / "README.md").read_text(), re.MULTILINE)
    told = {section: {"local": "yes" in local, "aws": "yes" in aws} for section, local, aws in rows}
    found = {
        p.name: {platform: (p / f"{platform}.py").exists() for platform in ("local", "aws")}
        for p in (ROOT / "bindings").iterdir()
        if (p / "__init__.py").exists() and not p.name.startswith("_")
    }
    assert told == found


def test_no_path_of_a_machine_and_no_index_host_is_committed() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__):
            text = path.read_bytes()
            assert not re.search(rb"(?<![\w.])/(root|work|home)/\w|https?://[^\s\"]+/simple", text), name


def _imports(path: Path) -> list[tuple[str, bool]]:
    """(target, lazy or for types only): a path inside the package as "runtime/core/body", a library as its top name."""
    found: list[tuple[str, bool]] = []
    here = ("", *path.relative_to(ROOT).parent.parts)

    def visit(node: ast.AST, is_aside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            aside = is_aside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                aside = True
            if isinstance(child, ast.Import):
                found.extend((alias.name.partition(".")[0], aside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.level == 0:
                found.append(((child.module or "").partition(".")[0], aside))
            elif isinstance(child, ast.ImportFrom):
                base = here[1 : len(here) - child.level + 1]
                module = (*base, *(child.module or "").split(".")) if child.module else base
                names = [module] if child.module else [(*module, alias.name) for alias in child.names]
                found.extend(("/".join(filter(None, n)), aside) for n in names)
            visit(child, aside)

    visit(ast.parse(path.read_text()), is_aside=False)
    return found
