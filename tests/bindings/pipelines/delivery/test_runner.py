"""The runner in this process: what starts, stops, fails and heals, on real logs, files and SQLite."""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.admin import PipelinesAdmin
from edge.bindings.pipelines.catalogue import TableNames
from edge.bindings.pipelines.delivery import opening
from edge.bindings.pipelines.delivery.columns import StreamColumns
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import Replay, SinkObject
from edge.bindings.pipelines.sinks.local_folder import LocalSink
from edge.bindings.pipelines.sinks.sink import Published, Refused, Roll, SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import local
from edge.bindings.pipelines.sql import engine
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.segments import SegmentHeader, segment_path

from .place import Place, numbered, open_place, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_new_pipeline_starts_at_the_oldest_record(place: Place) -> None:
    await place.send("raw", *numbered(1, 2))
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    async with place.running():
        await until(lambda: place.numbers("out") == [1, 2])
        await place.send("raw", *numbered(3))
        await until(lambda: place.numbers("out") == [1, 2, 3])
    assert place.is_balanced()


async def test_a_pipeline_made_while_running_is_started(place: Place) -> None:
    async with place.running():
        await place.send("raw", *numbered(1))
        place.add_sink("out")
        place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
        await until(lambda: place.numbers("out") == [1])


async def test_shutdown_delivers_what_is_there(place: Place) -> None:
    place.add_sink("out", interval_s=3600.0)
    place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    async with place.running():
        await place.send("raw", *numbered(1, 2))
        await until(lambda: place.inserts() and place.inserts()[0].progress)
        assert place.numbers("out") == []
    assert place.numbers("out") == [1, 2]


async def test_files_are_rolled_by_size_and_by_inactivity(place: Place) -> None:
    place.add_sink("large", interval_s=3600.0, file_size_bytes=100)
    place.add_sink("quiet", interval_s=3600.0, inactivity_seconds=0.05)
    sql = "INSERT INTO large SELECT * FROM raw; INSERT INTO quiet SELECT * FROM raw"
    place.add_pipeline(sql, ("raw",), ("large", "quiet"))
    async with place.running():
        await place.send("raw", *numbered(*range(50)))
        await until(lambda: len(place.numbers("large")) == len(place.numbers("quiet")) == 50)


async def test_an_edited_pipeline_goes_on_where_the_old_one_was(place: Place) -> None:
    place.add_sink("out")
    place.add_sink("other")
    old = place.add_pipeline("INSERT INTO out SELECT n FROM typed", ("typed",), ("out",))
    async with place.running():
        await place.send("typed", *numbered(1, 2))
        await until(lambda: place.numbers("out") == [1, 2])
        sql = "INSERT INTO out SELECT n + 10 AS n FROM typed; INSERT INTO other SELECT n FROM typed"
        place.catalogue.change_pipeline(replace(old, sql=sql, version=2), TableNames(("typed",), ("out", "other")))
        await until(lambda: len(place.inserts()) == 2)
        await place.send("typed", *numbered(3))
        await until(lambda: place.numbers("out") == [1, 2, 13] and place.numbers("other") == [3])


@pytest.mark.parametrize("form", ["json", "parquet"])
async def test_sql_edited_away_from_a_sink_and_back_leaves_each_record_where_it_went(place: Place, form: str) -> None:
    place.add_sink("out", form)
    place.add_sink("other", form)
    first = place.add_pipeline("INSERT INTO out SELECT n FROM typed", ("typed",), ("out",))

    async def edit(version: int, sink: str) -> None:
        sql = f"INSERT INTO {sink} SELECT n FROM typed"
        place.catalogue.change_pipeline(replace(first, sql=sql, version=version), TableNames(("typed",), (sink,)))
        await until(lambda: [one.key.sink_id for one in place.inserts()] == [id_of("sink", sink)])

    async with place.running():
        await place.send("typed", *numbered(1, 2))
        await until(lambda: place.numbers("out") == [1, 2])
        await edit(2, "other")
        await place.send("typed", *numbered(3))
        await until(lambda: place.numbers("other") == [3])
        await edit(3, "out")
        await place.send("typed", *numbered(4))
        await until(lambda: 4 in place.numbers("out"))
    assert (place.numbers("out"), place.numbers("other")) == ([1, 2, 4], [3])


async def test_a_renamed_pipeline_goes_on_where_it_was_and_alone(place: Place) -> None:
    place.add_sink("out")
    old = place.add_pipeline("INSERT INTO out SELECT n FROM typed", ("typed",), ("out",))
    async with place.running():
        await place.send("typed", *numbered(1, 2))
        await until(lambda: place.numbers("out") == [1, 2])
        new = replace(old, id=id_of("pipeline", "p2"), name="p2", lineage=old.id)
        place.catalogue.rename_pipeline(old.id, new, TableNames(("typed",), ("out",)))
        await until(lambda: [one.key.pipeline_id for one in place.inserts()] == [new.id])
        await place.send("typed", *numbered(3))
        await until(lambda: 3 in place.numbers("out"))
    assert place.numbers("out") == [1, 2, 3]
    assert place.is_balanced()


REPLAYS = {
    "an offset": (Replay(1.0, from_offset=2), [1, 2, 3, 3, 4, 4]),
    "all": (Replay(1.0, from_offset=0), [1, 1, 2, 2, 3, 3, 4, 4]),
    "an offset that is to come": (Replay(1.0, from_offset=99), [1, 2, 3, 4]),
    "a time": (Replay(1.0, from_time=1.0), [1, 1, 2, 2, 3, 3, 4, 4]),
    "a time that is to come": (Replay(1.0, from_time=4e9), [1, 2, 3, 4]),
}


@pytest.mark.parametrize(("asked", "delivered"), REPLAYS.values(), ids=REPLAYS)
async def test_a_replay_delivers_again_and_skips_nothing(place: Place, asked: Replay, delivered: list[int]) -> None:
    place.add_sink("out")
    pipeline = place.add_pipeline("INSERT INTO out SELECT n FROM typed", ("typed",), ("out",))
    async with place.running():
        await place.send("typed", *numbered(1, 2, 3, 4))
        await until(lambda: place.numbers("out") == [1, 2, 3, 4])
        place.catalogue.change_pipeline(replace(pipeline, replay=asked), TableNames(("typed",), ("out",)))
        await until(lambda: place.numbers("out") == delivered)
        await place.send("typed", *numbered(5))
        await until(lambda: place.numbers("out") == [*delivered, 5])
    async with place.running():
        await place.send("typed", *numbered(6))
        await until(lambda: 6 in place.numbers("out"))
    assert place.numbers("out") == [*delivered, 5, 6], "once, whatever starts later"
    assert place.is_balanced()


async def test_a_stream_made_again_while_nothing_ran_is_delivered_from_its_first_record(place: Place) -> None:
    sql, tables = "INSERT INTO out SELECT * FROM raw", (("raw",), ("out",))
    place.add_sink("out")
    place.add_pipeline(sql, *tables)
    async with place.running():
        await place.send("raw", *numbered(1, 2))
        await until(lambda: place.numbers("out") == [1, 2])
    await place.streams.__aexit__()
    admin = PipelinesAdmin(place.state_dir, place.catalogue, place.folders)
    assert admin.delete_stream(id_of("stream", "raw"), force=True)
    admin.create_stream("raw", 5.0)
    place.add_pipeline(sql, *tables)
    await place.send("raw", *numbered(3))
    async with place.running():
        await until(lambda: 3 in place.numbers("out"))
    assert place.numbers("out") == [1, 2, 3]


async def test_a_pipeline_made_again_after_the_log_was_trimmed_starts_at_what_is_there(place: Place) -> None:
    sql, tables = "INSERT INTO out SELECT * FROM raw", (("raw",), ("out",))
    place.add_sink("out")
    pipeline = place.add_pipeline(sql, *tables)
    folder = place.folders.folder("raw")
    async with place.running():
        await place.send("raw", *numbered(1))
        await until(lambda: place.numbers("out") == [1])
        stream = (await place.streams.require("raw")).log
        assert stream.deliver() == 0
        place.catalogue.delete_pipeline(pipeline.id)
        await until(lambda: not place.inserts())
        await place.send("raw", *numbered(2))
        assert stream.deliver() == 1
    await place.streams.__aexit__()
    segment_path(folder.partition(0), 0).unlink()  # as trimming leaves it, once a segment is full
    segment_path(folder.partition(0), 2).write_bytes(SegmentHeader(folder.id, 0, 2).encode())
    place.add_pipeline(sql, *tables)
    async with place.running():
        await until(lambda: place.inserts() and place.inserts()[0].progress)
        await place.send("raw", *numbered(3))
        await until(lambda: 3 in place.numbers("out"))
    assert place.numbers("out") == [1, 3], "record 2 went out as a file"


async def test_a_clock_that_is_set_back_holds_no_roll_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add_sink("out", interval_s=1.5)
    place.add_pipeline("INSERT INTO out SELECT n FROM typed", ("typed",), ("out",))
    now = place.host.now
    async with place.running():
        await place.send("typed", *numbered(1))
        await until(lambda: place.inserts() and place.inserts()[0].progress)
        monkeypatch.setattr(place.host, "now", lambda: now() - 3600)
        await place.send("typed", *numbered(2))
        await until(lambda: place.numbers("out") == [1, 2])


async def test_a_removed_pipeline_lets_go_of_the_log_and_files_go_on_behind_it(place: Place) -> None:
    place.add_sink("out")
    pipeline = place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    folder = place.folders.folder("raw")
    async with place.running():
        await place.send("raw", *numbered(1, 2))
        await until(lambda: place.numbers("out") == [1, 2])
        stream = (await place.streams.require("raw")).log
        assert stream.deliver() == 0, "nothing goes out as files meanwhile"
        await until(lambda: folder.load_cursors(0) and min(folder.load_cursors(0).values()) == 2)
        place.catalogue.delete_pipeline(pipeline.id)
        await until(lambda: not place.inserts())
        assert folder.load_cursors(0) == {"files": 2}
        await place.send("raw", *numbered(3))
        assert stream.deliver() == 1


async def test_a_pipeline_that_was_deleted_while_nothing_ran_lets_go_of_the_log(place: Place) -> None:
    place.catalogue.delete_stream(id_of("stream", "typed"))  # its check would be something to run
    place.add_sink("out")
    pipeline = place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    async with place.running():
        await place.send("raw", *numbered(1))
        await until(lambda: [one.committed for state in place.inserts() for one in state.progress.values()] == [1])
    place.catalogue.delete_pipeline(pipeline.id)
    await place.send("raw", *numbered(2))
    stream = (await place.streams.require("raw")).log
    assert stream.deliver() == 0, "nothing goes out as files yet"
    async with place.running():
        await until(lambda: not place.inserts())
    assert stream.deliver() == 1, "what the pipeline did not deliver goes out now"


async def test_a_record_that_does_not_fit_is_one_dead_letter_for_all_inserts(place: Place) -> None:
    place.add_sink("a")
    place.add_sink("b", "parquet")
    sql = "INSERT INTO a SELECT n FROM typed; INSERT INTO b SELECT n FROM typed WHERE 10 / n > 1"
    place.add_pipeline(sql, ("typed",), ("a", "b"))
    async with place.running():
        await place.send("typed", {"n": 1}, {"n": "x"}, {"n": 0}, {"n": 20}, {"name": "y"})
        await until(lambda: place.numbers("a") == [0, 1, 20] and place.numbers("b") == [1])
        await until(lambda: place.letters.count(id_of("stream", "typed")) == 3)
    letters = place.letters.list(id_of("stream", "typed"))
    assert Counter((one.offset, one.family, one.kind) for one in letters) == {
        (1, "deserialization", "type_mismatch"): 1,
        (4, "deserialization", "missing_field"): 1,
        (2, "execution", "runtime_error"): 1,
    }
    assert {one.record for one in letters} == {b'{"n": "x"}', b'{"name": "y"}', b'{"n": 0}'}
    tallies = {one.key.position: one.progress[0].tally for one in place.inserts()}
    assert [(t.delivered, t.filtered, t.dead) for _, t in sorted(tallies.items())] == [(3, 0, 2), (1, 1, 3)]
    assert place.is_balanced()


async def test_bad_records_of_a_stream_nobody_reads_are_dead_letters_too(place: Place) -> None:
    async with place.running():
        await place.send("typed", {"n": 1}, {"n": None})
        await until(lambda: place.letters.count(id_of("stream", "typed")) == 1)
        assert (await place.streams.require("typed")).log.deliver() == 2, "and it goes out as files as before"


async def test_unnest_makes_rows_and_counts_records(place: Place) -> None:
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT unnest([n, n + 100]) AS n FROM typed", ("typed",), ("out",))
    async with place.running():
        await place.send("typed", *numbered(1, 2))
        await until(lambda: place.numbers("out") == [1, 2, 101, 102])
    (state,) = place.inserts()
    assert state.progress[0].tally.delivered == 2
    assert state.counters["recordsWritten"] == 4


async def test_records_of_which_sql_makes_very_much_go_out_in_parts(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TOGETHER_BYTES_MAX", 3_000_000)
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT n, repeat('x', 1000000) AS x FROM typed", ("typed",), ("out",))
    await place.send("typed", *numbered(*range(20)))
    async with place.running():
        await until(lambda: place.numbers("out") == [*range(20)])
    assert place.is_balanced()


async def test_on_error_fail_stops_the_pipeline_until_its_sql_is_mended(place: Place) -> None:
    place.add_sink("out")
    old = place.add_pipeline("INSERT INTO out SELECT 10 / n AS n FROM typed", ("typed",), ("out",), on_error="fail")
    async with place.running():
        await place.send("typed", *numbered(5, 0, 2))
        await until(lambda: "The SQL fails on the record at partition 0, offset 1" in place.failure())
        assert place.numbers("out") == []
        sql = "INSERT INTO out SELECT n FROM typed"
        place.catalogue.change_pipeline(replace(old, sql=sql), TableNames(("typed",), ("out",)))
        await until(lambda: place.numbers("out") == [0, 2, 5])
        assert place.failure() == ""


@pytest.mark.parametrize(
    ("form", "sql"),
    [
        ("json", "to_timestamp_seconds(n)"),
        ("json", "arrow_cast(n, 'Time64(Nanosecond)')"),
        ("parquet", "to_timestamp_seconds(n)"),
        ("parquet", "make_array(struct(to_timestamp_seconds(n)))"),
    ],
)
async def test_a_moment_that_no_sink_can_write_is_a_dead_letter(place: Place, form: str, sql: str) -> None:
    place.add_sink("out", form)
    place.add_pipeline(f"INSERT INTO out SELECT n, {sql} AS x FROM typed", ("typed",), ("out",))
    async with place.running():
        await place.send("typed", *numbered(1, 2**50, -(2**62), 2))
        await until(lambda: place.numbers("out") == [1, 2])
    letters = place.letters.list(id_of("stream", "typed"))
    assert [(one.offset, one.family) for one in letters] == [(1, "execution"), (2, "execution")]
    assert place.is_balanced()


async def test_a_record_with_one_row_that_no_sink_can_write_is_dead_as_a_whole(place: Place) -> None:
    place.add_sink("out")
    sql = "INSERT INTO out SELECT n, to_timestamp_seconds(unnest([n, n * 1000000])) AS x FROM typed"
    place.add_pipeline(sql, ("typed",), ("out",))
    async with place.running():
        await place.send("typed", *numbered(2**30, 1))
        await until(lambda: place.numbers("out") == [1, 1])
    assert [one.offset for one in place.letters.list(id_of("stream", "typed"))] == [0]
    assert place.is_balanced()


async def test_sql_that_does_not_plan_is_shown(place: Place) -> None:
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT nothing FROM typed", ("typed",), ("out",))
    async with place.running():
        await until(lambda: "nothing" in place.failure())


async def test_inserts_at_the_same_place_build_columns_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[int, int]] = []
    original = StreamColumns._built

    def counting(self: StreamColumns, chunk: Any) -> Any:
        built.append((chunk.partition, chunk.since))
        return original(self, chunk)

    monkeypatch.setattr(StreamColumns, "_built", counting)
    for name in ("a", "b", "c"):
        place.add_sink(name)
    sql = "; ".join(f"INSERT INTO {name} SELECT n FROM typed" for name in ("a", "b", "c"))
    await place.send("typed", *numbered(*range(100)))
    place.add_pipeline(sql, ("typed",), ("a", "b", "c"))
    async with place.running():
        await until(lambda: all(len(place.numbers(name)) == 100 for name in ("a", "b", "c")))
    assert built == [(0, 0)]


class Faulty:
    """A sink type whose sinks deliver to local files, unless told to fail."""

    Config = local.Config
    SECRETS = ()

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.refused: tuple[Refused, ...] = ()
        self.publish_count = 0

    def open_sink(self, sink: SinkObject, site: Any) -> Any:
        faulty = self

        class FaultySink(LocalSink):
            async def publish(self, roll: Roll, folder: Path) -> Published:
                faulty.publish_count += 1
                if faulty.failure is not None:
                    raise faulty.failure
                published = await super().publish(roll, folder)
                return replace(published, refused=faulty.refused)

        inner = local.open_sink(sink, site)
        return FaultySink(inner._folder, inner._form, inner._layout)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Faulty:
    faulty = Faulty()
    monkeypatch.setattr(opening, "find_sink_type", lambda _: faulty)
    return faulty


async def test_a_sink_that_is_down_is_shown_holds_one_roll_and_comes_back(place: Place, faulty: Faulty) -> None:
    faulty.failure = SinkUnavailableError("The far end does not answer.")
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    async with place.running():
        await place.send("raw", *numbered(1))
        await until(lambda: place.failure() == "The far end does not answer.")
        await place.send("raw", *numbered(*range(2, 100)))
        tries = faulty.publish_count
        await until(lambda: faulty.publish_count > tries + 3)
        staged = (place.state_dir / "pipelines" / "staging").rglob("*.json")
        assert [path.read_bytes() for path in staged] == [b'{"n": 1}\n'], "the log is the buffer"
        faulty.failure = None
        await until(lambda: place.numbers("out") == [*range(1, 100)])
        assert place.failure() == ""
    assert place.is_balanced()


async def test_a_sink_that_is_set_up_wrong_heals_by_itself(place: Place, faulty: Faulty) -> None:
    faulty.failure = SinkMisconfiguredError("The credentials have expired.")
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    async with place.running():
        await place.send("raw", *numbered(1))
        await until(lambda: place.failure() == "The credentials have expired.")
        faulty.failure = None
        await until(lambda: place.numbers("out") == [1])
        await until(lambda: place.failure() == "")
    assert place.host.log.events("warning").count("pipeline_not_delivering") == 1, "said once"


async def test_who_is_told_of_a_failure_finds_it_in_the_status(
    place: Place, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.failure = SinkMisconfiguredError("The credentials have expired.")
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    found: list[str] = []
    monkeypatch.setattr(place.host.log, "warning", lambda *_, **__: found.append(place.failure()))
    async with place.running():
        await place.send("raw", *numbered(1))
        await until(lambda: found)
    assert found[0] == "The credentials have expired."


async def test_rows_the_target_refuses_are_dead_letters(place: Place, faulty: Faulty) -> None:
    faulty.refused = (Refused(0, 1, "mapping_error", "The field n is no date.", b'{"n":2}'),)
    place.add_sink("out")
    place.add_pipeline("INSERT INTO out SELECT * FROM raw", ("raw",), ("out",))
    async with place.running():
        await place.send("raw", *numbered(1, 2))
        await until(lambda: place.letters.count(id_of("stream", "raw")) == 1)
    (letter,) = place.letters.list(id_of("stream", "raw"))
    assert (letter.family, letter.kind, letter.record) == ("sink", "mapping_error", b'{"n":2}')
    (state,) = place.inserts()
    assert (state.progress[0].tally.delivered, state.progress[0].tally.dead) == (1, 1)


DISK_CALLS = ("create", "writev", "sync", "sync_folder", "link", "make_folder", "replace")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        pytest.param("json", errno.EIO, id="json-EIO"),
        pytest.param("json", errno.ENOSPC, id="json-ENOSPC", marks=pytest.mark.slow),
        pytest.param("parquet", errno.EIO, id="parquet-EIO", marks=pytest.mark.slow),
        pytest.param("parquet", errno.ENOSPC, id="parquet-ENOSPC"),
    ],
)
async def test_every_call_to_the_disk_may_fail_once(
    tmp_path: Path, form: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D4: the Nth call fails, for every N until none does; each time everything arrives once."""
    left = [0]

    def failing(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(code, os.strerror(code))
            return original(*arguments, **options)

        return call

    for nth in range(1, 200):
        (tmp_path / str(nth)).mkdir()
        async with open_place(tmp_path / str(nth)) as place:
            place.add_sink("out", form)
            place.add_pipeline("INSERT INTO out SELECT n FROM typed", ("typed",), ("out",))
            await place.send("typed", *numbered(1, 2, 3))
            with monkeypatch.context() as patch:
                for name in DISK_CALLS:
                    patch.setattr(Disk, name, failing(getattr(Disk, name)))
                left[0] = nth
                async with place.running():
                    await until(lambda: place.numbers("out") == [1, 2, 3])
                    await until(lambda: place.inserts()[0].progress[0].committed == 3)
                has_fired = left[0] <= 0
            assert place.numbers("out") == [1, 2, 3]
            assert len(place.files("out")) == 1, "nothing half is left"
            assert place.is_balanced()
        if not has_fired:
            assert nth > 5, "a roll makes more calls than that"
            return
    raise AssertionError("a roll makes fewer calls than that")
