"""The figures of a real stream, delivered by a real sink, are what was sent; the text is what Prometheus reads."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.addresses import METRICS_PATH
from edge.bindings.pipelines.catalogue import Catalogue, TableNames
from edge.bindings.pipelines.delivery.facts import delivery_facts
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.local import open_binding
from edge.bindings.pipelines.objects import PipelineObject, RollingPolicy, SinkFormat, SinkObject, StreamObject
from edge.bindings.pipelines.observability.histogram import Histogram
from edge.bindings.pipelines.observability.intake_rate import IntakeMeter, intake_rate
from edge.bindings.pipelines.observability.metrics import METRICS, Distribution
from edge.bindings.pipelines.observability.prometheus import exposition
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.spec import Site
from edge.runtime.core.request import incoming_request
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge.bindings.spec import Opened
    from edge.runtime.core.response import Response

ROOT = Path(__file__).parents[4]
FLIGHT = Schema((Field("string", "carrier", required=True), Field("int64", "distance")))
FAR = "INSERT INTO far SELECT upper(carrier) AS carrier, 10000 / distance AS share FROM flights WHERE distance <> 1"
GOOD = [{"carrier": "aa", "distance": distance} for distance in (100, 200, 300)]
FILTERED = [{"carrier": "bb", "distance": 1}] * 2
UNFIT = [{"carrier": 7, "distance": 100}, {"distance": 100}]
FAILING = [{"carrier": "cc", "distance": 0}]
LABELS = {"pipeline": "far", "insert": "1", "stream": "flights", "sink": "far"}


def declare(state_dir: Path, path: str = "out") -> None:
    catalogue = Catalogue(state_dir)
    catalogue.add_stream(StreamObject(id_of("stream", "flights"), "flights", 0.0, 0.0, schema=FLIGHT))
    policy, form = RollingPolicy(interval_seconds=1.0), SinkFormat("parquet")
    catalogue.add_sink(SinkObject(id_of("sink", "far"), "far", "local", 0.0, 0.0, {"path": path}, form, policy))
    far = PipelineObject(id_of("pipeline", "far"), "far", FAR, 0.0, 0.0)
    catalogue.add_pipeline(far, TableNames(("flights",), ("far",)))
    catalogue.close()


@asynccontextmanager
async def opened(host: FakeHost) -> AsyncIterator[Opened]:
    async with open_binding([PipelineEntry("STREAM", stream="flights")], Site(host, None)) as one:
        for source in one.sources:
            host.spawn(source.run(), name="source")
        try:
            yield one
        finally:
            await host.aclose()


async def until(is_so: Callable[[], bool], *hosts: FakeHost) -> None:
    """Let the clocks of these run, and threads come to their end."""
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.to_thread(lambda: None)
            for host in hosts:
                await host.advance(0.1)


def committed_count(state_dir: Path) -> int:
    with closing(DeliveryStore(state_dir)) as store:
        return sum(p.committed for one in store.inserts() for p in one.progress.values())


async def ask(one: Opened, method: str = "GET") -> Response:
    door = next(door for door in one.doors if door.claims("localhost", METRICS_PATH))
    return await door.fetch(incoming_request(method, f"http://localhost{METRICS_PATH}", [], None))


async def read(one: Opened) -> Callable[..., float | None]:
    """Ask for the text, have it parsed by Prometheus's own parser; finds a sample by name and labels."""
    text = await (await ask(one)).text()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def find(name: str, **labels: str) -> float | None:
        found = [sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)]
        assert len(found) <= 1, "a series is there once"
        return found[0] if found else None

    return find


async def test_figures_are_what_was_sent_and_written(tmp_path: Path) -> None:
    declare(tmp_path)
    host = FakeHost(tmp_path)
    sent = [*GOOD, *FILTERED, *UNFIT, *FAILING]
    async with opened(host) as one:
        await one.env["STREAM"].send(sent)
        await until(lambda: committed_count(tmp_path) == len(sent), host)
        find = await read(one)
        file = next((tmp_path / "out").rglob("*.parquet"))
        expected = {
            "edge_records_in_total": 8,
            "edge_decode_errors_total": 2,
            "edge_records_delivered_total": 3,
            "edge_records_filtered_total": 2,
            "edge_dead_letters_total": 3,
            "edge_records_lost_total": 0,
            "edge_records_written_total": 3,
            "edge_files_written_total": 1,
            "edge_row_groups_written_total": 1,
            "edge_bytes_written_total": file.stat().st_size,
            "edge_backlog_records": 0,
            "edge_backlog_bytes": 0,
            "edge_backlog_seconds": 0,
            "edge_sink_failing": 0,
            "edge_sink_retries_total": 0,
            "edge_sink_commit_seconds_count": 1,
        }
        assert {name: find(name, **LABELS) for name in expected} == expected
        assert find("edge_stream_records_accepted_total", stream="flights") == 8
        assert find("edge_stream_dead_letters", stream="flights") == 3
        kinds = [("deserialization", "type_mismatch"), ("deserialization", "missing_field")]
        kinds.append(("execution", "runtime_error"))
        errors = {k: find("edge_user_errors_total", **LABELS, family=k[0], type=k[1]) for k in kinds}
        assert errors == dict.fromkeys(kinds, 1)


async def test_what_this_process_measures_has_its_slot(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, process_slot=3)
    async with opened(host) as one:
        await one.env["STREAM"].send([1])
        find = await read(one)
        assert find("edge_ack_seconds_count", stream="flights", slot="3") == 1
        assert find("edge_ack_seconds_bucket", stream="flights", slot="3", le="6.4e-05") == 1
        assert find("edge_ack_seconds_bucket", stream="flights", slot="3", le="+Inf") == 1
        assert find("edge_fsync_seconds_count", stream="flights", slot="3") == 1
        assert find("edge_group_size_bucket", stream="flights", slot="3", le="1") == 1
        assert find("edge_unsynced_bytes", stream="flights", slot="3") == 0
        assert find("edge_dedupe_hits_total", slot="3") == 0


async def test_a_sink_that_is_down_shows_its_backlog_and_its_age_and_heals(tmp_path: Path) -> None:
    (tmp_path / "out").touch()  # a file where the sink wants a folder
    declare(tmp_path)
    host = FakeHost(tmp_path)
    async with opened(host) as one:
        await one.env["STREAM"].send(GOOD)
        await until(lambda: "pipeline_not_delivering" in host.log.events("warning"), host)
        await host.advance(10.0)
        find = await read(one)
        assert find("edge_backlog_records", **LABELS) == 3
        assert find("edge_sink_failing", **LABELS) == 1
        age_s = find("edge_backlog_seconds", **LABELS)
        assert age_s is not None
        assert 10 <= age_s <= host.now() - 1_767_225_600.0
        (tmp_path / "out").unlink()
        await until(lambda: "pipeline_delivers_again" in host.log.events("info"), host)
        find = await read(one)
        assert find("edge_backlog_records", **LABELS) == 0
        assert find("edge_sink_failing", **LABELS) == 0
        assert (find("edge_sink_retries_total", **LABELS) or 0) >= 1


async def test_another_process_counts_the_same(tmp_path: Path) -> None:
    declare(tmp_path)
    first, second = FakeHost(tmp_path), FakeHost(tmp_path, process_slot=1)
    async with opened(first) as one, opened(second) as other:
        await one.env["STREAM"].send(GOOD)
        await other.env["STREAM"].send(GOOD)
        await until(lambda: committed_count(tmp_path) == 6, first, second)  # either may lead
        find = await read(other)
        assert find("edge_records_delivered_total", **LABELS) == 6
        assert find("edge_stream_records_accepted_total", stream="flights") == 6


async def test_only_reading_is_allowed(tmp_path: Path) -> None:
    async with opened(FakeHost(tmp_path)) as one:
        assert (await ask(one, "HEAD")).status == 200
        refused = await ask(one, "POST")
        assert (refused.status, refused.headers.get("allow")) == (405, "GET, HEAD")


async def test_a_store_that_cannot_be_read_is_told_and_heals(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    file = tmp_path / "pipelines" / "delivery.sqlite3"
    async with opened(host) as one:
        file.write_bytes(b"no database" * 100)
        refused = await ask(one)
        assert (refused.status, await refused.text()) == (
            503,
            "The figures cannot be read; the log of Edge says why.\n",
        )
        assert "metrics_not_read" in host.log.events("error")
        file.unlink()
        assert (await ask(one)).status == 200


@pytest.mark.parametrize("name", ['quoted "name"', "back\\slash", "two\nlines", "ünïcode", "lone \udc80 surrogate"])
def test_any_name_is_a_label(name: str) -> None:
    accepted = next(metric for metric in METRICS if metric.name == "edge_stream_records_accepted_total")
    text = exposition({accepted: {(name,): 2.5}}).decode()
    [sample] = [one for family in text_string_to_metric_families(text) for one in family.samples]
    assert sample.labels == {"stream": name.replace("\udc80", "?")}
    assert sample.value == 2.5


def test_the_text_is_the_format_to_the_letter() -> None:
    metric = next(metric for metric in METRICS if metric.kind == "histogram")
    value = Distribution(3, 0.5, ((0.25, 1), (1.0, 3)))
    lines = exposition({metric: {("s", "0"): value}}).decode().splitlines()
    at = lines.index(f"# TYPE {metric.name} histogram")
    assert lines[at - 1] == f"# HELP {metric.name} {metric.help}"
    assert lines[at + 1 : at + 6] == [
        f'{metric.name}_bucket{{stream="s",slot="0",le="0.25"}} 1',
        f'{metric.name}_bucket{{stream="s",slot="0",le="1"}} 3',
        f'{metric.name}_bucket{{stream="s",slot="0",le="+Inf"}} 3',
        f'{metric.name}_sum{{stream="s",slot="0"}} 0.5',
        f'{metric.name}_count{{stream="s",slot="0"}} 3',
    ]


def test_every_metric_is_in_the_table_and_says_which_are_of_one_process() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(edge_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", text, re.MULTILINE)
    assert rows == [(m.name, m.kind, ", ".join(f"`{one}`" for one in m.labels), m.help) for m in METRICS]
    assert all(("slot" in m.labels) == m.help.startswith("This process: ") for m in METRICS)


def test_a_histogram_counts_up_to_and_including_its_bounds() -> None:
    histogram = Histogram()
    histogram.add([0, 1, 2, 3, 4, 5, 1024, -7])
    assert histogram.at_most([0, 1, 2, 9, 10]) == [3, 4, 6, 7, 8]
    assert (histogram.count, histogram.sum) == (8, 1032)


async def test_the_rate_is_of_the_last_minute_across_processes(tmp_path: Path) -> None:
    first, second = FakeHost(tmp_path), FakeHost(tmp_path, process_slot=1)
    async with opened(first) as one, opened(second) as other:
        facts, stream_id = delivery_facts(tmp_path), id_of("stream", "flights")

        async def noted(host: FakeHost, stream: Any, count: int) -> None:
            await stream.send([1] * count)
            await host.advance(10.0)
            await until(lambda: bool(facts.read("SELECT 1 FROM intake WHERE record_count = ?", (count,))))

        await noted(first, one.env["STREAM"], 60)
        await noted(second, other.env["STREAM"], 120)
        rate = intake_rate(facts, stream_id, first.now())
        assert rate.records_per_second == 3.0
        assert rate.bytes_per_second > 6.0
        assert intake_rate(facts, stream_id, first.now() + 80).records_per_second == 0.0
        facts.close()


async def test_a_reload_counts_nothing_twice(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    async with opened(host) as old:
        await old.env["STREAM"].send([1] * 6)
        meters = [source for source in old.sources if isinstance(source, IntakeMeter)]
        await meters[0].note()
        async with open_binding([PipelineEntry("STREAM", stream="flights")], Site(host, None)) as new:
            [meter] = [source for source in new.sources if isinstance(source, IntakeMeter)]
            await meter.note()
            facts = delivery_facts(tmp_path)
            assert intake_rate(facts, id_of("stream", "flights"), host.now()).records_per_second == 6 / 60
            facts.close()
