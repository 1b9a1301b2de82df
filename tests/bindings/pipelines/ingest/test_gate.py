"""What stands before the log: rates, the backlog, masks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.ingest.backlog import undelivered_bytes
from edge.bindings.pipelines.ingest.gate import Gate
from edge.bindings.pipelines.ingest.intake import Client, client_of
from edge.bindings.pipelines.ingest.rate_limits import RateLimits, TokenBucket
from edge.bindings.pipelines.ingest.refusal import InvalidRecordsError
from edge.bindings.pipelines.processing.declared import EnrichStep, MaskStep, ParseStep
from edge.bindings.pipelines.processing.processor import Processor
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.partition import PartitionLog
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.runtime.core.request import incoming_request
from edge.runtime.testing.fake_host import FakeHost

from .conftest import FLIGHT, stream_object

if TYPE_CHECKING:
    from pathlib import Path

    from edge.bindings.pipelines.objects import StreamObject

RECORD = b'{"n":1,"pad":"' + b"x" * 200 + b'"}\n'


@dataclass
class Unopened:
    """What a gate asks of an open stream."""

    object: StreamObject
    undelivered_bytes: int = 0


def gate_of(known: StreamObject, processor: Processor | None = None) -> Gate:
    return Gate(FakeHost(), Unopened(known), processor)  # type: ignore[arg-type]  # all that a gate looks at


@pytest.mark.parametrize(
    ("per_second", "amount", "taken_count", "then_wait_s"),
    [(10, 1, 10, 0.1), (0.5, 1, 1, 2.0), (1000, 400, 2, 0.2), (1000, 5000, 1, 5.0)],
)
def test_a_second_of_the_rate_is_saved_up(
    per_second: float, amount: float, taken_count: int, then_wait_s: float
) -> None:
    bucket = TokenBucket(per_second)
    for _ in range(taken_count):
        assert bucket.wait_s(amount, 0.0) == 0
        bucket.take(amount)
    assert bucket.wait_s(amount, 0.0) == pytest.approx(then_wait_s)
    assert bucket.wait_s(amount, then_wait_s + 0.001) == 0
    assert bucket.wait_s(amount, -100.0) == 0, "a clock that is set back takes nothing away"


def test_a_request_takes_from_every_limit_or_from_none(tmp_path: Path) -> None:
    limits = RateLimits(tmp_path / "rates" / "flights", (2, None, 100))
    assert limits.take((1, 1e12, 90), 0.0) == 0
    assert limits.take((1, 1, 20), 0.0) == pytest.approx(0.1)
    assert limits.take((1, 1, 10), 0.0) == 0, "the one that was refused took nothing"
    assert limits.take((1, 1, 0), 0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("text", [b"", b"half a st"], ids=["new", "cut short"])
def test_a_limit_that_nothing_is_known_of_is_full(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "flights").write_bytes(text)
    limits = RateLimits(tmp_path / "flights", (2, None))
    assert [limits.take((1, 1), 0.0) > 0 for _ in range(3)] == [False, False, True]


TAKER = """
import sys
from pathlib import Path
from edge.bindings.pipelines.ingest.rate_limits import RateLimits
limits = RateLimits(Path(sys.argv[1]), (100, None))
sys.stdin.readline()
print(sum(limits.take((1, 1), 5.0) == 0 for _ in range(1000)))
"""


def test_processes_share_one_limit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKER, str(tmp_path / "rates" / "flights")]
    takers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write(b"\n")
        taker.stdin.flush()
    assert sum(int(taker.communicate(timeout=60)[0]) for taker in takers) == 100


async def test_the_backlog_counts_what_the_slowest_reader_does_not_have(tmp_path: Path) -> None:
    import asyncio

    folder = StreamFolders(tmp_path).folder("flights")
    for number in (0, 1):
        log = PartitionLog(folder.partition(number), folder.id, number, now=lambda: 0.0, segment_bytes=2000)
        log.open(asyncio.get_running_loop())
        for _ in range(20):
            await log.append(RECORD, 1)
        log.close()
    written = [sum(path.stat().st_size for path in folder.partition(number).glob("*.log")) for number in (0, 1)]
    newest = max(folder.partition(1).glob("*.log")).stat().st_size
    assert undelivered_bytes(folder, 0, 20) == pytest.approx(written[0] + written[1] - newest, abs=200)
    for reader, offset in (("quick", 20), ("slow", 10)):
        for number in (0, 1):
            folder.save_cursor(reader, number, offset, Disk())
    assert undelivered_bytes(folder, 0, 20) == pytest.approx(written[0] / 2 + written[1] / 2 - newest, abs=400)
    for number in (0, 1):
        folder.save_cursor("slow", number, 20, Disk())
    assert undelivered_bytes(folder, 0, 20) == 0


def test_a_mask_before_the_log_hides_the_value_also_from_what_is_refused(tmp_path: Path) -> None:
    mask = MaskStep("mask", detectors=("email",), stage="ingest")
    known = stream_object(schema=FLIGHT, validation="strict")
    processor = Processor([mask], known.name, tmp_path)
    gate = gate_of(known, processor)
    parcel = gate.pass_array(b'[{"carrier":"ann@example.com","distance":1},\n{"carrier":"UA"}]')
    assert (parcel.record_count, parcel.is_lines) == (2, True)
    assert b"ann@" not in parcel.body
    assert parcel.body.endswith(b'{"carrier":"UA"}\n')
    assert b"ann@" not in gate.pass_lines(b'{"carrier":"ann@example.com"}\n', 1).body
    with pytest.raises(InvalidRecordsError):
        gate.pass_array(b'[{"distance":"ann@example.com"}]')


def test_a_gate_without_a_mask_keeps_the_bytes() -> None:
    body: Any = b'[ {"a" : 1} ]'
    assert gate_of(stream_object()).pass_array(body).body is body
    assert stream_object().id == id_of("stream", "flights")


@pytest.mark.parametrize(
    ("facts", "kept"),
    [(("user_agent",), Client("192.0.2.7", "curl/8")), (("ip",), Client("192.0.2.7", "curl/8")), ((), Client())],
)
def test_the_client_is_kept_only_for_a_step_that_wants_it(tmp_path: Path, facts: Any, kept: Client) -> None:
    processor = Processor([EnrichStep("enrich", facts=facts)], "flights", tmp_path)
    headers = [(b"user-agent", b"curl/8")]
    request = incoming_request("POST", "http://localhost/", headers, client_address="192.0.2.7")
    assert client_of(gate_of(stream_object(), processor), request) == kept
    assert client_of(gate_of(stream_object()), request) == Client()


def test_the_schema_judges_records_as_the_steps_leave_them(tmp_path: Path) -> None:
    steps = [ParseStep("parse", "logfmt", "line", remove=True, on_failure="drop")]
    known = stream_object(schema=FLIGHT, validation="strict")
    gate = gate_of(known, Processor(steps, known.name, tmp_path))
    body = b'[{"line":"carrier=UA"},{"line":"carrier=DL"}]'
    parcel = gate.pass_array(body)
    assert parcel.body == b'{"line":"carrier=UA"}\n{"line":"carrier=DL"}\n'
    assert parcel.schema_hash == "", "the records in the log are not the ones that fit"
    with pytest.raises(InvalidRecordsError) as refused:
        gate.pass_array(b'[{"line":5},{"line":"carrier=UA"},{"line":"x=1"}]')
    assert [(error.index, error.kind) for error in refused.value.errors] == [(2, "missing_field")]
