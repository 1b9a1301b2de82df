"""What the routes of pipelines take and answer where no client shows it: defaults, codes, what never changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Api

V1 = "{A}/pipelines/v1"
NOWHERE = "0" * 32
FIELDS = [{"name": "carrier", "type": "string", "required": True}, {"name": "raw", "type": "bytes", "required": False}]
SECRETS = {"access_key_id": "planted-id", "secret_access_key": "planted-secret"}
R2 = {"bucket": "flights", "credentials": SECRETS}
CATALOG = {"bucket": "flights", "namespace": "ns", "table_name": "t", "token": "planted-token"}
SQL = "INSERT INTO far SELECT * FROM flights"


async def flights_to_far(api: Api) -> tuple[Any, Any]:
    stream = await api.call("POST", f"{V1}/streams", {"name": "flights", "schema": {"fields": FIELDS}})
    sink = await api.call("POST", f"{V1}/sinks", {"name": "far", "type": "r2", "config": R2})
    return stream, sink


async def test_a_stream_by_default(api: Api) -> None:
    made = await api.call("POST", f"{V1}/streams", {"name": "flights"})
    assert re.fullmatch(r"[0-9a-f]{32}", made["id"])
    assert made == {
        "id": made["id"],
        "name": "flights",
        "version": 1,
        "created_at": "2026-01-01T00:00:00.000Z",
        "modified_at": "2026-01-01T00:00:00.000Z",
        "endpoint": f"{api.url}/cdn-cgi/ingest/{made['id']}",
        "http": {"enabled": True, "authentication": True, "cors": {"origins": []}},
        "worker_binding": {"enabled": True},
        "format": {"type": "json", "timestamp_format": "rfc3339", "unstructured": True},
        "schema": None,
    }
    assert await api.call("GET", f"{V1}/streams/{made['id']}") == made


async def test_a_stream_with_everything(api: Api) -> None:
    made = await api.call(
        "POST",
        f"{V1}/streams",
        {
            "name": "flights",
            "format": {"type": "json", "timestamp_format": "unix_millis", "decimal_encoding": "number"},
            "http": {
                "enabled": True,
                "authentication": False,
                "cors": {"origins": ["https://a.example", "http://b:8"]},
            },
            "worker_binding": {"enabled": False},
            "schema": {"fields": FIELDS, "inferred": None},
        },
    )
    assert made["format"] == {"type": "json", "timestamp_format": "unix_millis"}
    assert made["http"]["cors"]["origins"] == ["https://a.example", "http://b:8"]
    assert made["worker_binding"] == {"enabled": False}
    assert [field["type"] for field in made["schema"]["fields"]] == ["string", "binary"]


async def test_a_change_touches_what_it_names_alone(api: Api) -> None:
    made = await api.call(
        "POST",
        f"{V1}/streams",
        {"name": "s", "http": {"enabled": True, "authentication": False, "cors": {"origins": ["*"]}}},
    )
    await api.host.advance(60)
    changed = await api.call("PATCH", f"{V1}/streams/{made['id']}", {"http": {"enabled": False}})
    assert changed["http"] == {"enabled": False, "authentication": False, "cors": {"origins": ["*"]}}
    assert (changed["version"], changed["modified_at"]) == (2, "2026-01-01T00:01:00.000Z")
    assert changed["created_at"] == made["created_at"]
    assert await api.call("GET", f"{V1}/streams/{made['id']}") == changed
    same = await api.call("PATCH", f"{V1}/streams/{made['id']}", {"http": {"cors": {"origins": ["none"]}}})
    assert same["http"]["cors"]["origins"] == []


@pytest.mark.parametrize("field", ["name", "schema", "format"])
async def test_what_a_stream_is_never_changes(api: Api, field: str) -> None:
    made = await api.call("POST", f"{V1}/streams", {"name": "s"})
    reply = await api.ask("PATCH", f"{V1}/streams/{made['id']}", body={field: made[field], "http": {"enabled": False}})
    assert (reply.status, *reply.codes) == (400, 2)
    assert "cannot be changed. Make a new stream" in reply.json()["errors"][0]["message"]
    assert await api.call("GET", f"{V1}/streams/{made['id']}") == made


@pytest.mark.parametrize(
    ("kind", "config", "secrets"),
    [
        ("r2", R2, {"credentials"}),
        ("r2_data_catalog", CATALOG, {"token"}),
        ("basin_catalog", CATALOG, {"token"}),
        ("r2-data-catalog", CATALOG, {"token"}),
    ],
)
async def test_no_answer_holds_a_sinks_secret(api: Api, kind: str, config: dict[str, Any], secrets: set[str]) -> None:
    body = {"name": "far", "type": kind, "config": {**config, "tokem": "planted-typo"}}
    if kind != "r2":
        body["format"] = {"type": "parquet"}
    made = await api.ask("POST", f"{V1}/sinks", body=body)
    assert made.status == 200, made.body
    sink = made.json()["result"]
    replies = [
        made,
        await api.ask("GET", f"{V1}/sinks"),
        await api.ask("GET", f"{V1}/sinks/{sink['id']}"),
        await api.ask("POST", f"{V1}/sinks", body=body),
        await api.ask("DELETE", f"{V1}/sinks/{sink['id']}"),
    ]
    assert [reply.status for reply in replies] == [200, 200, 200, 409, 200]
    assert not any(b"planted" in reply.body for reply in replies)
    assert not any("planted" in str(line) for line in api.host.log.lines)
    assert sink["type"] == ("r2" if kind == "r2" else "r2_data_catalog")
    assert set(config) - secrets <= set(sink["config"])


async def test_a_sinks_defaults_are_shown(api: Api) -> None:
    made = await api.call("POST", f"{V1}/sinks", {"name": "far", "type": "r2", "config": R2})
    assert made["config"]["partitioning"] == {"time_pattern": "year=%Y/month=%m/day=%d"}
    assert made["format"] == {"type": "json", "compression": "uncompressed"}
    parquet = {"type": "parquet"}
    made = await api.call("POST", f"{V1}/sinks", {"name": "pq", "type": "r2", "config": R2, "format": parquet})
    assert made["format"] == {"type": "parquet", "compression": "zstd", "row_group_bytes": 1024**3}
    none = {"type": "parquet", "compression": "none", "row_group_bytes": 1024}
    made = await api.call("POST", f"{V1}/sinks", {"name": "no", "type": "r2", "config": R2, "format": none})
    assert made["format"] == {"type": "parquet", "compression": "uncompressed", "row_group_bytes": 1024}


async def test_a_pipeline_with_its_tables(api: Api) -> None:
    stream, sink = await flights_to_far(api)
    made = await api.call("POST", f"{V1}/pipelines", {"name": "p", "sql": SQL})
    found = await api.call("GET", f"{V1}/pipelines/{made['id']}")
    tables = [
        {"id": stream["id"], "name": "flights", "type": "stream", "version": 1, "latest": 1},
        {"id": sink["id"], "name": "far", "type": "sink", "version": 1, "latest": 1},
    ]
    assert found == {**made, "tables": tables, "failure_reason": None}
    assert (made["name"], made["sql"], made["created_at"]) == ("p", SQL, "2026-01-01T00:00:00.000Z")


async def test_validation_tells_tables_and_graph_and_makes_nothing(api: Api) -> None:
    await flights_to_far(api)
    valid = await api.call(
        "POST", f"{V1}/validate_sql", {"sql": "INSERT INTO far SELECT upper(carrier) u FROM flights"}
    )
    assert {name: table["type"] for name, table in valid["tables"].items()} == {"flights": "stream", "far": "sink"}
    graph = valid["graph"]
    assert {"node_id", "operator", "description", "parallelism"} == set(graph["nodes"][0])
    assert {"src_id", "dest_id", "edge_type", "key_type", "value_type"} == set(graph["edges"][0])
    assert len(graph["edges"]) == 2
    assert await api.call("GET", f"{V1}/pipelines") == []


STREAM, SINK = f"{V1}/streams", f"{V1}/sinks"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "text"),
    [
        ("GET", f"{STREAM}/{NOWHERE}", None, 404, 1016, "There is no stream 000"),
        ("PATCH", f"{STREAM}/{NOWHERE}", {}, 404, 1016, ""),
        ("DELETE", f"{STREAM}/{NOWHERE}", None, 404, 1016, ""),
        ("GET", f"{SINK}/{NOWHERE}", None, 404, 1015, ""),
        ("DELETE", f"{SINK}/{NOWHERE}", None, 404, 1015, ""),
        ("GET", f"{V1}/pipelines/{NOWHERE}", None, 404, 1000, ""),
        ("DELETE", f"{V1}/pipelines/{NOWHERE}", None, 404, 1000, ""),
        ("GET", f"{STREAM}/flights", None, 404, 2, "32 lower-case hex digits"),
        ("GET", f"{STREAM}/{NOWHERE}0", None, 404, 2, ""),
        ("GET", f"{STREAM}/{'A' * 32}", None, 404, 2, ""),
        ("GET", f"{STREAM}/..%2f..%2fetc", None, 404, 2, ""),
        ("DELETE", f"{STREAM}/{NOWHERE}?force=perhaps", None, 404, 1016, ""),
        ("POST", STREAM, {"name": "flights"}, 409, 1003, 'There is a stream "flights" already'),
        ("POST", STREAM, {"name": "no-dash"}, 400, 2, "letters, digits and underscores"),
        ("POST", STREAM, {"name": ""}, 400, 2, ""),
        ("POST", STREAM, {"name": "x" * 129}, 400, 2, ""),
        ("POST", STREAM, {"name": "s", "schema": {"fields": [{"name": "a", "type": "text"}]}}, 400, 2, "[0].type"),
        ("POST", STREAM, {"name": "s", "schema": {"fields": []}}, 400, 2, ""),
        ("POST", STREAM, {"name": "s", "format": {"type": "parquet"}}, 400, 2, 'a stream takes "json"'),
        ("POST", STREAM, {"name": "s", "format": {"type": "json", "decimal_encoding": "bytes"}}, 400, 2, ""),
        ("POST", STREAM, {"name": "s", "http": {"cors": {"origins": ["*", "http://a"]}}}, 400, 2, "stands alone"),
        ("POST", STREAM, {"name": "s", "http": {"cors": {"origins": ["http://a/path"]}}}, 400, 2, "without a path"),
        ("POST", SINK, {"name": "far", "type": "r2", "config": R2}, 409, 1003, ""),
        ("POST", SINK, {"name": "s", "type": "tape", "config": {}}, 400, 2, "no sink type 'tape'. The types are"),
        ("POST", SINK, {"name": "s", "type": "../rest", "config": {}}, 400, 2, "there is no sink type"),
        ("POST", SINK, {"name": "s", "type": "sink", "config": {}}, 400, 2, "there is no sink type"),
        ("POST", SINK, {"name": "s", "type": "r2", "config": {}}, 400, 2, "bucket"),
        ("POST", SINK, {"name": "s", "type": "r2", "config": {"bucket": 1}}, 400, 2, "bucket"),
        ("POST", SINK, {"name": "s", "type": "r2", "config": {"bucket": "../x"}}, 400, 2, ""),
        ("POST", SINK, {"name": "s", "type": "r2", "config": {**R2, "rolling_policy": {"interval_seconds": 0}}}, 400, 2,
         "rolling_policy.interval_seconds"),
        ("POST", SINK, {"name": "s", "type": "r2", "config": {**R2, "rolling_policy": 5}}, 400, 2, ""),
        ("POST", SINK, {"name": "s", "type": "r2", "config": R2, "format": {"type": "csv"}}, 400, 2, "format.type"),
        ("POST", SINK, {"name": "s", "type": "r2", "config": R2, "format": {"type": "json", "compression": "lz4"}},
         400, 2, "JSON files cannot be compressed with lz4"),
        ("POST", SINK, {"name": "s", "type": "r2", "config": {**R2, "path": "../x"}}, 400, 2, "no place inside"),
        ("POST", SINK, {"name": "s", "type": "local", "config": {"path": ""}}, 400, 2, "is no folder"),
        ("POST", SINK, {"name": "s", "type": "r2", "config": R2, "format": {"type": "parquet", "row_group_bytes": 0}},
         400, 2, "row_group_bytes"),
        ("POST", f"{V1}/pipelines", {"name": "p", "sql": "INSERT INTO no SELECT * FROM flights"}, 400, 1014, '"no"'),
        ("POST", f"{V1}/pipelines", {"name": "p", "sql": "INSERT INTO far SELECT * FROM no"}, 400, 1014, '"no"'),
        ("POST", f"{V1}/pipelines", {"name": "p", "sql": "SELECT"}, 400, 1001, "line 1, column 1"),
        ("POST", f"{V1}/pipelines", {"name": "p", "sql": ""}, 400, 1001, ""),
        ("POST", f"{V1}/pipelines", {"name": "p", "sql": "INSERT INTO far SELECT no FROM flights"}, 400, 1001, "no"),
        ("POST", f"{V1}/pipelines", {"name": "p q", "sql": SQL}, 400, 2, ""),
        ("POST", f"{V1}/validate_sql", {"sql": "INSERT INTO far SELECT * FROM no"}, 400, 1014, "line 1, column"),
        ("POST", f"{V1}/validate_sql", {"sql": "DROP TABLE flights"}, 400, 1001, ""),
        ("POST", f"{V1}/validate_sql", {}, 400, 2, "sql"),
        ("GET", "{A}/pipelines/old", None, 404, 1000, "There is no pipeline old"),
    ],
)  # fmt: skip
async def test_errors_have_cloudflares_codes(
    api: Api, method: str, path: str, body: Any, status: int, code: int, text: str
) -> None:
    await flights_to_far(api)
    before = [await api.call("GET", f"{V1}/{kind}") for kind in ("streams", "sinks", "pipelines")]
    reply = await api.ask(method, path, body=body)
    assert (reply.status, *reply.codes) == (status, code), reply.body
    assert text in reply.json()["errors"][0]["message"]
    assert [await api.call("GET", f"{V1}/{kind}") for kind in ("streams", "sinks", "pipelines")] == before


@pytest.mark.parametrize("path", ["pipelines", "validate_sql"])
async def test_every_problem_of_sql_is_in_the_chain_of_the_first(api: Api, path: str) -> None:
    await flights_to_far(api)
    sql = "INSERT INTO far SELECT no FROM flights; INSERT INTO fra SELECT 1 FROM flights; DROP TABLE flights"
    reply = await api.ask("POST", f"{V1}/{path}", body={"name": "p", "sql": sql})
    (first,) = reply.json()["errors"]
    told = [first, *first["error_chain"]]
    assert [(one["code"], one["message"].rpartition("column ")[2]) for one in told] == [
        (1001, "24)"), (1014, "53)"), (1001, "80)")
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["streams", "sinks"])
async def test_what_a_pipeline_uses_is_1030_until_forced(api: Api, kind: str) -> None:
    stream, sink = await flights_to_far(api)
    path = f"{V1}/{kind}/{(stream if kind == 'streams' else sink)['id']}"
    await api.call("POST", f"{V1}/pipelines", {"name": "p", "sql": SQL})
    for refused in (path, f"{path}?force=false"):
        reply = await api.ask("DELETE", refused)
        assert (reply.status, *reply.codes) == (400, 1030)
        assert 'the pipeline "p"' in reply.json()["errors"][0]["message"]
    for unclear in ("force=perhaps", "force="):
        assert (await api.ask("DELETE", f"{path}?{unclear}")).codes == [2]
    await api.call("DELETE", f"{path}?force")
    assert await api.call("GET", f"{V1}/pipelines") == []
    assert (await api.ask("GET", path)).status == 404


async def test_the_older_list_is_empty_in_both_clients_words(api: Api) -> None:
    reply = (await api.ask("GET", "{A}/pipelines")).json()
    assert reply["result"] == reply["results"] == []


async def test_a_message_warns_of_inserts_that_share_an_elasticsearch_index(api: Api) -> None:
    await api.call("POST", f"{V1}/streams", {"name": "flights"})
    config = {"url": "https://es.test", "index": "all"}
    await api.call("POST", f"{V1}/sinks", {"name": "es", "type": "elasticsearch", "config": config})
    body = {"name": "one", "sql": "INSERT INTO es SELECT * FROM flights"}
    first = await api.ask("POST", f"{V1}/pipelines", body=body)
    assert first.json()["messages"] == []
    second = await api.ask("POST", f"{V1}/pipelines", body={**body, "name": "two"})
    assert second.status == 200
    [message] = second.json()["messages"]
    assert message["message"] == (
        '2 INSERTs send records of the stream "flights" to the index "all" of https://es.test (pipelines: one, two): '
        "a record that two of them send becomes one document there, the first. Give each INSERT an index of its own."
    )
