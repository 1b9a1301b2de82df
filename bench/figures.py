"""A figure: what was measured, what stands beside it, what it should reach."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    what: str
    measured: str
    beside: str
    target: str
    is_met: bool


def at_least(what: str, value: float, target: float, *, beside: str, unit: str = "") -> Figure:
    return Figure(
        what,
        f"{value:,.2f}{unit}" if value < 100 else f"{value:,.0f}{unit}",
        beside,
        f">= {target:,g}{unit}",
        value >= target,
    )


def at_most(what: str, value: float, target: float, *, beside: str, unit: str = "") -> Figure:
    return Figure(
        what,
        f"{value:,.2f}{unit}" if value < 10 else f"{value:,.0f}{unit}",
        beside,
        f"<= {target:,g}{unit}",
        value <= target,
    )


def table(figures: list[Figure]) -> str:
    """A plain table, misses marked."""
    rows = [("", "what", "measured", "at", "beside")]
    rows += [("ok" if f.is_met else "MISS", f.what, f.measured, f.target, f.beside) for f in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def machine() -> str:
    """What every figure has to be read beside: cores, load, and what one fsync costs on this disk."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {fsync_cost()}"


def fsync_cost(size: int = 203, rounds: int = 200) -> str:
    """p50 and p99 of append + fdatasync of one small record."""
    costs = append_and_sync(size, rounds)
    p50_ms, p99_ms = statistics.median(costs) * 1000, costs[int(rounds * 0.99)] * 1000
    return f"append+fdatasync of {size} B p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"


def paced_append_p99_ms(size: int, per_s: int, seconds: float) -> float:
    """p99 from the time an append is due to its being synced, so many a second; those that wait are synced together.

    What the disk alone makes of such a pace, to be read beside what a store on it takes.
    """
    sync = getattr(os, "fdatasync", os.fsync)
    due_s = [number / per_s for number in range(int(per_s * seconds))]
    took_s: list[float] = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        descriptor = os.open(Path(folder) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        start = time.perf_counter()
        while len(took_s) < len(due_s):
            now = time.perf_counter() - start
            waiting = due_s[len(took_s) : bisect_right(due_s, now)]
            if not waiting:
                time.sleep(due_s[len(took_s)] - now)
                continue
            os.write(descriptor, b"x" * size * len(waiting))
            sync(descriptor)
            synced = time.perf_counter() - start
            took_s += [synced - due for due in waiting]
        os.close(descriptor)
    return sorted(took_s)[int(len(took_s) * 0.99)] * 1000


def append_and_sync(size: int, rounds: int) -> list[float]:
    """Sorted seconds per append of `size` bytes, synced, in the folder the benchmarks write to."""
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        descriptor = os.open(Path(folder) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        costs = []
        for _ in range(rounds):
            start = time.perf_counter()
            os.write(descriptor, b"x" * size)
            sync(descriptor)
            costs.append(time.perf_counter() - start)
        os.close(descriptor)
    return sorted(costs)
