"""How many bytes of a partition's log lie between two offsets, from the lengths of its segments alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .segments import base_offsets, segment_path
from .stream_folders import size_of

if TYPE_CHECKING:
    from pathlib import Path


def bytes_between(path: Path, begin: int, end: int | None) -> int:
    """About so many: within a segment its share of records is taken for its share of bytes.

    Args:
        end: the offset after the newest record; None when it is not known, and then the newest segment is left out.
    """
    bases = base_offsets(path)
    total_bytes = 0
    for base, following in zip(bases, [*bases[1:], end], strict=False):  # no segment, no end
        if following is not None and following > max(base, begin):
            share = (following - max(base, begin)) / (following - base)
            total_bytes += int(size_of(segment_path(path, base)) * share)
    return total_bytes
