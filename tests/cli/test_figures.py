"""What the commands tell of a running server's streams, and the account of every record after kill -9."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.stream_log.durable import DurableMark, durable_offset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

    Start = Callable[..., Server]
    Edge = Callable[..., Any]

EDGE_TOML = """
[streams.flights]
http = { enabled = true, authentication = false }
[[streams.flights.schema.fields]]
name = "n"
type = "int64"
required = true
[sinks.far]
type = "local"
path = "out"
format = { type = "json" }
rolling_policy = { interval_seconds = 1 }
[[pipelines]]
name = "far"
sql = "INSERT INTO far SELECT 60 / (n % 7) AS n FROM flights WHERE n % 5 <> 0"
"""
"""Of 35 numbers in a row 7 are filtered; of the rest 4 fail."""
SECONDS_MAX = 60


@pytest.fixture
def flights(project: Path) -> Path:
    (project / "edge.toml").write_text(EDGE_TOML)
    return project


def send(server: Server, *records: object) -> None:
    status, text = server.ask("/cdn-cgi/ingest/flights", body=json.dumps(records).encode())
    assert (status, json.loads(text)["result"]) == (200, {"committed": len(records)})


def metric(server: Server, name: str) -> float:
    """The one value of a metric of the pipeline."""
    status, text = server.ask("/cdn-cgi/metrics")
    assert status == 200
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name}{{")]
    return float(values[0]) if values else 0.0


def wait_until_read(folder: Path, count: int) -> None:
    """Until the pipeline has read so many records. Asked on disk: the server logs requests into a pipe nobody reads."""
    give_up_at = time.monotonic() + SECONDS_MAX
    store = DeliveryStore(folder / ".edge" / "state")
    while sum(one.committed for state in store.inserts() for one in state.progress.values()) < count:
        assert time.monotonic() < give_up_at, store.inserts()
        time.sleep(0.02)
    store.close()


def numbers(first: int, count: int = 35) -> list[dict[str, int]]:
    return [{"n": n} for n in range(first, first + count)]


def test_streams_get_and_pipelines_get_tell_how_things_stand(flights: Path, start: Start, edge: Edge) -> None:
    began_at = time.time()
    server = start(flights, "dev")
    send(server, *numbers(0), {"n": "x"})
    wait_until_read(flights, 36)
    assert metric(server, "edge_records_in_total") == 36
    figures = json.loads(edge("streams", "get", "flights", "--json", cwd=flights).stdout)["figures"]
    assert figures["records_accepted"] == 36
    assert figures["partitions"] == [0]
    assert figures["oldest_record_at"] == figures["newest_record_at"]
    assert figures["dead_letters"] == [
        {"family": "deserialization", "kind": "type_mismatch", "count": 1},
        {"family": "execution", "kind": "runtime_error", "count": 4},
    ]
    [delivery] = figures["deliveries"]
    assert (delivery["pipeline"], delivery["insert"], delivery["sink"]) == ("far", 1, "far")
    assert delivery["failure_reason"] is None
    assert (delivery["backlog_records"], delivery["backlog_seconds"]) == (0, 0)
    assert 0 < delivery["rows_per_second"] <= 24
    assert delivery["window_seconds"] <= time.time() - began_at, "no longer than there is a pipeline"
    text = edge("streams", "get", "flights", cwd=flights).stdout
    assert "4 runtime_error (execution)" in text
    assert "Partitions: 1 (number 0) " in " ".join(text.split())
    assert "far, INSERT 1, to far: 0 records wait, 0 bytes; " in text
    assert "rows/s in the last " in text
    text = edge("pipelines", "get", "far", cwd=flights).stdout
    account = "36 accepted = 24 delivered + 7 filtered + 5 dead + 0 lost + 0 in the log"
    assert f"INSERT 1: {account}" in text
    assert "Status:" in text


@pytest.mark.parametrize("arguments", [("dev",), ("serve",), ("serve", "--workers", "2")], ids=" ".join)
def test_the_endpoint_is_where_the_running_server_listens(
    flights: Path, start: Start, edge: Edge, arguments: tuple[str, ...]
) -> None:
    def endpoint() -> str:
        endpoint: str = json.loads(edge("streams", "get", "flights", "--json", cwd=flights).stdout)["endpoint"]
        return endpoint

    server = start(flights, *arguments)
    path = f"/cdn-cgi/ingest/{id_of('stream', 'flights')}"
    assert endpoint() == server.url + path
    shown = f"  {server.url}/cdn-cgi/ingest/flights"
    assert (shown in server.lines) is (arguments == ("dev",))
    assert server.stop(signal.SIGTERM) == 0
    assert not (flights / ".edge" / "url").exists()
    assert endpoint() == f"http://localhost:8787{path}"


def test_a_killed_servers_endpoint_is_forgotten(flights: Path, start: Start, edge: Edge) -> None:
    server = start(flights, "dev")
    server.child.kill()
    server.child.wait()
    assert (flights / ".edge" / "url").exists()
    shown = edge("streams", "get", "flights", cwd=flights).stdout
    assert "Endpoint: http://localhost:8787/" in " ".join(shown.split())


def test_the_console_and_the_commands_tell_why_a_sink_fails(flights: Path, start: Start, edge: Edge) -> None:
    (flights / "out").write_text("in the way")
    server = start(flights, "dev")
    send(server, *numbers(1, 3))
    line = server.wait_for("pipeline_not_delivering.*")
    assert "pipeline=far" in line
    assert str(flights / "out") in line
    shown = json.loads(edge("pipelines", "get", "far", "--json", cwd=flights).stdout)
    assert shown["status"] == "failed"
    assert str(flights / "out") in shown["failure_reason"]
    text = edge("streams", "get", "flights", cwd=flights).stdout
    assert "far, INSERT 1, to far: 3 records wait" in text
    assert "  failed: " in text
    assert metric(server, "edge_sink_failing") == 1


def accounts(edge: Edge, folder: Path) -> tuple[int, list[dict[str, int]]]:
    """Exit status of fsck, and the accounts that it prints."""
    checked = edge("streams", "fsck", "flights", cwd=folder)
    names = ("accepted", "delivered", "filtered", "dead", "lost", "in the log")
    lines = [line for line in checked.stdout.splitlines() if "accepted" in line]
    return checked.returncode, [
        {name: int(line.partition(f"{name} ")[2].partition(" ")[0]) for name in names} for line in lines
    ]


def test_after_kill_9_every_record_is_accounted_for(flights: Path, start: Start, edge: Edge) -> None:
    sent = 0
    for kill in range(2):
        server = start(flights, "serve")
        for _ in range(1 + kill):
            send(server, *numbers(sent))
            sent += 35
        server.child.send_signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        status, found = accounts(edge, flights)
        assert status == 0
        for one in found:
            assert one["accepted"] == sum(one.values()) - one["accepted"] == sent
    server = start(flights, "dev")
    wait_until_read(flights, sent)
    server.stop()
    times = sent // 35
    wanted = {"accepted": sent, "delivered": times * 24, "filtered": times * 7, "dead": times * 4}
    assert accounts(edge, flights) == (0, [wanted | {"lost": 0, "in the log": 0}])


def test_control_a_record_that_is_gone_from_the_log_does_not_add_up(flights: Path, start: Start, edge: Edge) -> None:
    server = start(flights, "dev")
    send(server, *numbers(1))
    wait_until_read(flights, 35)
    server.stop()
    partition = flights / ".edge" / "state" / "streams" / id_of("stream", "flights") / "0"
    mark, offset = DurableMark(partition), durable_offset(partition)
    mark.set(offset + 1)  # one more was acknowledged than is there
    mark.close()
    status, [found] = accounts(edge, flights)
    assert status == 1
    assert found["accepted"] == sum(found.values()) - found["accepted"] + 1


def test_metrics_are_not_for_pages_of_other_origins(project: Path, start: Start) -> None:
    server = start(project, "dev")
    assert server.ask("/cdn-cgi/metrics")[0] == 200
    request = urllib.request.Request(f"{server.url}/cdn-cgi/metrics", headers={"Origin": "https://evil.test"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
    refused.value.close()
