"""D1 over HTTP: kill -9 under load, on real sockets, with a ledger of what was answered."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = Path(__file__).with_name("server_to_kill.py")
CONNECTION_COUNT = 8
EDGE_TOML = "[streams.ledger]\nhttp = { enabled = true, authentication = false }\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "wrangler.toml").write_text(
        'name = "demo"\nmain = "entry.py"\ncompatibility_date = "2026-09-08"\n'
        'compatibility_flags = ["python_workers"]\n'
    )
    (tmp_path / "entry.py").write_text(
        "from workers import Response\n\n\ndef fetch(request):\n    return Response('')\n"
    )
    (tmp_path / "edge.toml").write_text(EDGE_TOML)
    return tmp_path


class Ledger:
    """Numbers to send, and those whose requests were answered 200."""

    def __init__(self, *, is_keyed: bool = False) -> None:
        self.acknowledged: set[int] = set()
        self.is_keyed = is_keyed
        """Send each with an Idempotency-Key, and again after a kill until it is answered."""
        self.is_ending = False
        """Send nothing new."""
        self._numbers = count()
        self._again: list[int] = []

    def next_number(self) -> int | None:
        if self._again:
            return self._again.pop()
        return None if self.is_ending else next(self._numbers)

    def lost_answer(self, number: int) -> None:
        if self.is_keyed:
            self._again.append(number)


async def post_until_it_dies(port: int, ledger: Ledger, enough: asyncio.Event, acks_wanted: int) -> None:
    number = None
    with suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (number := ledger.next_number()) is not None:
                records = [{"n": number}, {"n": number, "pad": "x" * (number % 50 * 10)}]
                body = json.dumps(records, indent=number % 2 or None).encode()
                key = f"Idempotency-Key: {number}\r\n" if ledger.is_keyed else ""
                head = f"POST / HTTP/1.1\r\nHost: ledger.ingest.localhost\r\n{key}Content-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                answer += await reader.readexactly(int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
                assert answer.endswith(b'{"success":true,"result":{"committed":2}}')
                ledger.acknowledged.add(number)
                if len(ledger.acknowledged) >= acks_wanted:
                    enough.set()
        finally:
            writer.close()
            if number is not None and number not in ledger.acknowledged:
                ledger.lost_answer(number)


async def kill_once(project: Path, ledger: Ledger, ack_count: int, *arguments: str) -> None:
    """Run the server under load, kill it once it answered `ack_count` requests more."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), str(project), *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    while b"Ready on" not in (line := await child.stdout.readline()):
        assert line, "the server ended"
    port = int(line.rpartition(b":")[2])
    enough = asyncio.Event()
    wanted = len(ledger.acknowledged) + ack_count
    senders = [asyncio.ensure_future(post_until_it_dies(port, ledger, enough, wanted)) for _ in range(CONNECTION_COUNT)]
    if not ledger.is_ending:
        await enough.wait()
        child.kill()
    await asyncio.gather(*senders)
    if ledger.is_ending:
        child.kill()
    await child.wait()


async def kept(project: Path) -> Counter[int]:
    folders = StreamFolders(project / ".edge" / "state")
    return Counter([json.loads(record.json)["n"] async for record in folders.tail("ledger", follow=False)])


def ack_counts(kill_count: int) -> Iterator[int]:
    chance = random.Random(kill_count)
    return (chance.randint(1, 400) for _ in range(kill_count))


async def require_nothing_lost(project: Path, kill_count: int) -> None:
    ledger = Ledger()
    for ack_count in ack_counts(kill_count):
        await kill_once(project, ledger, ack_count)
    counts = await kept(project)
    assert ledger.acknowledged - set(counts) == set(), "answered and lost"
    assert {number for number, times in counts.items() if times != 2} == set(), "half a request, or one kept twice"


async def require_each_exactly_once(project: Path, kill_count: int) -> None:
    ledger = Ledger(is_keyed=True)
    for ack_count in ack_counts(kill_count):
        await kill_once(project, ledger, ack_count)
    ledger.is_ending = True
    await kill_once(project, ledger, 0)
    counts = await kept(project)
    assert ledger.acknowledged - set(counts) == set(), "answered and lost"
    assert {number for number, times in counts.items() if times != 2} == set(), "half a request, or one kept twice"


async def test_ten_kills_lose_nothing_that_was_answered(project: Path) -> None:
    await require_nothing_lost(project, 10)


async def test_with_keys_what_is_sent_again_after_a_kill_is_kept_once(project: Path) -> None:
    await require_each_exactly_once(project, 4)


@pytest.mark.slow
async def test_two_hundred_kills_lose_nothing_that_was_answered(project: Path) -> None:
    await require_nothing_lost(project, 200)


@pytest.mark.slow
async def test_fifty_kills_with_keys_keep_everything_once(project: Path) -> None:
    await require_each_exactly_once(project, 50)


async def test_control_answering_before_the_write_loses_records(project: Path) -> None:
    ledger = Ledger()
    for _ in range(3):
        await kill_once(project, ledger, 50, "early")
    assert ledger.acknowledged - set(await kept(project))
