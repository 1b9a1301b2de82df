"""Edge as it is installed without extras: what needs one says how to install it, and all else works."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Edge = Callable[..., subprocess.CompletedProcess[str]]
    Start = Callable[..., Any]

EXTRAS = (
    *("pyarrow", "datafusion", "obstore", "pyiceberg", "confluent_kafka", "snowflake", "opentelemetry", "duckdb"),
    *("fsspec", "google.protobuf", "graphql", "grpc", "maxminddb", "ua_parser", "yaml", "zstandard"),
)
DECLARED = """
[streams.flights]
http = { enabled = true, authentication = false }
schema.fields = [{ name = "carrier", type = "string" }]
[sinks.far]
type = "local"
path = "out"
[sinks.table]
type = "iceberg"
table_name = "flights"
[[pipelines]]
name = "far"
sql = "INSERT INTO far SELECT upper(carrier) AS carrier FROM flights"
"""
SQL = "INSERT INTO far SELECT carrier FROM flights"
INSTALL = "which is not installed. Run: pip install 'edge-workers[pipelines]'"


@pytest.fixture
def bare(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a pipeline; commands run without the libraries of extras."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nfor name in {EXTRAS}:\n    sys.modules[name] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (project / "edge.toml").write_text(DECLARED)
    return project


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check",), f"    - edge.toml:11:3: Pipelines need pyarrow, {INSTALL}"),
        (("pipelines", "create", "two", "--sql", SQL), f"Pipelines need pyarrow, {INSTALL}"),
        (("pipelines", "validate", "--sql", SQL), f"Pipelines need pyarrow, {INSTALL}"),
        (("query", "SELECT * FROM far"), "edge query needs duckdb, which is not installed. Run: pip install "),
        (("pipelines", "compact", "table"), "edge pipelines compact needs pyarrow"),
        (("streams", "test", "records.json"), f"Pipelines need pyarrow, {INSTALL}"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_a_command_that_needs_an_extra_names_it(
    edge: Edge, start: Start, bare: Path, arguments: tuple[str, ...], told: str
) -> None:
    (bare / "records.json").write_text('[{"carrier": "AA"}]')
    start(bare, "serve").stop()  # makes what is declared
    done = edge(*arguments, cwd=bare)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert told in said
    assert "pip install 'edge-workers[" in said
    assert "Traceback" not in said


def test_records_are_kept_and_the_pipeline_says_what_it_needs(edge: Edge, start: Start, bare: Path) -> None:
    server = start(bare, "dev")
    server.wait_for("pipeline_not_delivering pipeline=far reason=.Sinks of type local need pyarrow")
    assert INSTALL in server.lines[-1]
    stream_id = json.loads(edge("streams", "list", "--json", cwd=bare).stdout)[0]["id"]
    path = f"/cdn-cgi/ingest/{stream_id}"
    assert server.ask(path, body=b'[{"carrier": "AA"}]') == (200, '{"success":true,"result":{"committed":1}}')
    status, said = ask(server, path, b"(\xb5/\xfd", {"content-encoding": "zstd"})
    assert (status, "pip install 'edge-workers[pipelines]'" in said) == (415, True)
    status, said = ask(server, f"/cdn-cgi/otlp/{stream_id}/v1/logs", b"x", {"content-type": "application/x-protobuf"})
    assert (status, "pip install 'edge-workers[otlp]'" in said) == (501, True)
    token = edge("token", "create", "--permission", "All Write", cwd=bare).stdout.strip()
    api = f"/cdn-cgi/api/client/v4/accounts/{'0' * 31}1/pipelines/v1"
    for route, body in (("validate_sql", {"sql": SQL}), ("pipelines", {"name": "two", "sql": SQL})):
        status, said = ask(server, f"{api}/{route}", json.dumps(body).encode(), {"authorization": f"Bearer {token}"})
        assert (status, json.loads(said)["errors"][0]["message"]) == (501, f"Pipelines need pyarrow, {INSTALL}")
    assert f"failed: Sinks of type local need pyarrow, {INSTALL}" in edge("pipelines", "get", "far", cwd=bare).stdout
    assert server.stop() == 0
    assert not [line for line in server.lines if "Traceback" in line]


def test_workflows_need_none_but_yaml_and_grpc_theirs(edge: Edge, bare: Path) -> None:
    (bare / "film.json").write_text('{"kind": "Workflow/v1", "name": "film", "steps": {"nap": {"sleep": "1 day"}}}')
    (bare / "film.yaml").write_text("kind: Workflow/v1\nname: film\nsteps: {nap: {sleep: 1 day}}\n")
    assert edge("workflows", "apply", "film.json", cwd=bare).returncode == 0
    assert edge("workflows", "trigger", "film", "--id", "a", cwd=bare).returncode == 0
    assert "queued" in edge("workflows", "instances", "describe", "film", cwd=bare).stdout
    refused = edge("workflows", "apply", "film.yaml", cwd=bare)
    assert refused.returncode == 1
    assert "needs PyYAML: pip install 'edge-workers[manifests]', or write the manifest as JSON." in refused.stderr
    (bare / "edge.toml").write_text("[grpc]\nport = 0\n")
    refused = edge("serve", "--port", "0", cwd=bare)
    assert refused.returncode == 1
    assert (
        "[grpc] in edge.toml needs grpcio: pip install 'edge-workers[grpc]', or remove the section." in refused.stderr
    )


def ask(server: Any, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(server.url + path, data=body, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request, timeout=60):
        pass
    with caught.value as error:
        return error.code, error.read().decode()
