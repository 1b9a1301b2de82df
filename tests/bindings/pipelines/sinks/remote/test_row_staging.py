"""Rows staged with their positions: read back in chunks, each exactly as written, whatever is in them."""

from __future__ import annotations

import json
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bindings.pipelines.sinks.progress import Progress
from edge.bindings.pipelines.sinks.row_staging import RowStager, StagedRow, read_chunk
from edge.bindings.pipelines.sinks.sink import OFFSET_COLUMN, PARTITION_COLUMN, TIME_COLUMN, Refused, Rows

INSERT_ID = "a" * 32


def batch_of(places: list[tuple[int, int]], texts: list[str | None]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "text": pa.array(texts, pa.string()),
            PARTITION_COLUMN: pa.array([partition for partition, _ in places], pa.int32()),
            OFFSET_COLUMN: pa.array([offset for _, offset in places], pa.int64()),
            TIME_COLUMN: pa.array([7] * len(places), pa.timestamp("us", "UTC")),
        }
    )


def chunks_of(path: Path, size: int, **limits: int) -> list[list[StagedRow]]:
    since, found = 0, []
    while since < size:
        chunk = read_chunk(path, since, **limits)
        found.append(list(chunk.rows))
        since = chunk.until
    return found


TEXTS = st.lists(st.none() | st.text(st.characters(codec="utf-8")), min_size=1, max_size=20)


@given(TEXTS, st.integers(1, 200), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_every_row_comes_back_once_and_in_order_in_chunks_of_any_size(
    texts: list[str | None], bytes_max: int, rows_max: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stager = RowStager(folder, INSERT_ID, 3)
        for start in range(0, len(texts), 7):
            part = texts[start : start + 7]
            stager.write(Rows("s", batch_of([(0, start + i) for i in range(len(part))], part), count=len(part)))
        (file,) = stager.close()
        data = (folder / file.name).read_bytes()
        chunks = chunks_of(folder / file.name, file.size_bytes, bytes_max=bytes_max, rows_max=rows_max)
        rows = [row for chunk in chunks for row in chunk]
    assert [(row.partition, row.offset, row.part, row.ingested_at_us) for row in rows] == [
        (0, i, 0, 7) for i in range(len(texts))
    ]
    assert [json.loads(row.json)["text"] for row in rows] == texts
    assert all(len(chunk) <= rows_max for chunk in chunks)
    assert (file.size_bytes, file.sha256, file.row_count) == (len(data), sha256(data).hexdigest(), len(texts))


def test_rows_of_one_record_are_counted_apart_in_each_partition(tmp_path: Path) -> None:
    stager = RowStager(tmp_path, INSERT_ID, 1)
    places = [(0, 5), (0, 5), (1, 5), (0, 5), (0, 6)]
    stager.write(Rows("s", batch_of(places, ["x"] * 5), count=3))
    (file,) = stager.close()
    rows = read_chunk(tmp_path / file.name, 0, bytes_max=1 << 20, rows_max=100).rows
    assert [row.id_in("s") for row in rows] == ["s:0:5", "s:0:5:1", "s:1:5", "s:0:5:2", "s:0:6"]


def test_the_key_is_the_same_on_every_retry_and_another_for_every_roll(tmp_path: Path) -> None:
    def key(epoch: int, folder: str) -> str:
        (tmp_path / folder).mkdir()
        stager = RowStager(tmp_path / folder, INSERT_ID, epoch)
        stager.write(Rows("s", batch_of([(0, 1)], ["x"]), count=1))
        return stager.close()[0].key

    assert key(1, "a") == key(1, "b") != key(2, "c")


def test_a_roll_without_rows_has_no_file(tmp_path: Path) -> None:
    stager = RowStager(tmp_path, INSERT_ID, 1)
    assert stager.close() == ()


def test_members_are_added_to_rows_with_and_without_others() -> None:
    def added(text: bytes) -> Any:
        return json.loads(StagedRow(0, 1, 0, 7, text).json_with(b'"b":2'))

    assert added(b'{"a":1}') == {"a": 1, "b": 2}
    assert added(b"{}") == {"b": 2}


def test_progress_is_what_was_noted_whole(tmp_path: Path) -> None:
    refused = Refused(0, 4, "kind", "message", b'{"n":"\xc3\xbc"}')
    progress = Progress(tmp_path)
    progress.note(10, [])
    progress.note(25, [refused])
    for cut in range(1, 8):
        path = next(tmp_path.iterdir())
        whole = path.read_bytes()
        again = Progress(tmp_path)
        assert (again.until, again.refused) == (25, [refused])
        path.write_bytes(whole[:-cut])
        torn = Progress(tmp_path)
        assert (torn.until, torn.refused) == (10, [])
        torn.note(25, [refused])
        assert path.read_bytes() == whole
