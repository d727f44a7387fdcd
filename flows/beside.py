"""Work that goes on beside a flow: in a thread of its own, one piece at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Start = Callable[..., Awaitable[None]]


@asynccontextmanager
async def beside() -> AsyncIterator[Start]:
    """`await start(work, *arguments)` waits for the piece before it, if any, and starts the next.

    An error of a piece is raised by the next `start`, or at the end of the block, which waits for the last piece
    also where the block itself fails.
    """
    running: asyncio.Task[None] | None = None

    async def start(work: Callable[..., None], *arguments: Any) -> None:
        nonlocal running
        if running is not None:
            await running
        running = asyncio.create_task(asyncio.to_thread(work, *arguments))

    try:
        yield start
    except BaseException:
        if running is not None:
            await asyncio.gather(running, return_exceptions=True)
        raise
    if running is not None:
        await running
