"""A state folder whose delivery store an older Edge wrote: all it committed is there, and each record goes on once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.catalogue import TableNames
from edge.bindings.pipelines.delivery.facts import FILE_NAME, MIGRATIONS
from edge.bindings.pipelines.ids import id_of

from .half_way import add_old_sink
from .place import Place, numbered, until

if TYPE_CHECKING:
    from edge.bindings.pipelines.dead_letters import DeadLetter
    from edge.bindings.pipelines.delivery.store import InsertState, Lease

    from .half_way import HalfWay

    Kept = tuple[Lease, list[InsertState], set[str], dict[int, int], list[DeadLetter]]

pytestmark = pytest.mark.usefixtures("quick")

OLD_FORMAT = 15
OLD_SCHEMA = Path(__file__).with_name(f"delivery_format_{OLD_FORMAT}.sql").read_text()
SQL = "INSERT INTO {} SELECT n FROM typed WHERE 60 / n <> 30"
"""Fails on 0, leaves 2 out."""


def make_old(state_dir: Path) -> None:
    """Write the store anew as the older Edge would have: its own tables, with what they could hold."""
    path = state_dir / "pipelines" / FILE_NAME
    older = path.with_name("older.sqlite3")
    with closing(sqlite3.connect(path)) as new, closing(sqlite3.connect(older, isolation_level=None)) as old:
        old.executescript(OLD_SCHEMA)
        old.execute("DELETE FROM lease")
        tables = [name for (name,) in old.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        for table in (name for name in tables if not name.startswith("sqlite_")):
            columns = [column[1] for column in old.execute(f"PRAGMA table_info({table})")]
            rows = new.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
            marks = ", ".join("?" * len(columns))
            old.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
        old.execute(f"PRAGMA user_version = {OLD_FORMAT}")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    older.rename(path)


def kept(place: Place, retired_id: str) -> Kept:
    """What the store knows, without the facts that the older one did not keep."""
    inserts = [replace(one, key=replace(one.key, account="", sink_made_at=0.0)) for one in place.store.inserts()]
    letters = place.letters.list(id_of("stream", "typed"))
    return place.store.lease(), inserts, place.store.intents(), place.store.retired_ends(retired_id), letters


async def older_state(place: Place, half_way: HalfWay, monkeypatch: pytest.MonkeyPatch) -> str:
    """One INSERT with a commit behind it and half a roll out, one that is no more; returns the latter's id."""
    place.add_sink("gone")
    first = place.add_pipeline(SQL.format("gone"), ("typed",), ("gone",))
    async with place.running():
        await place.send("typed", *numbered(0, 1, 2), {"n": "none"})
        await until(lambda: [one.committed for state in place.inserts() for one in state.progress.values()] == [4])
        (retired,) = place.inserts()
        add_old_sink(place)
        moved = replace(first, sql=SQL.format("old"), version=2)
        place.catalogue.change_pipeline(moved, TableNames(("typed",), ("old",)))
        await until(lambda: [one.key.sink_id for one in place.inserts()] == [id_of("sink", "old")])
        half_way.is_up = True
        await place.send("typed", *numbered(3))
        await until(lambda: [one.committed for state in place.inserts() for one in state.progress.values()] == [5])
        half_way.is_up = False
    later_s, now = 0.0, place.host.now
    with monkeypatch.context() as patch:
        patch.setattr(place.host, "now", lambda: now() + later_s)
        await place.streams.__aexit__()
        await place.send("typed", *numbered(4))
        later_s = 60.0
        await place.send("typed", *numbered(5))
        async with place.running():
            await until(place.failure)
    assert len(place.numbers("old")) == 2, "3, and half of the roll"
    before = kept(place, retired.key.id)
    place.store.close()
    place.letters.close()
    place.status.close()
    make_old(place.state_dir)
    assert kept(place, retired.key.id) == before
    return retired.key.id


async def test_what_an_older_store_committed_is_there_and_its_half_roll_is_finished(
    place: Place, half_way: HalfWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    await older_state(place, half_way, monkeypatch)
    with closing(sqlite3.connect(place.state_dir / "pipelines" / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    half_way.is_up = True
    async with place.running():
        await place.send("typed", *numbered(6))
        await until(lambda: 6 in place.numbers("old"))
    assert (place.numbers("gone"), place.numbers("old")) == ([1], [3, 4, 5, 6])
    assert place.is_balanced()


async def test_a_pipeline_that_goes_back_to_a_sink_goes_on_where_the_older_store_says_it_was(
    place: Place, half_way: HalfWay, monkeypatch: pytest.MonkeyPatch
) -> None:
    retired_id = await older_state(place, half_way, monkeypatch)
    (pipeline,) = place.catalogue.pipelines()
    back = replace(pipeline, sql=SQL.format("gone"), version=3)
    place.catalogue.change_pipeline(back, TableNames(("typed",), ("gone",)))
    half_way.is_up = True
    async with place.running():
        await until(lambda: [one.key.id for one in place.inserts()] == [retired_id])
        await place.send("typed", *numbered(6))
        await until(lambda: 6 in place.numbers("gone"))
    assert (place.numbers("gone"), place.numbers("old")) == ([1, 6], [3, 4, 5]), "half a roll was finished first"
