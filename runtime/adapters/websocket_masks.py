"""Whether a client masks its frames, which aiohttp's reader does not ask.

Source: RFC 6455, 5.1 ("a server MUST close the connection upon receiving a frame that is not masked") and 5.2.
"""

from __future__ import annotations

MASK_BIT = 0x80
MASK_BYTES = 4
LENGTH_BYTES = {126: 2, 127: 8}
"""Length field of a frame -> how many bytes the length itself takes behind it."""


class MaskWatch:
    """Follows the heads of frames through one connection's bytes, however they are cut."""

    __slots__ = ("_head", "_payload_bytes")

    def __init__(self) -> None:
        self._head = bytearray()
        self._payload_bytes = 0
        """Still to come of the current frame, its mask included."""

    def are_masked(self, data: bytes) -> bool:
        """Whether every frame that begins in these bytes, the next ones, is masked. Once one is not, none is."""
        place = 0
        while place < len(data):
            if self._payload_bytes:
                taken = min(self._payload_bytes, len(data) - place)
                self._payload_bytes -= taken
                place += taken
                continue
            head = self._head
            head.append(data[place])
            place += 1
            if len(head) < 2:
                continue
            if not head[1] & MASK_BIT:
                return False
            length = head[1] & ~MASK_BIT
            length_bytes = LENGTH_BYTES.get(length, 0)
            if len(head) == 2 + length_bytes:
                self._payload_bytes = MASK_BYTES + (int.from_bytes(head[2:], "big") if length_bytes else length)
                head.clear()
        return True
