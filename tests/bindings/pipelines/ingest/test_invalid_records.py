"""The five rows of spec "Pipelines" 1.4, over HTTP and through `send`, and what a strict stream says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.ingest.gate import WARNING_SECONDS
from edge.bindings.pipelines.stream_log.frame_extra import parse_frame_extra, schema_hash
from edge.bindings.pipelines.stream_log.reader import PartitionReader
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.runtime.core.errors import BindingError

from .conftest import FLIGHT, stream_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Ingest

GOOD = {"carrier": "UA", "distance": 1}
ROWS: list[tuple[str, Any, str | None, str]] = [
    ("valid", GOOD, None, ""),
    ("required field missing", {"distance": 1}, "missing_field", "$.carrier"),
    ("required field null", {"carrier": None}, "null_value", "$.carrier"),
    ("wrong type", {"carrier": "UA", "distance": "far"}, "type_mismatch", "$.distance"),
    ("unknown extra field", {**GOOD, "extra": 1}, None, ""),
]
BY_NAME = [pytest.param(*row[1:], id=row[0]) for row in ROWS]


@pytest.mark.parametrize(("record", "kind", "path"), BY_NAME)
async def test_every_row_is_committed_and_a_bad_one_is_counted(
    ingest: Ingest, record: Any, kind: str | None, path: str
) -> None:
    answer = await ingest.post([GOOD, record], "typed")
    assert answer.status == 200
    assert answer.json == {"success": True, "result": {"committed": 2}}
    assert answer.headers.get("edge-dropped") == ("1" if kind else None)
    assert await ingest.kept("typed") == [GOOD, record], "what is dropped later is in the log until then"
    warned = [(event, values.get("kind"), values["path"]) for event, values in ingest.warnings()]
    if kind:
        assert warned == [("records_do_not_fit", kind, path)]
    elif record != GOOD:
        assert warned == [("unknown_field_stripped", None, "$.extra")]
    else:
        assert warned == []


async def test_malformed_json_is_400_with_code_1003(ingest: Ingest) -> None:
    for stream in ("flights", "typed", "strict"):
        answer = await ingest.post(b'[{"carrier":"UA"', stream)
        assert (answer.status, answer.json["error"]["code"]) == (400, 1003)


@pytest.mark.parametrize(("record", "kind", "path"), BY_NAME)
async def test_a_strict_stream_refuses_all_and_says_which(
    ingest: Ingest, record: Any, kind: str | None, path: str
) -> None:
    answer = await ingest.post([GOOD, record], "strict")
    if kind is None:
        assert answer.status == 200
        return
    assert answer.status == 400
    assert answer.json["error"]["code"] == 1009
    assert answer.json["error"]["records"] == [{"index": 1, "kind": kind, "path": path}]
    assert answer.json["error"]["message"].startswith(
        f"Nothing was written: record 1 does not fit the stream's schema at {path} ({kind}: "
    )
    assert await ingest.kept("strict") == []


@pytest.mark.parametrize("validation", ["cloudflare", "strict"])
@pytest.mark.parametrize(("record", "kind", "path"), BY_NAME)
async def test_send_does_the_same(
    open_ingest: Callable[..., Any], validation: Any, record: Any, kind: str | None, path: str
) -> None:
    async with open_ingest(stream_object("typed", schema=FLIGHT, validation=validation)) as ingest:
        if kind and validation == "strict":
            with pytest.raises(BindingError, match=f"record 1 does not fit the stream's schema at .{path[1:]}") as no:
                await ingest.bound().send([GOOD, record])
            assert no.value.http_status == 400
            assert await ingest.kept("typed") == []
        else:
            await ingest.bound().send([GOOD, record])
            assert await ingest.kept("typed") == [GOOD, record]
            assert len([1 for event, _ in ingest.warnings() if event == "records_do_not_fit"]) == bool(kind)


async def test_one_warning_a_minute_for_each_reason(ingest: Ingest) -> None:
    for _ in range(3):
        await ingest.post([{"carrier": 1}, {"carrier": 2}, {}], "typed")
    told = [(values["kind"], values["record_count"]) for _, values in ingest.warnings()]
    assert told == [("type_mismatch", 2), ("missing_field", 1)]
    await ingest.host.advance(WARNING_SECONDS)
    await ingest.post([{"carrier": 1}], "typed")
    assert len(ingest.warnings()) == 3


async def test_a_frame_that_passed_whole_says_so(ingest: Ingest) -> None:
    await ingest.post([GOOD], "typed")
    await ingest.post([GOOD, {}], "typed")
    await ingest.post([GOOD], "flights")
    partition = StreamFolders(ingest.state_dir).folder("typed").partition(0)
    extras = [parse_frame_extra(frame.extra) for frame in PartitionReader(partition).frames()]
    assert [(one.schema_hash, one.dropped_count, one.source) for one in extras] == [
        (schema_hash(FLIGHT), 0, "ingest"),
        ("", 1, "ingest"),
    ]
    partition = StreamFolders(ingest.state_dir).folder("flights").partition(0)
    [frame] = PartitionReader(partition).frames()
    assert parse_frame_extra(frame.extra).schema_hash == ""


async def test_a_stream_can_refuse_unknown_fields_and_bindings(open_ingest: Callable[..., Any]) -> None:
    known = stream_object("typed", schema=FLIGHT, extra_fields="reject", validation="strict", worker_binding=False)
    async with open_ingest(known) as ingest:
        answer = await ingest.post([{**GOOD, "extra": 1}], "typed")
        assert answer.json["error"]["records"] == [{"index": 0, "kind": "unknown_field", "path": "$.extra"}]
        with pytest.raises(Exception, match="takes no records from bindings") as refusal:
            await ingest.bound().send([GOOD])
        assert refusal.value.http_status == 403
