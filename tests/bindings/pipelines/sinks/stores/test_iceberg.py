"""Iceberg tables: exactly once through retries, foreign commits and kills, counted by pyarrow."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.exceptions import CommitFailedException

from edge.bindings.pipelines.objects import RollingPolicy, SinkFormat
from edge.bindings.pipelines.sinks import iceberg_table, iceberg_upkeep
from edge.bindings.pipelines.sinks.iceberg_table import IcebergTable, property_of
from edge.bindings.pipelines.sinks.sink import Roll, SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import iceberg, r2_data_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

INSERT_ID = "0123456789abcdef0123456789abcdef"


def open_iceberg(runner: Any, **config: Any) -> Any:
    return iceberg.open_sink(runner.sink("iceberg", SinkFormat("parquet"), table_name="t", **config), runner.site)


def rows_in(sink: Any) -> list[int]:
    """Column n of every file the newest snapshot's manifests name, by pyarrow alone."""
    table = sink._table.load()
    snapshot = table.current_snapshot()
    if snapshot is None:
        return []
    entries = [e for m in snapshot.manifests(table.io) for e in m.fetch_manifest_entry(table.io)]
    numbers: list[int] = []
    for entry in entries:
        with table.io.new_input(entry.data_file.file_path).open() as file:
            numbers += pq.read_table(file).column("n").to_pylist()
    return sorted(numbers)


def foreign_commit(sink: Any) -> None:
    """Somebody else's writer adds rows, knowing nothing of Edge."""
    table = sink._table.load()
    schema = pa.schema([("n", pa.int64()), ("__ingest_ts", pa.timestamp("us"))])
    table.append(pa.table({"n": [-1], "__ingest_ts": [0]}, schema=schema))


async def test_a_roll_is_in_the_table_partitioned_by_day(runner: Any) -> None:
    sink = open_iceberg(runner)
    published = await runner.publish(sink, runner.stage(sink, runner.rows([1, 2]), runner.rows([3], day=1)))
    table = sink._table.load()
    days = {task.file.file_path.rpartition("/")[0].rpartition("/")[2] for task in table.scan().plan_files()}
    assert days == {"__ingest_ts_day=2026-01-01", "__ingest_ts_day=2026-01-02"}
    assert [str(one) for one in table.spec().fields] == ["1000: __ingest_ts_day: day(2)"]
    assert table.scan(row_filter="__ingest_ts >= '2026-01-02T00:00:00'").to_arrow().column("n").to_pylist() == [3]
    assert (published.rows_written, published.files_written) == (3, 2)
    await sink.aclose()


async def test_publishing_twice_leaves_every_row_once(runner: Any) -> None:
    sink = open_iceberg(runner)
    roll = await runner.deliver(sink, runner.rows([1, 2]))
    again = open_iceberg(runner)
    await runner.publish(again, roll)
    await again.aclose()
    await runner.deliver(sink, runner.rows([3]), epoch=2)
    await runner.publish(sink, runner.stage(sink, runner.rows([4]), epoch=3, insert_id="f" * 32))
    assert rows_in(sink) == [1, 2, 3, 4]
    await sink.aclose()


def by_summary_only(table: Any, roll: Roll) -> bool:
    """The weak check: the newest snapshot's summary, which a foreign commit hides."""
    snapshot = table.current_snapshot()
    told = {} if snapshot is None else snapshot.summary.additional_properties
    return (told.get("edge.insert"), told.get("edge.epoch")) == (roll.insert_id, str(roll.epoch))


@pytest.mark.parametrize(
    ("is_control", "rows"), [(False, [-1, 1, 2]), (True, [-1, 1, 1, 2, 2])], ids=["ours", "control"]
)
async def test_a_foreign_commit_before_recovery_does_not_hide_what_is_done(
    runner: Any, monkeypatch: pytest.MonkeyPatch, *, is_control: bool, rows: list[int]
) -> None:
    """Control: looking at the snapshot's summary alone writes every row twice."""
    if is_control:
        monkeypatch.setattr(iceberg_table, "is_published", by_summary_only)
    sink = open_iceberg(runner)
    roll = await runner.deliver(sink, runner.rows([1, 2]))
    foreign_commit(sink)
    await runner.publish(sink, roll)
    assert rows_in(sink) == rows
    await sink.aclose()


async def test_a_commit_that_comes_between_is_read_before_the_next_try(
    runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = open_iceberg(runner)
    await runner.deliver(sink, runner.rows([1]))
    commit = IcebergTable._commit

    def after_a_foreign_one(self: IcebergTable, *args: Any) -> None:
        monkeypatch.setattr(IcebergTable, "_commit", commit)
        foreign_commit(sink)
        commit(self, *args)

    monkeypatch.setattr(IcebergTable, "_commit", after_a_foreign_one)
    await runner.deliver(sink, runner.rows([2]), epoch=2)
    assert rows_in(sink) == [-1, 1, 2]
    await sink.aclose()


async def test_two_runners_that_publish_the_same_roll_at_once_add_it_once(
    runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one, a stalled leader, commits between the first one's look at the property and its commit."""
    sink, stalled = open_iceberg(runner), open_iceberg(runner)
    await runner.deliver(sink, runner.rows([1]))
    roll = runner.stage(sink, runner.rows([2]), epoch=2)
    commit = IcebergTable._commit

    def after_the_other(self: IcebergTable, *args: Any) -> None:
        monkeypatch.setattr(IcebergTable, "_commit", commit)
        stalled._publish(roll, runner.staging(2))
        commit(self, *args)

    monkeypatch.setattr(IcebergTable, "_commit", after_the_other)
    await runner.publish(sink, roll)
    assert rows_in(sink) == [1, 2]
    await sink.aclose()
    await stalled.aclose()


async def test_a_runner_that_lost_its_lease_cannot_publish_an_old_roll(runner: Any) -> None:
    sink = open_iceberg(runner)
    old = await runner.deliver(sink, runner.rows([1]), fence=1)
    await runner.deliver(sink, runner.rows([2]), epoch=2, fence=2)
    with pytest.raises(SinkUnavailableError, match="Another process has taken over"):
        await runner.publish(sink, old)
    assert rows_in(sink) == [1, 2]
    await sink.aclose()


async def test_others_that_keep_committing_are_waited_out(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_iceberg(runner)
    roll = runner.stage(sink, runner.rows([1]))

    def refuse(*_: object) -> None:
        raise CommitFailedException("branch main has changed")

    with monkeypatch.context() as patch:
        patch.setattr(IcebergTable, "_commit", refuse)
        with pytest.raises(SinkUnavailableError, match="others committed 5 times meanwhile"):
            await runner.publish(sink, roll)
    await runner.publish(sink, roll)
    assert rows_in(sink) == [1]
    await sink.aclose()


@pytest.mark.parametrize("point", ["before upload", "between uploads", "before commit", "after commit"])
async def test_a_kill_inside_publish_loses_and_doubles_nothing(runner: Any, point: str) -> None:
    sink = open_iceberg(runner)
    roll = runner.stage(sink, runner.rows([1, 2]), runner.rows([3], day=1), insert_id="0" * 32)
    kill_child_at(point, runner, roll)
    assert len(rows_in_or_none(sink)) == (3 if point == "after commit" else 0)
    await runner.publish(sink, roll)
    assert rows_in(sink) == [1, 2, 3]
    await sink.aclose()


async def test_control_a_kill_after_the_commit_doubles_without_the_property(
    runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = open_iceberg(runner)
    roll = runner.stage(sink, runner.rows([1, 2]), runner.rows([3], day=1), insert_id="0" * 32)
    kill_child_at("after commit", runner, roll)
    monkeypatch.setattr(iceberg_table, "is_published", lambda *_: False)
    await runner.publish(sink, roll)
    assert rows_in(sink) == [1, 1, 2, 2, 3, 3]
    await sink.aclose()


def kill_child_at(point: str, runner: Any, roll: Roll) -> None:
    told = {
        "config": {"table_name": "t"},
        "epoch": roll.epoch,
        "files": [asdict(file) for file in roll.files],
        "staging": str(runner.staging(roll.epoch, roll.insert_id)),
    }
    (runner.folder / "roll.json").write_text(json.dumps(told))
    script = Path(__file__).with_name("publish_and_die.py")
    done = subprocess.run([sys.executable, str(script), str(runner.folder), point], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def rows_in_or_none(sink: Any) -> list[int]:
    try:
        return rows_in(sink)
    except iceberg_table.NoSuchTableError:
        return []


async def test_sixty_commits_leave_a_bounded_table(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots, manifests and metadata files stay few when snapshots may be let go of."""
    monkeypatch.setitem(iceberg_table.TABLE_PROPERTIES, "write.metadata.previous-versions-max", "5")
    monkeypatch.setitem(iceberg_table.TABLE_PROPERTIES, "commit.manifest.min-count-to-merge", "5")
    monkeypatch.setattr(iceberg_upkeep, "SNAPSHOT_COUNT_MAX", 10)
    sink = open_iceberg(runner)
    for epoch in range(1, 61):
        await runner.deliver(sink, runner.rows([epoch]), epoch=epoch)
    table = sink._table.load()
    names = [path.name for path in (runner.host.state_dir / "iceberg").rglob("metadata/*")]
    assert rows_in(sink) == list(range(1, 61))
    assert len(table.metadata.snapshots) < 10 + iceberg_upkeep.EXPIRE_COUNT_MIN
    assert len(table.current_snapshot().manifests(table.io)) < 10
    assert sum(name.endswith(".metadata.json") for name in names) <= 6
    assert len(names) < 110, "manifest lists of snapshots that are gone were removed"
    assert runner.host.log.events("warning") == ["iceberg_interval_short"]
    await sink.aclose()


async def test_snapshots_past_their_age_are_let_go_of(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iceberg_upkeep, "EXPIRE_COUNT_MIN", 2)
    sink = open_iceberg(runner, snapshot_max_age_seconds=60.0)
    for epoch in (1, 2):
        await runner.deliver(sink, runner.rows([epoch]), epoch=epoch)
    assert len(sink._table.load().metadata.snapshots) == 2
    newest_s = sink._table.load().current_snapshot().timestamp_ms / 1000
    await runner.host.advance(newest_s - runner.host.now() + 61.0)
    await runner.deliver(sink, runner.rows([3]), epoch=3)
    assert len(sink._table.load().metadata.snapshots) == 1
    assert rows_in(sink) == [1, 2, 3]
    await sink.aclose()


async def test_a_table_of_somebody_else_is_left_alone(runner: Any) -> None:
    sink = open_iceberg(runner)
    await runner.deliver(sink, runner.rows([1]))
    (runner.host.state_dir / "iceberg" / "state_id").write_text("another")
    other = open_iceberg(runner)
    with pytest.raises(SinkMisconfiguredError, match=r"Iceberg table default\.t exists, and this Edge did not make it"):
        await runner.deliver(other, runner.rows([2]), epoch=2)
    told = open_iceberg(runner, existing_table="append")
    await runner.deliver(told, runner.rows([2]), epoch=2)
    assert rows_in(told) == [1, 2]
    for one in (sink, other, told):
        await one.aclose()


async def test_other_columns_than_the_tables_are_a_clear_error(runner: Any) -> None:
    sink = open_iceberg(runner)
    await runner.deliver(sink, runner.rows([1], city=pa.array(["x"])))
    with pytest.raises(SinkMisconfiguredError) as raised:
        await runner.deliver(sink, runner.rows([2], city=pa.array([1]), more=pa.array([1])), epoch=2)
    assert str(raised.value) == (
        "Iceberg table default.t has other columns than the SQL gives: more is not in the table; city is int64, not "
        "string. A table's columns do not change: give the sink another table_name, or make the SQL give the table's "
        "columns."
    )
    await sink.aclose()


async def test_a_crash_while_the_table_was_made_is_mended(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made, and not partitioned yet."""
    sink = open_iceberg(runner)
    roll = runner.stage(sink, runner.rows([1]))

    def power_cut(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(iceberg_table.DayTransform, "__init__", power_cut)
        with pytest.raises(SinkUnavailableError, match="OSError: the disk is gone"):
            await runner.publish(sink, roll)
    assert sink._table.load().spec().is_unpartitioned()
    await runner.publish(sink, roll)
    assert not sink._table.load().spec().is_unpartitioned()
    assert rows_in(sink) == [1]
    await sink.aclose()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (pa.array([200], pa.uint8()), [200]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([["a"]], pa.large_list(pa.large_string())), [["a"]]),
        (pa.array([{"a": 1, "b": None}], pa.struct([("a", pa.int8()), ("b", pa.string())])), [{"a": 1, "b": None}]),
        (pa.array([None], pa.null()), [None]),
        (pa.array([b"\0\xff"]), [b"\0\xff"]),
        (pa.array([1_999], pa.timestamp("ns")).cast(pa.timestamp("ns")), None),
    ],
    ids=["uint8", "uint64", "string_view", "list", "struct", "null", "binary", "nanoseconds"],
)
async def test_every_type_the_sql_gives_has_a_place_in_the_table(runner: Any, given: pa.Array, kept: Any) -> None:
    sink = open_iceberg(runner)
    await runner.deliver(sink, runner.rows([1], v=given))
    read = sink._table.load().scan().to_arrow().column("v")
    assert kept is None or [int(v) if isinstance(kept[0], int) else v for v in read.to_pylist()] == kept
    assert kept is not None or read.cast("int64").to_pylist() == [1]
    await sink.aclose()


def test_a_type_that_iceberg_has_not_is_named(runner: Any) -> None:
    with pytest.raises(SinkMisconfiguredError, match=r"Column v has the type duration\[s\]"):
        runner.stage(open_iceberg(runner), runner.rows([1], v=pa.array([1], pa.duration("s"))))


async def test_a_data_catalog_lives_in_its_bucket(runner: Any) -> None:
    config = {"bucket": "my-bucket", "namespace": "a.b", "table_name": "t", "token": "secret-token"}
    sink = r2_data_catalog.open_sink(runner.sink("r2_data_catalog", **config), runner.site)
    roll = await runner.deliver(sink, runner.rows([1]))
    await runner.publish(sink, roll)
    assert rows_in(sink) == [1]
    assert list((runner.host.state_dir / "r2" / "my-bucket" / "__r2_data_catalog").rglob("*.parquet"))
    assert "secret-token" not in repr(sink._place)
    await sink.aclose()


def test_a_remote_data_catalog_is_the_accounts(runner: Any) -> None:
    config = {"bucket": "my-bucket", "table_name": "t", "account_id": "acc", "token": "secret", "remote": True}
    place = r2_data_catalog.place_of(runner.sink("r2_data_catalog", **config), runner.host.state_dir)
    assert place.catalog["uri"] == "https://catalog.cloudflarestorage.com/acc/my-bucket"
    assert place.catalog["warehouse"] == "acc_my-bucket"
    assert not (runner.host.state_dir / "r2").exists()


@pytest.mark.parametrize("catalog", ["sqlite", "glue"])
async def test_a_table_may_be_in_s3(runner: Any, s3_config: dict[str, Any], catalog: str) -> None:
    sink = open_iceberg(runner, **s3_table(s3_config, catalog))
    roll = await runner.deliver(sink, runner.rows([1, 2]))
    foreign_commit(sink)
    await runner.publish(sink, roll)
    assert rows_in(sink) == [-1, 1, 2]
    client = boto3.client(
        "s3",
        endpoint_url=s3_config["endpoint"],
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
    )
    keys = [one["Key"] for one in client.list_objects_v2(Bucket=s3_config["bucket"])["Contents"]]
    assert any(key.endswith(f"/{roll.files[0].key}") for key in keys)
    assert not (runner.host.state_dir / "iceberg" / "warehouse").exists()
    await sink.aclose()


async def test_a_missing_bucket_is_for_a_person(runner: Any, s3_config: dict[str, Any]) -> None:
    sink = open_iceberg(runner, **s3_table({**s3_config, "bucket": "nobody-made-this"}, "sqlite"))
    with pytest.raises(SinkMisconfiguredError, match=r"answered NoSuchBucket\. Make the bucket"):
        await runner.deliver(sink, runner.rows([1]))
    await sink.aclose()


async def test_refused_keys_are_for_a_person(runner: Any, answers: Any, config_of_url: Callable[..., Any]) -> None:
    answers.error(403, "InvalidAccessKeyId")
    sink = open_iceberg(runner, **s3_table(config_of_url(answers.url, "some-bucket"), "sqlite"))
    with pytest.raises(SinkMisconfiguredError) as raised:
        await runner.deliver(sink, runner.rows([1]))
    assert "wJalrXUtnFEMI" not in str(raised.value)
    await sink.aclose()


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, SinkMisconfiguredError), (403, SinkMisconfiguredError), (503, SinkUnavailableError)],
)
async def test_a_rest_catalogs_refusal_is_told_from_its_absence(
    runner: Any, answers: Any, status: int, error: type[Exception]
) -> None:
    answers.status = status
    answers.body = b'{"error": {"message": "no", "type": "T", "code": %d}}' % status
    catalog = {"type": "rest", "uri": answers.url}
    sink = open_iceberg(runner, catalog=catalog, token="secret-token", allow_private_network=True)
    with pytest.raises(error) as raised:
        await runner.deliver(sink, runner.rows([1]))
    assert "secret-token" not in str(raised.value)
    await sink.aclose()


async def test_a_catalog_on_this_machine_must_be_allowed(runner: Any) -> None:
    sink = open_iceberg(runner, catalog={"type": "rest", "uri": "http://127.0.0.1:9"})
    with pytest.raises(SinkMisconfiguredError, match="allow_private_network = true"):
        await runner.deliver(sink, runner.rows([1]))
    await sink.aclose()


def s3_table(config: dict[str, Any], catalog: str) -> dict[str, Any]:
    """An iceberg sink's settings for a warehouse in that bucket."""
    return {
        "catalog": {"type": catalog, "uri": config["endpoint"] if catalog == "glue" else None},
        "namespace": config["bucket"],  # moto's glue is shared by all tests
        "warehouse": f"s3://{config['bucket']}/lake",
        "region": "us-east-1",
        **{name: config[name] for name in ("endpoint", "credentials", "allow_private_network")},
    }


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"table_name": ""}, "table_name and every level of namespace"),
        ({"namespace": "a..b"}, "table_name and every level of namespace"),
        ({"catalog": {"type": "rest"}}, "catalog.type rest needs catalog.uri"),
        ({"catalog": {"type": "glue"}}, "catalog.type glue needs warehouse = s3://bucket/path"),
        ({"warehouse": "/tmp"}, "warehouse is s3://bucket/path"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(runner: Any, config: dict[str, Any], problem: str) -> None:
    with pytest.raises(SinkMisconfiguredError, match=problem):
        iceberg.open_sink(runner.sink("iceberg", **{"table_name": "t", **config}), runner.site)


@pytest.mark.parametrize(("interval_s", "warnings"), [(30.0, ["iceberg_interval_short"]), (60.0, [])])
def test_a_short_interval_warns(runner: Any, interval_s: float, warnings: list[str]) -> None:
    from dataclasses import replace

    sink = replace(runner.sink("iceberg", table_name="t"), rolling_policy=RollingPolicy(interval_seconds=interval_s))
    iceberg.open_sink(sink, runner.site)
    assert runner.host.log.events("warning") == warnings


def test_the_property_holds_the_vector_of_offsets() -> None:
    roll = Roll(INSERT_ID, "k", "s", 3, 7, {0: 0, 1: 5}, {0: 9, 1: 8}, ())
    note = iceberg_table.RollNote.of(roll)
    assert (note.epoch, note.fence, note.until) == (3, 7, {"0": 9, "1": 8})
    assert property_of(INSERT_ID) == f"edge.{INSERT_ID}.offset"
