"""What the check of a stream that no pipeline reads takes: next to nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path


async def test_checking_a_stream_loads_neither_pyarrow_nor_the_engine(tmp_path: Path) -> None:
    """`edge dev` of someone without a pipeline stays light."""
    child = Path(__file__).with_name("checking.py")
    process = await asyncio.create_subprocess_exec(sys.executable, child, tmp_path, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"[]\n")
