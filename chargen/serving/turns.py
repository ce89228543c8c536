"""Let a number of requests work at a time, and the others wait in a short queue."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from time import monotonic
from typing import Any

from chargen.serving.limits import Limits, RefusedError

PATIENCE = 0.5  # seconds that a client may take to receive before its request gives its turn to others
QUANTUM = 0.3  # seconds of work after which a request lets those that wait have its turn

_current: ContextVar["Turn | None"] = ContextVar("turn", default=None)

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def share_turn() -> None:
    """Let others have the turn of the running request, if it has worked for long and they wait."""
    if turn := _current.get():
        await turn.share()


class Turns:
    """Count the requests that work and that wait."""

    def __init__(self, limits: Limits) -> None:
        self.working = self.waiting = 0
        self._limits, self._free = limits, asyncio.Semaphore(limits.concurrent)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator["Turn"]:
        """Wait for a turn, and hold it within the block. Raises RefusedError if too many wait, or for too long."""
        one = Turn(self)
        await one.take()
        before = _current.set(one)
        try:
            yield one
        finally:
            _current.reset(before)
            one.give_up()

    async def acquire(self, *, again: bool = False) -> None:
        """Wait for a turn. Raises RefusedError if too many wait, unless it was had before, or for too long."""
        if not again and self._free.locked() and self.waiting >= self._limits.queue:
            raise RefusedError(429, f"the server is answering {self.working} requests, its limit; try again soon")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._free.acquire()
        except TimeoutError:
            raise RefusedError(503, f"no turn came within {self._limits.seconds:g} seconds; try again later") from None
        finally:
            self.waiting -= 1
        self.working += 1

    def release(self) -> None:
        """Give a turn to the next request."""
        self.working -= 1
        self._free.release()


class Turn:
    """The turn of one request. It is given up while the client does not receive, and taken again afterwards."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._held, self._until = turns, False, 0.0

    async def take(self, *, again: bool = False) -> None:
        """Wait for the turn. Raises RefusedError as `Turns.acquire`."""
        await self._turns.acquire(again=again)
        self._held, self._until = True, monotonic() + QUANTUM

    async def share(self) -> None:
        """Let those that wait have the turn, if it was held for QUANTUM seconds, and wait for it again."""
        if self._turns.waiting and monotonic() > self._until:
            self.give_up()
            await self.take(again=True)

    def give_up(self) -> None:
        """Give the turn to the next request, if it is held."""
        if self._held:
            self._turns.release()
            self._held = False

    def patient(self, send: Send) -> Send:
        """Return a function that sends a message, without the turn if the client takes longer than PATIENCE."""

        async def send_patiently(message: dict[str, Any]) -> None:
            sending = asyncio.ensure_future(send(message))
            try:
                await asyncio.wait({sending}, timeout=PATIENCE)
                if not sending.done():
                    self.give_up()
                    await sending
                    await self.take(again=True)
                await sending  # raises its error
            finally:
                if not sending.done():
                    sending.cancel()
                    with suppress(asyncio.CancelledError):
                        await sending

        return send_patiently
