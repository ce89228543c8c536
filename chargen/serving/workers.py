"""Run work in threads, the requests that have used the least time first."""

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

from chargen.cores import num_cores

MOST_THREADS = 4

Outcome = TypeVar("Outcome")


class Workers:
    """A few threads, and a queue ordered by the time that each request has used, so that short requests come soon."""

    def __init__(self) -> None:
        self._free = min(MOST_THREADS, num_cores())
        self._threads = ThreadPoolExecutor(self._free, thread_name_prefix="chargen")
        self._queue: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown()

    async def run(self, used: float, work: Callable[..., Outcome], *arguments: Any) -> Outcome:
        """Run work in a thread. used: seconds that its request has used; the least goes first."""
        loop = asyncio.get_running_loop()
        await self._take(loop, used)
        try:
            return await loop.run_in_executor(self._threads, work, *arguments)
        finally:
            self._release()

    async def _take(self, loop: asyncio.AbstractEventLoop, used: float) -> None:
        if self._free:
            self._free -= 1
            return
        place: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._queue, (used, next(self._numbers), place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # the thread came at the same time
                self._release()
            raise

    def _release(self) -> None:
        while self._queue:
            _, _, place = heapq.heappop(self._queue)
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
