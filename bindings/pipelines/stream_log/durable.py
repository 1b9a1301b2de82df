"""How far a partition's log is on disk, told by its writer to readers in any process.

What a reader finds behind this mark may be written and not synced. It must not be delivered: when a sync fails the
writer cuts those records and gives their offsets to others. The mark is set after the sync and is itself not synced, so
after a power cut it is behind the truth or gone, never ahead; the writer sets it anew when it opens.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "durable"
_MARK = struct.Struct("<QQ")
"""The offset and its complement: a read in the middle of a write is seen."""
_ALL = 2**64 - 1


class DurableMark:
    """The writer's side. The file stays open; `close` it."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def set(self, offset: int) -> None:
        """Every record below `offset` is on disk."""
        with suppress(OSError):  # they are; that readers hear of it later does no harm
            os.pwrite(self._descriptor, _MARK.pack(offset, _ALL - offset), 0)

    def close(self) -> None:
        os.close(self._descriptor)


def durable_offset(folder: Path) -> int:
    """Every record of the partition below this is on disk; 0 when its writer has not said yet."""
    try:
        with (folder / FILE_NAME).open("rb", buffering=0) as file:
            mark = file.read(_MARK.size)
    except FileNotFoundError:
        return 0
    if len(mark) < _MARK.size:
        return 0
    offset, complement = _MARK.unpack(mark)
    return offset if offset + complement == _ALL else 0
