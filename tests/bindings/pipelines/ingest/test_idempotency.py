"""Idempotency-Key: written once, answered the same, whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.ingest import idempotency
from edge.bindings.pipelines.stream_log.partition import PartitionLog
from edge.runtime.core.errors import BackendError

from .conftest import FLIGHT, stream_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from .conftest import Answer, Ingest

SENDER = Path(__file__).with_name("keyed_sender.py")
ROWS = [{"carrier": "UA"}, {"carrier": "B6"}]


async def post(ingest: Ingest, key: str, rows: list[Any] = ROWS, stream: str = "flights") -> Answer:
    return await ingest.post(rows, stream, idempotency_key=key)


async def test_a_repeat_is_answered_as_the_first_and_written_once(ingest: Ingest) -> None:
    answers = [await post(ingest, "one"), await post(ingest, "one"), await post(ingest, "one", [{"other": 1}])]
    assert {(answer.status, answer.json["result"]["committed"]) for answer in answers} == {(200, 2)}
    assert await ingest.kept() == ROWS


async def test_a_repeat_says_again_how_many_will_be_dropped(ingest: Ingest) -> None:
    for _ in range(2):
        answer = await post(ingest, "one", [{"carrier": "UA"}, {}], "typed")
        assert answer.headers["edge-dropped"] == "1"
    assert len(await ingest.kept("typed")) == 2


async def test_keys_belong_to_their_stream_and_their_door(ingest: Ingest) -> None:
    event = {"timestamp": "2026-01-01T00:00:00Z", "source": "s", "event": {}}
    token = f"Bearer {ingest.tokens.create('Workers Pipeline Send')}"
    await post(ingest, "one")
    await post(ingest, "one", ROWS, "typed")
    answer = await ingest.ask(
        "http://api.localhost/v1/streams/ingest",
        json.dumps(event).encode(),
        authorization=token,
        content_type="application/json",
        x_stream_id="flights",
        idempotency_key="one",
    )
    assert answer.json["ingested_bytes"] == len(json.dumps(event))
    assert (len(await ingest.kept()), len(await ingest.kept("typed"))) == (3, 2)


async def test_duplicates_at_the_same_time_wait_for_the_first(ingest: Ingest) -> None:
    answers = await asyncio.gather(*(post(ingest, f"k{number % 3}") for number in range(30)))
    assert {answer.json["result"]["committed"] for answer in answers} == {2}
    assert len(await ingest.kept()) == 3 * 2


async def test_a_request_that_failed_leaves_its_key_free(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise BackendError("the disk failed")

    monkeypatch.setattr(PartitionLog, "append", failing)
    assert (await post(ingest, "one")).status == 503
    monkeypatch.undo()
    assert (await post(ingest, "one")).json["result"]["committed"] == 2
    assert (await ingest.post(b"[", idempotency_key="two")).status == 400
    assert (await post(ingest, "two")).status == 200


async def test_a_client_that_leaves_does_not_break_its_key(ingest: Ingest) -> None:
    await post(ingest, "warm up")
    asking = asyncio.ensure_future(post(ingest, "one"))
    await asyncio.sleep(0)
    asking.cancel()
    assert (await post(ingest, "one")).status == 200
    assert await ingest.kept() == ROWS * 2


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9", "a\x7fb"])
async def test_a_key_that_cannot_be_one_is_400(ingest: Ingest, key: str) -> None:
    answer = await post(ingest, key)
    assert (answer.status, answer.json["error"]["message"]) == (
        400,
        "Idempotency-Key must be 1 to 255 printable ASCII characters.",
    )


async def test_a_key_is_forgotten_after_a_day(ingest: Ingest) -> None:
    await post(ingest, "one")
    await ingest.host.advance(idempotency.WINDOW_SECONDS - 1)
    await post(ingest, "one")
    assert len(await ingest.kept()) == 2
    await ingest.host.advance(2)
    await post(ingest, "one")
    assert len(await ingest.kept()) == 4


async def test_the_oldest_keys_go_beyond_the_limit(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "KEYS_MAX", 3)
    monkeypatch.setattr(idempotency, "PRUNE_EVERY", 5)
    for number in range(5):
        await post(ingest, f"k{number}")
    assert len(await ingest.kept()) == 10
    await post(ingest, "k4")
    assert len(await ingest.kept()) == 10, "remembered"
    await post(ingest, "k0")
    assert len(await ingest.kept()) == 12, "forgotten"


async def test_keys_outlive_a_restart(open_ingest: Callable[..., Any]) -> None:
    for _ in range(2):
        async with open_ingest(stream_object()) as ingest:
            assert (await post(ingest, "one")).json["result"]["committed"] == 2
            assert await ingest.kept() == ROWS


async def test_a_lost_table_is_made_again_from_the_log(open_ingest: Callable[..., Any], tmp_path: Path) -> None:
    async with open_ingest(stream_object()) as ingest:
        await post(ingest, "one")
    for path in (tmp_path / "pipelines").glob(f"{idempotency.FILE_NAME}*"):
        path.unlink()
    async with open_ingest(stream_object()) as ingest:
        assert (await post(ingest, "one", [{}])).json["result"]["committed"] == 2
        assert await ingest.kept() == ROWS


async def test_two_processes_share_their_keys(open_ingest: Callable[..., Any]) -> None:
    async with open_ingest(stream_object()) as first, open_ingest(stream_object(), process_slot=1) as second:
        assert (await post(first, "one")).status == 200
        assert (await post(second, "one", [{}])).json["result"]["committed"] == 2
        moving = [asyncio.create_task(moved(one, turns=sys.maxsize)) for one in (first, second)]
        answers = await asyncio.gather(*(post(one, "two") for one in (first, second) * 5))
        for one in moving:
            one.cancel()
        assert {answer.status for answer in answers} == {200}
        assert len(await first.kept()) == 4


async def moved(ingest: Ingest, *, turns: int = 100) -> None:
    """Let those who wait for another process ask again."""
    for _ in range(turns):
        await asyncio.to_thread(lambda: None)
        await ingest.host.advance(idempotency.POLL_SECONDS)


@asynccontextmanager
async def killed_between(state_dir: Path, point: str) -> AsyncIterator[None]:
    """A process that died by kill -9 at `point` of a request with the key "one"."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(SENDER), str(state_dir), point, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"at the point\n"
    child.kill()
    await child.wait()
    yield


@pytest.mark.parametrize(
    ("point", "written_count"), [("claimed", 0), ("written", 2), ("noted", 2)], ids=["claimed", "written", "noted"]
)
@pytest.mark.parametrize("slot", [0, 1], ids=["same slot", "another process"])
async def test_kill_at_every_point_leaves_the_key_right(
    open_ingest: Callable[..., Any], tmp_path: Path, point: str, written_count: int, slot: int
) -> None:
    async with (
        killed_between(tmp_path, point),
        open_ingest(stream_object("flights", schema=FLIGHT), process_slot=slot) as ingest,
    ):
        assert len(await ingest.kept()) == written_count
        answer = await post(ingest, "one", [{"carrier": "again"}] * 5)
        assert answer.json["result"]["committed"] == (written_count or 5)
        assert len(await ingest.kept()) == (written_count or 5)


async def test_control_without_reading_the_log_a_killed_request_is_written_twice(
    open_ingest: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_find_answer", lambda *_: None)
    async with killed_between(tmp_path, "written"), open_ingest(stream_object()) as ingest:
        await post(ingest, "one")
        assert len(await ingest.kept()) == 4


async def test_a_living_process_that_hangs_is_waited_for_and_then_503(
    open_ingest: Callable[..., Any], tmp_path: Path
) -> None:
    async with open_ingest(stream_object()) as ingest:
        await post(ingest, "warm up")
        database = idempotency.Database(tmp_path / "pipelines" / idempotency.FILE_NAME, ())
        other = database.connect()
        values = (id_of("stream", "flights"), "ingest", "one", ingest.host.now(), 7, "other", os.getppid(), 0)
        other.execute(
            "INSERT INTO keys (stream_id, source, key, claimed_at, partition, owner, process, from_offset) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        asking = asyncio.ensure_future(post(ingest, "one"))
        while not asking.done():
            await moved(ingest)
        answer = await asking
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        other.execute("UPDATE keys SET committed = 9, dropped_count = 0 WHERE key = 'one'")
        assert (await post(ingest, "one")).json["result"]["committed"] == 9
        other.close()
