"""How much of each open stream's log is not delivered yet: looked up on disk, where every reader keeps its cursor.

Cursors count records, the limit counts bytes (log_sizes.py).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..log import DamagedStreamError
from ..stream_log.log_sizes import bytes_between

if TYPE_CHECKING:
    from ....runtime.core.host import LocalHost
    from ..open_streams import OpenStream, OpenStreams
    from ..stream_log.stream_folders import StreamFolder, StreamFolders

LOOK_SECONDS = 1.0


class BacklogWatch:
    """Source: tells each open stream how much of it waits, so that its gate can refuse what it has no room for."""

    def __init__(self, host: LocalHost, folders: StreamFolders, streams: OpenStreams) -> None:
        self._host = host
        self._folders = folders
        self._streams = streams

    async def run(self) -> None:
        while True:
            for stream in self._streams.opened():
                await self.look(stream)
            await self._host.sleep(LOOK_SECONDS)

    async def look(self, stream: OpenStream) -> None:
        folder, slot = self._folders.folder(stream.object.id), self._host.process_slot
        at_bytes, next_offset = stream.log.durable_bytes, stream.log.durable_offset
        stream.note_undelivered(await asyncio.to_thread(undelivered_bytes, folder, slot, next_offset), at_bytes)


def undelivered_bytes(folder: StreamFolder, own_partition: int, next_offset: int) -> int:
    """Bytes of the stream's log that its slowest reader does not have; blocks.

    Args:
        next_offset: of the own partition. Of others the newest segment is left out: where they end is not known here.
    """
    return sum(
        _undelivered_bytes(folder, number, next_offset if number == own_partition else None)
        for number in folder.partitions()
    )


def _undelivered_bytes(folder: StreamFolder, number: int, next_offset: int | None) -> int:
    try:
        needed = min(folder.load_cursors(number).values(), default=0)
    except DamagedStreamError:  # whoever reads with that cursor tells
        needed = 0
    return bytes_between(folder.partition(number), needed, next_offset)
