"""One send as few large records: cut between records, told apart by header, still NDJSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.blobs import BLOB_BYTES, BlobHeader, cut_blobs, read_blobs
from edge.bindings.pipelines.records import Batch, encode_records
from edge.runtime.core.errors import BindingError


def cut(batch: Batch, record_bytes_max: int = 1_000 * 1024) -> list[object]:
    return cut_blobs(batch, stream="s", producer="p", sequence=7, record_bytes_max=record_bytes_max)


def test_small_send_is_one_blob_behind_one_header_line() -> None:
    [blob] = cut(encode_records([{"a": 1}, "x"]))
    assert blob.data == (
        b'{"_edge":{"stream":"s","producer":"p","sequence":7,"part":0,"parts":1,"count":2}}\n{"a":1}\n"x"\n'
    )
    assert blob.key == "p-7-0"


@given(st.lists(st.integers(1, 400_000), min_size=1, max_size=9))
def test_large_send_is_cut_between_records(sizes: list[int]) -> None:
    lines = [b'"' + b"x" * size + b'"' for size in sizes]
    blobs = cut(Batch(b"".join(line + b"\n" for line in lines), len(lines)))
    assert all(len(blob.data) <= BLOB_BYTES for blob in blobs)
    read = list(read_blobs(b"".join(blob.data for blob in blobs)))
    assert [line for _, records in read for line in records] == lines
    assert [header.part for header, _ in read] == list(range(len(blobs)))
    assert {header.parts for header, _ in read} == {len(blobs)}
    starts = [blob.first_index for blob in blobs]
    assert starts == [sum(header.count for header, _ in read[:part]) for part in range(len(read))]


def test_record_that_looks_like_a_header_is_a_record() -> None:
    trap = {"_edge": {"stream": "s", "producer": "p", "sequence": 1, "part": 0, "parts": 1, "count": 5}}
    [blob] = cut(encode_records([trap, 1]))
    assert list(read_blobs(blob.data)) == [
        (BlobHeader("s", "p", 7, 0, 1, 2), [json.dumps(trap, separators=(",", ":")).encode(), b"1"])
    ]


def test_every_line_is_json() -> None:
    [blob] = cut(encode_records(["line\nbreak", {"a": "\u2028"}]))
    assert len([json.loads(line) for line in blob.data.decode().split("\n")[:-1]]) == 3


def test_record_larger_than_the_service_takes_is_refused() -> None:
    with pytest.raises(BindingError) as refusal:
        cut(encode_records([1, "x" * 1_023_100]))
    assert refusal.value.http_status == 413
    assert "Record 1 is 1,023,102 bytes as JSON; on AWS one record may have at most 1,023,000." in str(refusal.value)


def test_single_large_record_travels_alone() -> None:
    blobs = cut(encode_records([1, "x" * 950_000, 2]))
    assert [blob.header.count for blob in blobs] == [1, 1, 1]
