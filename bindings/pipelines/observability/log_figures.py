"""What one open partition measures of itself: how long senders wait, how long a sync takes, how many share one."""

from __future__ import annotations

from .histogram import Histogram


class LogFigures:
    """Of this process, since the partition was opened."""

    def __init__(self) -> None:
        self.acks_us = Histogram()
        """From `append` to its answer, of each frame that was kept. Added on the event loop."""
        self.syncs_us = Histogram()
        """One for each group. Added by the writer thread, as the next."""
        self.group_sizes = Histogram()
        """Frames in each group."""
        self.noted_offset = 0
        """Up to here the intake is noted (intake_rate.py)."""
        self.noted_bytes = 0
