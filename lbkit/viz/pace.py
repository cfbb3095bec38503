"""When a panel works: a short look at each change, and more when nothing changes any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

QUIET = 0.3  # seconds without a change until it rests

Work = Callable[[], Awaitable[None]]


class Pace:
    """Calls `glance` at each change, and `rest` when there is none for a while.

    Changes while it works are one change. `rest` should look at `moving` now and then, and end if it is."""

    def __init__(self, glance: Work, rest: Work) -> None:
        self._glance = glance
        self._rest = rest
        self._change = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def moving(self) -> bool:
        """Whether there is a change that nothing has been done for."""
        return self._change.is_set()

    def move(self) -> None:
        """Note a change. Raises RuntimeError without a running loop, as in a plain script."""
        asyncio.get_running_loop()
        self._change.set()
        self.rest()

    def rest(self) -> None:
        """Do what is left to do; nothing if it is at work. Raises RuntimeError as `move`."""
        loop = asyncio.get_running_loop()
        if self.task is None or self.task.done():
            self.task = loop.create_task(self._go())

    async def _go(self) -> None:
        while True:
            while self.moving:
                self._change.clear()
                await self._glance()
                if not self.moving:
                    await self._quiet()
            await self._rest()
            if not self.moving:
                return

    async def _quiet(self) -> None:
        """Wait until the next change, or until it rests."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._change.wait(), QUIET)


async def breathe() -> None:
    """Let the events of a slider through, and messages out."""
    await asyncio.sleep(0.001)
