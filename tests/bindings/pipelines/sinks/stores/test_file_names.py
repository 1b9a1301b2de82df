"""`file_naming` of sinks of files."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edge.bindings.pipelines.sinks.file_names import FileNaming
from edge.bindings.pipelines.sinks.types import r2

INSERT_ID = "0123456789abcdef0123456789abcdef"
NOW = 1_767_225_600.0
KEY = "raw/day=01/4f0e34c5-13a4-5c9d-bd4c-0a4b3f7a6f55.json.gz"


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        ("uuid", r"4f0e34c5-13a4-5c9d-bd4c-0a4b3f7a6f55\.json\.gz"),
        ("serial", r"01234567-000007-002\.json\.gz"),
        ("uuid_v7", r"019b76da-a800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json\.gz"),
        ("ulid", r"01KDVDNA00[0-9A-HJKMNP-TV-Z]{16}\.json\.gz"),
    ],
)
def test_a_name_is_made_by_its_strategy(strategy: Any, name: str) -> None:
    key = FileNaming(strategy=strategy).key_of(KEY, INSERT_ID, 7, 2, NOW)
    assert re.fullmatch(f"raw/day=01/{name}", key)


@pytest.mark.parametrize("strategy", ["uuid", "serial", "uuid_v7", "ulid"])
def test_files_of_one_roll_have_different_names(strategy: Any) -> None:
    naming = FileNaming(strategy=strategy)
    other = KEY.replace("4f0e", "4f0f")
    assert naming.key_of(KEY, INSERT_ID, 7, 0, NOW) != naming.key_of(other, INSERT_ID, 7, 1, NOW)


def test_prefix_and_suffix_stand_around_the_name() -> None:
    naming = FileNaming(prefix="edge", suffix="ndjson", strategy="serial")
    assert naming.key_of(KEY, INSERT_ID, 1, 0, NOW) == "raw/day=01/edge-01234567-000001-000.ndjson"
    assert naming.key_of("x.json", INSERT_ID, 1, 0, NOW) == "edge-01234567-000001-000.ndjson"


async def test_a_name_with_a_clock_in_it_stays_the_same_on_retry(runner: Any) -> None:
    config = {"bucket": "a-bucket", "file_naming": {"strategy": "ulid"}}
    sink = r2.open_sink(runner.sink("r2", **config), runner.site)
    roll = await runner.deliver(sink, runner.rows([1]))
    await runner.host.advance(100)
    await runner.publish(sink, roll)
    files = [p for p in (runner.host.state_dir / "r2").rglob("*") if p.is_file()]
    assert [p.name for p in files] == [roll.files[0].key.rpartition("/")[2]]
