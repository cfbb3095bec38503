"""Health checks that are the user's own functions: called with a backend, and a timeout."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from lbkit.core import Backend


class OwnCheck:
    """Calls `function(backend)`: it returns True, or False or a text if the backend does not pass.

    An async function runs in the event loop, any other one in a thread, so that it may wait. A thread
    cannot be stopped: until it has ended, further checks of its backend fail without another one."""

    def __init__(self, function: Callable[[Backend], object]) -> None:
        self.function = function
        self._running: set[Backend] = set()

    async def ask(self, backend: Backend) -> str:
        """Return why a backend does not pass; empty if it does. Raises what the function raises."""
        if iscoroutinefunction(self.function):
            return self._verdict(await self.function(backend))
        if backend in self._running:
            return "the check before has not ended"
        outcome = await self._in_thread(backend)
        return self._verdict(await outcome if isawaitable(outcome) else outcome)

    def _verdict(self, outcome: object) -> str:
        if outcome is True:
            return ""
        if outcome is False:
            return "the check says no"
        if isinstance(outcome, str):
            return outcome
        name = getattr(self.function, "__name__", repr(self.function))
        raise TypeError(f"{name} returned {outcome!r}: return True, or False or a text if the backend fails")

    async def _in_thread(self, backend: Backend) -> object:
        """Return what the function returns in a thread that does not outlive the process."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[object] = loop.create_future()

        def settle(error: BaseException | None, outcome: object) -> None:
            self._running.discard(backend)
            if done.done():  # its time was over
                return
            if error:
                done.set_exception(error)
            else:
                done.set_result(outcome)

        def work() -> None:
            error: BaseException | None = None
            outcome: Any = None
            try:
                outcome = self.function(backend)
            except Exception as raised:
                error = raised
            with suppress(RuntimeError):  # the proxy has stopped meanwhile
                loop.call_soon_threadsafe(settle, error, outcome)

        self._running.add(backend)
        threading.Thread(target=work, name=f"check of {backend.name}", daemon=True).start()
        return await done
