"""A bar on the terminal while much is done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

T = TypeVar("T")

LOOK_SECONDS = 0.2


async def with_bar(
    work: Coroutine[Any, Any, T], title: str, total_count: int, count_left: Callable[[], Awaitable[int]]
) -> T:
    """Do `work`, and meanwhile show how much of it is left; without a terminal nothing is shown."""
    from rich.console import Console  # noqa: PLC0415 - only who has much to do needs it
    from rich.progress import Progress  # noqa: PLC0415 - as above

    doing = asyncio.ensure_future(work)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total_count)
        try:
            while not (await asyncio.wait({doing}, timeout=LOOK_SECONDS))[0]:
                bar.update(task, completed=total_count - await count_left())
        finally:
            doing.cancel()  # nothing, where it is done
    return await doing
