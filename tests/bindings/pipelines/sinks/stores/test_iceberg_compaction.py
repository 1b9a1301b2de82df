"""Joining an Iceberg table's small files, and removing what nothing names."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.objects import SinkFormat
from edge.bindings.pipelines.sinks import iceberg_compaction
from edge.bindings.pipelines.sinks.iceberg_compaction import compact
from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError
from edge.bindings.pipelines.sinks.types import iceberg
from edge.runtime.cli.pipelines import command

if TYPE_CHECKING:
    from pathlib import Path


async def open_with_rolls(runner: Any, count: int, **config: Any) -> Any:
    """A table with two files a roll: one of each of two days."""
    sink = iceberg.open_sink(runner.sink("iceberg", SinkFormat("parquet"), table_name="t", **config), runner.site)
    for epoch in range(1, count + 1):
        await runner.deliver(sink, runner.rows([epoch]), runner.rows([-epoch], day=1), epoch=epoch)
    return sink


def numbers_in(sink: Any) -> list[int]:
    return sorted(sink._table.load().scan().to_arrow().column("n").to_pylist())


def file_count(sink: Any) -> int:
    return len(list(sink._table.load().scan().plan_files()))


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


async def test_small_files_are_joined_by_day_and_every_row_stays(runner: Any) -> None:
    sink = await open_with_rolls(runner, 4)
    heard: list[tuple[int, int]] = []
    done = compact(sink._table, runner.host, lambda *counts: heard.append(counts))
    assert (done.joined_count, done.made_count, file_count(sink)) == (8, 2, 2)
    assert numbers_in(sink) == [-4, -3, -2, -1, 1, 2, 3, 4]
    assert heard == [(4, 8), (8, 8)]
    assert compact(sink._table, runner.host).joined_count == 0
    await sink.aclose()


async def test_a_retry_after_compaction_adds_nothing(runner: Any) -> None:
    sink = await open_with_rolls(runner, 2)
    roll = await runner.deliver(sink, runner.rows([3]), epoch=3)
    compact(sink._table, runner.host)
    await runner.publish(sink, roll)
    assert numbers_in(sink) == [-2, -1, 1, 2, 3]
    await sink.aclose()


async def test_a_roll_published_meanwhile_stays(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = await open_with_rolls(runner, 2)
    roll = runner.stage(sink, runner.rows([3]), epoch=3)
    make = iceberg_compaction.parquet_file_to_data_file

    def after_a_roll(*args: Any) -> Any:
        monkeypatch.setattr(iceberg_compaction, "parquet_file_to_data_file", make)
        sink._publish(roll, runner.staging(3))
        return make(*args)

    monkeypatch.setattr(iceberg_compaction, "parquet_file_to_data_file", after_a_roll)
    compact(sink._table, runner.host)
    assert numbers_in(sink) == [-2, -1, 1, 2, 3]
    await sink.aclose()


async def test_large_files_are_left_alone_and_joined_ones_have_a_size(
    runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = await open_with_rolls(runner, 4)
    size_bytes = max(task.file.file_size_in_bytes for task in sink._table.load().scan().plan_files())
    monkeypatch.setattr(iceberg_compaction, "JOINED_BYTES", size_bytes)
    assert compact(sink._table, runner.host).joined_count == 0
    monkeypatch.setattr(iceberg_compaction, "JOINED_BYTES", size_bytes * 2 + 100)
    assert compact(sink._table, runner.host).made_count == 4
    assert numbers_in(sink) == [-4, -3, -2, -1, 1, 2, 3, 4]
    await sink.aclose()


async def test_files_that_nothing_names_go_once_they_are_a_day_old(runner: Any) -> None:
    sink = await open_with_rolls(runner, 1)
    table: Path = runner.host.state_dir / "iceberg" / "warehouse" / "default" / "t"
    before = files_below(table)
    old, young, foreign = table / "data" / "old.parquet", table / "data" / "young.parquet", table / "notes.txt"
    for path in (old, young, foreign):
        path.write_bytes(b"x")
    for path in (*before, old, foreign):
        os.utime(path, (0, 0))
    await runner.host.advance(time.time() - runner.host.now())
    assert compact(sink._table, runner.host).removed_count == 1
    assert files_below(table) == before | {young, foreign}
    assert numbers_in(sink) == [-1, 1]
    await sink.aclose()


async def test_a_table_in_s3_is_compacted_too(runner: Any, s3_config: dict[str, Any]) -> None:
    keys = ("endpoint", "credentials", "allow_private_network")
    there = {"warehouse": f"s3://{s3_config['bucket']}/lake", **{key: s3_config[key] for key in keys}}
    sink = await open_with_rolls(runner, 2, **there)
    await runner.host.advance(time.time() - runner.host.now() + 2 * iceberg_compaction.ORPHAN_AGE_SECONDS)
    done = compact(sink._table, runner.host)
    assert (done.joined_count, done.made_count) == (4, 2)
    assert numbers_in(sink) == [-2, -1, 1, 2]
    await sink.aclose()


async def test_a_table_of_somebody_else_is_not_compacted(runner: Any) -> None:
    sink = await open_with_rolls(runner, 1)
    sink._table._state_id = "another"
    with pytest.raises(SinkMisconfiguredError, match="was not made by this Edge"):
        compact(sink._table, runner.host)
    await sink.aclose()


async def test_the_command_compacts_a_declared_table(runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = await open_with_rolls(runner, 2)
    await sink.aclose()
    monkeypatch.chdir(runner.folder)
    catalogue = Catalogue(runner.host.state_dir)
    catalogue.add_sink(runner.sink("iceberg", SinkFormat("parquet"), table_name="t"))
    catalogue.add_sink(replace(runner.sink("iceberg", table_name="u"), name="unmade", id="6" * 32))
    catalogue.add_sink(replace(runner.sink("local", path="x"), name="files", id="7" * 32))
    catalogue.close()

    def run(name: str) -> Any:
        return CliRunner().invoke(command, ["compact", name, "--persist-to", str(runner.folder)])

    done = await asyncio.to_thread(run, "my_sink")
    assert done.output == "my_sink: 4 files joined into 2, 0 removed that nothing named\n"
    assert numbers_in(sink) == [-2, -1, 1, 2]
    assert "default.u has not been made yet" in str((await asyncio.to_thread(run, "unmade")).exception)
    assert "only Iceberg tables are compacted" in str((await asyncio.to_thread(run, "files")).exception)
    await sink.aclose()
