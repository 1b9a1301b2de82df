"""Frames: what was written is read, and a cut or a flipped bit is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.stream_log.frames import (
    FLAG_LINES,
    BadFrameError,
    Frame,
    TornFrameError,
    find_good_frame_after,
    frame_head,
    parse_frame,
)


def whole_frame(body: bytes = b'{"a":1}\n', *, extra: bytes = b"", group_offset: int = 0) -> bytes:
    head = frame_head(
        first_offset=7,
        count=1,
        ingested_at_us=1_767_225_600_000_000,
        flags=FLAG_LINES,
        extra=extra,
        body=body,
        group_offset=group_offset,
    )
    return head + body


@given(st.binary(max_size=300), st.binary(max_size=100), st.binary(max_size=20))
def test_frame_is_read_as_written(body: bytes, extra: bytes, before: bytes) -> None:
    frame = parse_frame(before + whole_frame(body, extra=extra), len(before))
    size_bytes = len(whole_frame(body, extra=extra))
    assert frame == Frame(7, 1, 1_767_225_600_000_000, FLAG_LINES, extra, body, 0, size_bytes)


@pytest.mark.parametrize("size", [5 * 1024, 5 * 1024 + 1, 64 * 1024, 200_000])
def test_checksum_does_not_depend_on_how_it_is_computed(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert parse_frame(whole_frame(body[:size])).body == body[:size]


@given(st.binary(max_size=60), st.data())
def test_cut_frame_is_torn_wherever_it_is_cut(body: bytes, data: st.DataObject) -> None:
    written = whole_frame(body)
    with pytest.raises(TornFrameError):
        parse_frame(written[: data.draw(st.integers(0, len(written) - 1))])


@given(st.binary(max_size=60), st.binary(max_size=10), st.data())
def test_any_flipped_bit_is_noticed(body: bytes, extra: bytes, data: st.DataObject) -> None:
    written = bytearray(whole_frame(body, extra=extra))
    at = data.draw(st.integers(0, len(written) * 8 - 1))
    written[at // 8] ^= 1 << at % 8
    with pytest.raises((BadFrameError, TornFrameError)):
        parse_frame(bytes(written))


def test_good_frame_is_found_behind_rubbish() -> None:
    written = b"\xffEF1 rubbish \xffE" + whole_frame()
    at, frame = find_good_frame_after(written, 0)
    assert written[at:] == whole_frame()
    assert frame.first_offset == 7
    assert find_good_frame_after(written, at) is None


def test_record_cannot_pass_for_a_frame() -> None:
    forged = whole_frame().decode("latin-1").encode()  # the nearest that UTF-8 text gets
    assert find_good_frame_after(whole_frame(b'"' + forged + b'"'), 0) is None


def test_records_of_a_frame_carry_their_offsets() -> None:
    frame = parse_frame(whole_frame(b'{"a":1}\n[2]\n'))
    assert list(frame.records()) == [(7, b'{"a":1}'), (8, b"[2]")]


def test_array_as_received_becomes_lines_without_changing_values() -> None:
    body = b'[ {"a": 1.00,\n "b": 12345678901234567890123},\n"x\\ny" ]'
    head = frame_head(first_offset=0, count=2, ingested_at_us=0, flags=0, extra=b"", body=body, group_offset=0)
    assert parse_frame(head + body).lines() == b'{"a":1.00,"b":12345678901234567890123}\n"x\\ny"\n'
