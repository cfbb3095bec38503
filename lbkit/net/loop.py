"""The event loop: uvloop where it is installed; and a thread that runs one.

The proxy's clock is `time.monotonic`: `loop.time()` counts from the same moment, but with uvloop in whole
milliseconds, too coarse for the latencies of servers nearby.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

# What `accept` of a healthy server may meet: no descriptor or memory is left (asyncio tries again in a
# second), or the supervisor has just given the port up (EINVAL).
ACCEPT_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL}


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where it is installed, else asyncio's own (Windows)."""
    loop: asyncio.AbstractEventLoop
    try:
        import uvloop
    except ImportError:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(_on_exception)
    else:
        loop = uvloop.new_event_loop()
    return loop


def _on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle an exception as asyncio does, but without a traceback for expected failures of `accept`."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in ACCEPT_ERRORS and "accept" in context["message"]:
        return
    loop.default_exception_handler(context)


class LoopThread:
    """Runs a coroutine in a thread with an event loop of its own, so that scripts and notebooks go on."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self, serve: Callable[[Callable[[], object]], Coroutine[Any, Any, None]]) -> None:
        """Run `serve(on_ready)`; returns when it calls `on_ready`, or raises what it raises before."""
        ready: concurrent.futures.Future[None] = concurrent.futures.Future()

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await serve(lambda: ready.set_result(None))

        def body() -> None:
            try:
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    runner.run(main())
            except BaseException as error:
                if not ready.done():
                    ready.set_exception(error)
                else:
                    traceback.print_exc()

        self._thread = threading.Thread(target=body, name="lbkit-proxy", daemon=True)
        self._thread.start()
        ready.result()

    def stop(self, shut: Callable[[], object], patience: float) -> bool:
        """Call `shut` in the loop, which ends the coroutine; return whether it ended, in `patience` seconds.

        A thread that waits inside C cannot be made to end, and is left behind. Safe to repeat."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        loop = self._loop
        if loop and not loop.is_closed():
            with suppress(RuntimeError):  # closed in the meantime
                loop.call_soon_threadsafe(shut)
        thread.join(patience)
        return not thread.is_alive()

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` in the thread, or here if none runs; return or raise what it does."""
        loop = self._loop
        if self._thread is None or loop is None or threading.current_thread() is self._thread:
            return function(*args)
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def body() -> None:
            try:
                result.set_result(function(*args))
            except BaseException as error:
                result.set_exception(error)

        loop.call_soon_threadsafe(body)
        return result.result(timeout=30)

    def cpu(self) -> float:
        """Return the seconds of processor time that the thread has used; nan where the system does not
        say."""
        thread = self._thread
        if thread is None or thread.ident is None or not hasattr(time, "pthread_getcpuclockid"):
            return float("nan")
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
