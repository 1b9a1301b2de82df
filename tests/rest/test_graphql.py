"""Figures of pipelines in Cloudflare's GraphQL shape, as the docs ask for them; everything else as before."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.catalogue import Catalogue, TableNames
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import (
    HttpIngest,
    PipelineObject,
    RollingPolicy,
    SinkFormat,
    SinkObject,
    StreamObject,
)
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from conftest import Api

PIPELINE, STREAM, SINK = id_of("pipeline", "far"), id_of("stream", "flights"), id_of("sink", "far")
FAR = "INSERT INTO far SELECT carrier FROM flights WHERE 10 / distance > 1"
EVERYTHING = "INSERT INTO far SELECT carrier FROM flights"
MINUTE = "2026-01-01T00:00:00Z"
WHEN = {"datetimeStart": MINUTE, "datetimeEnd": "2026-01-01T23:59:59Z"}
VARIABLES = {"accountTag": LOCAL_ACCOUNT_ID, "pipelineId": PIPELINE, **WHEN}
HEAD = "query Q($accountTag: string!, $pipelineId: string!, $datetimeStart: Time!, $datetimeEnd: Time!)"
FILTER = "filter: {pipelineId: $pipelineId, datetime_geq: $datetimeStart, datetime_leq: $datetimeEnd}"


async def ask(api: Api, query: str, variables: dict[str, Any] | None = None, **more: Any) -> Any:
    reply = await api.ask("POST", "/graphql", body={"query": query, "variables": variables or {}}, **more)
    assert reply.status == 200, reply.body
    return reply.json()


async def figures(api: Api, dataset: str) -> Any:
    """The one dataset's rows, asked for as the docs do."""
    query = f"{HEAD} {{ viewer {{ accounts(filter: {{accountTag: $accountTag}}) {{ {dataset} }} }} }}"
    answer = await ask(api, query, VARIABLES)
    assert answer["errors"] is None, answer
    [account] = answer["data"]["viewer"]["accounts"]
    [rows] = account.values()
    return rows


async def deliver(api: Api, *records: object, sql: str = FAR) -> None:
    """Declare a stream with a pipeline, send to it over HTTP, and wait until all is committed."""
    catalogue = Catalogue(api.host.state_dir)
    schema = Schema((Field("string", "carrier", required=True), Field("int64", "distance")))
    http = HttpIngest(authentication=False)
    catalogue.add_stream(StreamObject(STREAM, "flights", 0.0, 0.0, schema=schema, http=http))
    policy = RollingPolicy(interval_seconds=1.0)
    catalogue.add_sink(SinkObject(SINK, "far", "local", 0.0, 0.0, {"path": "out"}, SinkFormat("parquet"), policy))
    tables = TableNames(("flights",), ("far",))
    catalogue.add_pipeline(PipelineObject(PIPELINE, "far", sql, 0.0, 0.0), tables)
    catalogue.close()
    await api.host.advance(0.5)
    body = json.dumps(records).encode()
    async with api.client.post(f"{api.url}/cdn-cgi/ingest/flights", data=body) as answer:
        assert answer.status == 200, await answer.text()
    store, started_at = DeliveryStore(api.host.state_dir), api.host.now()
    async with asyncio.timeout(60):
        while not (inserts := store.inserts()) or any(
            sum(one.committed for one in state.progress.values()) < len(records) for state in inserts
        ):
            await asyncio.to_thread(lambda: None)
            # Where the engine is long in loading, the clock must not leave MINUTE meanwhile.
            await api.host.advance(0.1 if api.host.now() < started_at + 30 else 0.001)
    store.close()


GOOD, UNFIT, FAILING, FILTERED = (
    {"carrier": "aa", "distance": 2},
    {"carrier": 7},
    {"carrier": "a", "distance": 0},
    {
        "carrier": "a",
        "distance": 99,
    },
)


async def test_the_documented_queries_have_the_figures(api: Api) -> None:
    await deliver(api, GOOD, GOOD, UNFIT, FAILING, FILTERED)
    operator = f"pipelinesOperatorAdaptiveGroups(limit: 10000 {FILTER}) {{ sum {{ bytesIn recordsIn decodeErrors }} }}"
    [read] = await figures(api, operator)
    assert read["sum"]["recordsIn"] == 5
    assert read["sum"]["decodeErrors"] == 1
    assert read["sum"]["bytesIn"] > 5
    [file] = (api.host.state_dir.parent / "out").rglob("*.parquet")
    sums = "bytesWritten recordsWritten filesWritten rowGroupsWritten uncompressedBytesWritten"
    sink = f"pipelinesSinkAdaptiveGroups(limit: 1 {FILTER}) {{ sum {{ {sums} }} dimensions {{ sinkId date }} }}"
    [written] = await figures(api, sink)
    assert written["dimensions"] == {"sinkId": SINK, "date": "2026-01-01"}
    assert written["sum"].pop("uncompressedBytesWritten") > 0
    assert written["sum"] == {
        "bytesWritten": file.stat().st_size,
        "recordsWritten": 2,
        "filesWritten": 1,
        "rowGroupsWritten": 1,
    }
    kinds = "count dimensions { errorFamily errorType datetimeMinute }"
    order = "orderBy: [count_DESC, errorFamily_ASC]"
    groups = await figures(api, f"pipelinesUserErrorsAdaptiveGroups(limit: 100 {FILTER} {order}) {{ {kinds} }}")
    assert [(one["count"], *one["dimensions"].values()) for one in groups] == [
        (1, "deserialization", "type_mismatch", MINUTE),
        (1, "execution", "runtime_error", MINUTE),
    ]
    single = "{ datetime pipelineId errorFamily errorType errorMessage }"
    errors = await figures(api, f"pipelinesUserErrorsAdaptive(limit: 9 {FILTER} orderBy: [errorFamily_ASC]) {single}")
    assert [one["errorType"] for one in errors] == ["type_mismatch", "runtime_error"]
    assert "carrier" in errors[0]["errorMessage"]
    assert {one["pipelineId"] for one in errors} == {PIPELINE}


async def test_two_inserts_read_each_record_once(api: Api) -> None:
    await deliver(api, GOOD, UNFIT, sql=f"{EVERYTHING}; {EVERYTHING}")
    operator = f"pipelinesOperatorAdaptiveGroups(limit: 9 {FILTER}) {{ sum {{ recordsIn decodeErrors }} }}"
    assert await figures(api, operator) == [{"sum": {"recordsIn": 2, "decodeErrors": 1}}]
    [errors] = await figures(api, f"pipelinesUserErrorsAdaptiveGroups(limit: 9 {FILTER}) {{ count }}")
    assert errors == {"count": 1}
    [written] = await figures(api, f"pipelinesSinkAdaptiveGroups(limit: 9 {FILTER}) {{ sum {{ recordsWritten }} }}")
    assert written == {"sum": {"recordsWritten": 2}}


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ("{}", 1),
        (f'{{streamId_neq: ""  pipelineId_in: ["{PIPELINE}"]}}', 1),
        ('{pipelineId: "other"}', 0),
        (f'{{pipelineId_notin: ["{PIPELINE}"]}}', 0),
        ('{datetime_geq: "2026-01-01T01:00:00+01:00", datetimeHour_leq: "2026-01-01T00:00:00Z"}', 1),
        ('{datetime_gt: "2026-01-01T00:00:00Z"}', 0),
        ('{date: "2026-01-01"}', 1),
        ('{date_lt: "2026-01-01"}', 0),
    ],
)
async def test_filters_choose_rows(api: Api, wanted: str, count: int) -> None:
    await deliver(api, GOOD)
    dataset = f"pipelinesOperatorAdaptiveGroups(limit: 9 filter: {wanted}) {{ sum {{ recordsIn }} }}"
    answer = await ask(api, f"{{ viewer {{ accounts {{ {dataset} }} }} }}")
    assert answer["errors"] is None
    assert len(answer["data"]["viewer"]["accounts"][0]["pipelinesOperatorAdaptiveGroups"]) == count


async def test_aliases_fragments_and_plain_type_names_work(api: Api) -> None:
    await deliver(api, GOOD)
    query = """
        query Q($tag: String!, $limit: Int!) {
          viewer { accounts(filter: {accountTag: $tag}) {
            mine: pipelinesOperatorAdaptiveGroups(limit: $limit) { ...F }
          } }
        }
        fragment F on pipelinesOperatorAdaptiveGroups {
          dimensions { ... on pipelinesOperatorAdaptiveGroupsDimensions { id: streamId } }
        }
    """
    answer = await ask(api, query, {"tag": LOCAL_ACCOUNT_ID, "limit": 5})
    assert answer == {"data": {"viewer": {"accounts": [{"mine": [{"dimensions": {"id": STREAM}}]}]}}, "errors": None}


REFUSED = {
    "no such sum": (
        "{viewer{accounts{pipelinesOperatorAdaptiveGroups(limit: 1){sum{recordIn}}}}}",
        "Cannot query field 'recordIn' on type 'pipelinesOperatorAdaptiveGroupsSum'. Did you mean 'recordsIn'",
    ),
    "no such dataset": ("{viewer{accounts{pipelinesAdaptive(limit: 1){count}}}}", "Cannot query field"),
    "no limit": ("{viewer{accounts{pipelinesUserErrorsAdaptive{errorType}}}}", "of type 'uint64!' is required"),
    "too much": (
        "{viewer{accounts{pipelinesUserErrorsAdaptive(limit: 10001){errorType}}}}",
        "limit must be 10000 at most, not 10001.",
    ),
    "no time": (
        '{viewer{accounts{pipelinesUserErrorsAdaptive(limit: 1 filter: {datetime_gt: "yesterday"}){errorType}}}}',
        "yesterday",
    ),
    "too often": (
        "{viewer{accounts{"
        + "".join(f"a{n}:pipelinesUserErrorsAdaptive(limit:1){{errorType}}" for n in range(11))
        + "}}}",
        "A query may ask for 10 datasets at most.",
    ),
    "too long": ("{viewer{accounts{pipelinesUserErrorsAdaptive{" + "a " * 2000, "more than 1000 tokens"),
    "no query": ("pipelines", "Syntax Error"),
    "another account": (
        '{viewer{accounts(filter:{accountTag:"other"}){pipelinesUserErrorsAdaptive(limit:1){errorType}}}}',
        "not authorized for that account",
    ),
}


@pytest.mark.parametrize(("query", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_there_is_an_error_and_not_nothing(api: Api, query: str, message: str) -> None:
    answer = await ask(api, query)
    assert answer["data"] is None
    assert message in answer["errors"][0]["message"]


async def test_a_deep_query_is_refused(api: Api) -> None:
    answer = await ask(api, "{viewer{accounts{pipelines" + "{a" * 450 + "}" * 453)
    assert answer["data"] is None
    assert answer["errors"]


async def test_a_token_that_may_not_read_pipelines_gets_no_figures(api: Api) -> None:
    query = "{viewer{accounts{pipelinesUserErrorsAdaptive(limit: 1){errorMessage}}}}"
    answer = await ask(api, query, token=api.tokens.create("Pipelines Send"))
    assert answer["data"] is None
    assert answer["errors"][0]["message"].startswith("not authorized for that account")


async def test_other_queries_of_wrangler_get_the_empty_viewer(api: Api) -> None:
    query = """query D1($accountTag: string) { viewer { accounts(filter: {accountTag: $accountTag}) {
        d1AnalyticsAdaptiveGroups { sum { readQueries } } } } }"""
    assert await ask(api, query) == {"data": {"viewer": {"accounts": []}}, "errors": None}


async def test_the_schema_can_be_looked_at(api: Api) -> None:
    answer = await ask(api, '{ __type(name: "pipelinesSinkAdaptiveGroupsSum") { fields { name } } }')
    names = [one["name"] for one in answer["data"]["__type"]["fields"]]
    assert names[:2] == ["recordsWritten", "bytesWritten"]
