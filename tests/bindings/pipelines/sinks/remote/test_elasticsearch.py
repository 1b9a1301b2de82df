"""Documents over a real socket to a server that keeps `_bulk`'s rules."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from edge.bindings.pipelines.sinks.progress import FILE_NAME as PROGRESS
from edge.bindings.pipelines.sinks.row_staging import StagedRow
from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import elasticsearch

STREAM = "5" * 32
ROWS = [{"carrier": "AA", "distance": 1400 + i} for i in range(6)]


class Cluster:
    """`_bulk` with `create`: ids are unique within an index, every item has its own status."""

    def __init__(self) -> None:
        self.indices: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, list[str]]] = []
        self.busy_once: set[str] = set()
        self.bad: set[str] = set()
        self.item_error: tuple[int, str] | None = None
        self.status = 200
        self.bytes_max = 1 << 30
        self.authorization: str | None = None

    async def answer(self, request: web.Request) -> web.Response:
        assert request.path == "/_bulk"
        body = await request.read()
        if self.status != 200 or len(body) > self.bytes_max:
            return web.json_response({"error": "no"}, status=self.status if self.status != 200 else 413)
        if self.authorization not in {None, request.headers.get("authorization")}:
            return web.json_response({"error": {"type": "security_exception"}}, status=401)
        lines = body.decode().splitlines()
        items = [self._create(json.loads(a)["create"], d) for a, d in zip(lines[::2], lines[1::2], strict=True)]
        self.requests.append((request.query_string, [json.loads(a)["create"]["_id"] for a in lines[::2]]))
        return web.json_response({"items": [{"create": item} for item in items]})

    def _create(self, action: dict[str, str], document: str) -> dict[str, Any]:
        where, name = action["_index"], action["_id"]
        if self.item_error is not None:
            return {"status": self.item_error[0], "error": {"type": self.item_error[1], "reason": "no such index"}}
        if name in self.busy_once:
            self.busy_once.remove(name)
            return {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue"}}
        if name in self.bad:
            reason = "failed to parse field [distance] of type [long]. Preview of field's value: 'secret'"
            return {"status": 400, "error": {"type": "document_parsing_exception", "reason": reason}}
        index = self.indices.setdefault(where, {})
        if name in index:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "there"}}
        index[name] = json.loads(document)
        return {"status": 201}

    @property
    def documents(self) -> list[Any]:
        return [document for index in self.indices.values() for document in index.values()]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def sink(cluster: Cluster, serve: Any, opened: Any) -> Any:
    url = await serve(cluster.answer)

    def open_one(**config: Any) -> Any:
        settings = {"url": url, "index": "flights-%Y.%m.%d", "allow_private_network": True, **config}
        return opened(elasticsearch, **settings)

    return open_one


async def test_documents_are_created_under_their_position_in_the_index_of_their_ingest_date(
    cluster: Cluster, sink: Any, stage: Any
) -> None:
    far = sink()
    published = await far.publish(stage.roll(far, ROWS[:2]), stage.folder)
    assert cluster.indices == {"flights-2026.01.01": {f"{STREAM}:0:100": ROWS[0], f"{STREAM}:0:101": ROWS[1]}}
    assert published.rows_written == 2
    assert published.refused == ()


async def test_rows_of_one_record_have_ids_of_their_own(cluster: Cluster, sink: Any, stage: Any) -> None:
    far = sink()
    await far.publish(stage.roll(far, ROWS[:3], offsets=[7, 7, 8]), stage.folder)
    assert list(cluster.indices["flights-2026.01.01"]) == [f"{STREAM}:0:7", f"{STREAM}:0:7:1", f"{STREAM}:0:8"]


async def test_what_a_crash_left_is_sent_again_and_every_row_is_there_once(
    cluster: Cluster, sink: Any, stage: Any
) -> None:
    far = sink()
    roll = stage.roll(far, ROWS)
    await far.publish(roll, stage.folder)
    (stage.folder / PROGRESS).unlink()  # the crash was before anything was noted
    published = await sink().publish(roll, stage.folder)
    assert len(cluster.requests) == 2
    assert sorted(d["distance"] for d in cluster.documents) == [row["distance"] for row in ROWS]
    assert published.rows_written == len(ROWS)


async def test_random_ids_leave_rows_twice(
    cluster: Cluster, sink: Any, stage: Any, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: with ids that are not the position the same steps duplicate."""
    monkeypatch.setattr(StagedRow, "id_in", lambda _row, _stream_id: host.new_id())
    far = sink()
    roll = stage.roll(far, ROWS)
    await far.publish(roll, stage.folder)
    (stage.folder / PROGRESS).unlink()
    await sink().publish(roll, stage.folder)
    assert len(cluster.documents) == 2 * len(ROWS)


async def test_only_documents_that_were_too_many_are_sent_again(
    cluster: Cluster, sink: Any, stage: Any, host: Any
) -> None:
    cluster.busy_once = {f"{STREAM}:0:101", f"{STREAM}:0:104"}
    far = sink()
    await far.publish(stage.roll(far, ROWS), stage.folder)
    assert cluster.requests[1][1] == [f"{STREAM}:0:101", f"{STREAM}:0:104"]
    assert len(cluster.documents) == len(ROWS)
    assert host.slept == [elasticsearch.ITEM_WAIT_SECONDS]


async def test_documents_that_stay_too_many_wait_for_a_later_try(cluster: Cluster, sink: Any, stage: Any) -> None:
    cluster.item_error = (429, "es_rejected_execution_exception")
    far = sink()
    roll = stage.roll(far, ROWS)
    with pytest.raises(
        SinkUnavailableError, match="did not take 6 documents in 5 tries: es_rejected_execution_exception"
    ):
        await far.publish(roll, stage.folder)
    cluster.item_error = None
    assert (await far.publish(roll, stage.folder)).rows_written == len(ROWS)


async def test_a_document_the_mapping_refuses_is_a_dead_letter_without_its_value(
    cluster: Cluster, sink: Any, stage: Any
) -> None:
    cluster.bad = {f"{STREAM}:0:102"}
    far = sink()
    published = await far.publish(stage.roll(far, ROWS), stage.folder)
    (refused,) = published.refused
    assert (refused.partition, refused.offset, refused.kind) == (0, 102, "document_parsing_exception")
    assert refused.message == "document_parsing_exception at field distance"
    assert json.loads(refused.row) == ROWS[2]
    assert published.rows_written == 5


async def test_refused_documents_survive_a_crash_behind_their_chunk(cluster: Cluster, sink: Any, stage: Any) -> None:
    cluster.bad = {f"{STREAM}:0:100"}
    cluster.busy_once = set()
    far = sink(chunk_bytes=1)
    roll = stage.roll(far, ROWS)
    sent: list[int] = []

    async def fail_in_third(*args: Any) -> Any:
        sent.append(1)
        if len(sent) == 3:
            raise KeyboardInterrupt
        return await post(*args)

    post = far._target.post
    far._target.post = fail_in_third
    with pytest.raises(KeyboardInterrupt):
        await far.publish(roll, stage.folder)
    published = await sink(chunk_bytes=1).publish(roll, stage.folder)
    assert [r.offset for r in published.refused] == [100]
    assert len(cluster.requests) == len(ROWS), "no chunk that was noted is sent again"


async def test_a_request_that_is_too_large_goes_in_halves(cluster: Cluster, sink: Any, stage: Any) -> None:
    cluster.bytes_max = 400
    far = sink(gzip=False)
    published = await far.publish(stage.roll(far, [*ROWS, {"carrier": "x" * 500, "distance": 1}]), stage.folder)
    assert [r.offset for r in published.refused] == [106]
    assert published.refused[0].kind == "request_too_large"
    assert len(cluster.documents) == len(ROWS)


async def test_a_data_stream_gets_the_ingest_time(cluster: Cluster, sink: Any, stage: Any) -> None:
    far = sink(index="flights", timestamp=True)
    await far.publish(stage.roll(far, ROWS[:2]), stage.folder)
    assert [d["@timestamp"] for d in cluster.documents] == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]


@pytest.mark.parametrize(
    ("config", "sent"),
    [({"api_key": "a2V5"}, "ApiKey a2V5"), ({"username": "u", "password": "p"}, "Basic dTpw")],
    ids=["api key", "basic"],
)
async def test_credentials_are_sent(cluster: Cluster, sink: Any, stage: Any, config: dict[str, str], sent: str) -> None:
    cluster.authorization = sent
    far = sink(**config)
    assert (await far.publish(stage.roll(far, ROWS), stage.folder)).rows_written == len(ROWS)


async def test_expired_credentials_need_a_person(cluster: Cluster, sink: Any, stage: Any) -> None:
    cluster.authorization = "ApiKey new"
    far = sink(api_key="old")
    with pytest.raises(SinkMisconfiguredError, match=r"answered 401: .*security_exception.* Check the sink's cred"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ((404, "index_not_found_exception"), SinkMisconfiguredError),
        ((403, "security_exception"), SinkMisconfiguredError),
        ((400, "validation_exception"), SinkMisconfiguredError),
        ((403, "cluster_block_exception"), SinkUnavailableError),
        ((503, "unavailable_shards_exception"), SinkUnavailableError),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
async def test_items_about_the_index_stop_the_sink(
    cluster: Cluster, sink: Any, stage: Any, item: tuple[int, str], error: type[Exception]
) -> None:
    cluster.item_error = item
    far = sink()
    with pytest.raises(error):
        await far.publish(stage.roll(far, ROWS), stage.folder)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_cluster_is_tried_again(cluster: Cluster, sink: Any, stage: Any, status: int) -> None:
    cluster.status = status
    far = sink()
    with pytest.raises(SinkUnavailableError, match=f"answered {status}"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_a_server_that_is_no_cluster_is_named(serve: Any, opened: Any, stage: Any) -> None:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    far = opened(elasticsearch, url=await serve(hello), index="x", allow_private_network=True)
    with pytest.raises(SinkMisconfiguredError, match="did not answer as Elasticsearch's _bulk does: 'hello'"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_a_roll_without_rows_sends_nothing(cluster: Cluster, sink: Any, stage: Any) -> None:
    far = sink()
    roll = replace(stage.roll(far, ROWS[:1]), files=())
    assert (await far.publish(roll, stage.folder)).rows_written == 0
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"url": "ftp://x"}, "must begin with http"),
        ({"url": "http://u:p@x"}, "must not hold a user name"),
        ({"api_key": "k", "username": "u", "password": "p"}, "leave one of them out"),
        ({"username": "u"}, "go together"),
    ],
    ids=["scheme", "userinfo", "two ways", "half a pair"],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        elasticsearch.Config(**{"url": "https://x", "index": "i", **config})  # type: ignore[arg-type]  # wrong on purpose
