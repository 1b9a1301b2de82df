"""Segments: how far one can be trusted after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.stream_log.frames import FLAG_LINES, frame_head
from edge.bindings.pipelines.stream_log.segments import (
    HEADER_BYTES,
    DamagedLogError,
    Scan,
    SegmentHeader,
    base_offsets,
    scan_segment,
)

HEADER = SegmentHeader("ab" * 16, 2, 1_000)
PATH = Path("streams") / HEADER.stream_id / "2" / "00000000000000001000.log"


def segment(counts: list[int], *, per_group: int = 1) -> tuple[bytes, list[int]]:
    """A segment with a frame of each count, and where each frame ends."""
    content, ends, offset, group = HEADER.encode(), [], HEADER.base_offset, 0
    for index, count in enumerate(counts):
        if index % per_group == 0:
            group = len(content)
        body = b"1\n" * count
        content += frame_head(
            first_offset=offset,
            count=count,
            ingested_at_us=0,
            flags=FLAG_LINES,
            extra=b"",
            body=body,
            group_offset=len(content) - group,
        )
        content += body
        ends.append(len(content))
        offset += count
    return content, ends


@given(st.lists(st.integers(1, 50), max_size=8), st.data())
def test_cut_anywhere_loses_only_the_torn_tail(counts: list[int], data: st.DataObject) -> None:
    content, ends = segment(counts)
    cut = data.draw(st.integers(HEADER_BYTES, len(content)))
    whole_count = sum(end <= cut for end in ends)
    end = ends[whole_count - 1] if whole_count else HEADER_BYTES
    assert scan_segment(PATH, content[:cut], HEADER) == Scan(end, 1_000 + sum(counts[:whole_count]))


@given(st.lists(st.integers(1, 50), min_size=2, max_size=8), st.data())
def test_flipped_bit_before_the_last_frame_is_damage(counts: list[int], data: st.DataObject) -> None:
    content, ends = segment(counts)
    at = data.draw(st.integers(0, ends[-2] * 8 - 1))
    flipped = bytearray(content)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(DamagedLogError):
        scan_segment(PATH, bytes(flipped), HEADER)


@given(st.lists(st.integers(1, 50), min_size=4, max_size=9), st.data())
def test_hole_in_the_last_sync_group_is_a_torn_tail(counts: list[int], data: st.DataObject) -> None:
    content, ends = segment(counts, per_group=3)
    first_of_group = (len(counts) - 1) // 3 * 3
    start = ends[first_of_group - 1]
    at = data.draw(st.integers(start, len(content) - 1))
    holed = content[:at] + bytes(min(512, len(content) - at)) + content[at + 512 :]
    kept_count = sum(end <= at for end in ends)
    assert scan_segment(PATH, holed, HEADER) == Scan(ends[kept_count - 1], 1_000 + sum(counts[:kept_count]))


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES - 1])
def test_segment_without_a_whole_header_holds_nothing(length: int) -> None:
    assert scan_segment(PATH, HEADER.encode()[:length], HEADER) is None


def test_missing_frame_is_damage() -> None:
    content, ends = segment([1, 1, 1])
    with pytest.raises(DamagedLogError, match="offset 1001 is missing, 1002 follows"):
        scan_segment(PATH, content[: ends[0]] + content[ends[1] :], HEADER)


def test_only_segments_are_listed(tmp_path: Path) -> None:
    for name in ("00000000000000000012.log", "00000000000000000003.log", "lock", "12.log", "x.log"):
        (tmp_path / name).touch()
    assert base_offsets(tmp_path) == [3, 12]
