"""The watchdog: interrupts an algorithm that does not return, so that its thread can go on.

It looks from a thread of its own, twice a second, at what all threads are doing, so a pick costs no more than
without it. If it finds the same call of an algorithm ten times in a row, it raises Overtime inside it, and
the pool makes an AlgorithmError of it. Only calls into code that is not lbkit's are interrupted. A call that
waits inside C, such as `time.sleep(60)`, is interrupted when it is back in Python.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from lbkit.core.contract import Overtime, of_lbkit

PERIOD = 0.5  # seconds between two looks
LOOKS = 10  # that find the same call before it is interrupted
SHOTS = 200  # Overtimes that are raised in it, a few milliseconds apart, before the next look

# The modules that call algorithms and rate limiters, or run the code that defines them.
CALLERS = ("lbkit.core.own_code", "lbkit.core.pool", "lbkit.edge", "lbkit.course.own_algorithm")
_DEBUGGERS = ("bdb", "pdb", "pydevd", "_pydevd_bundle")  # a learner may stand in a pick as long as they like

_lock = threading.Lock()
_thread: threading.Thread | None = None


def guard() -> None:
    """Start the watchdog for all threads of this process, if it does not run yet."""
    global _thread
    if sys.platform == "emscripten":
        return  # a browser's Python has no threads
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_watch, name="algorithm-watchdog", daemon=True)
            _thread.start()


def _watch() -> None:
    looks: dict[FrameType, int] = {}  # calls in progress -> how many looks have found them
    while True:
        time.sleep(PERIOD)
        calls = algorithm_calls()
        looks = {call: looks.get(call, 0) + 1 for call in calls}
        for call, thread in calls.items():
            if looks[call] > LOOKS:
                _interrupt(call, thread)
        calls.clear()


def algorithm_calls() -> dict[FrameType, int]:
    """Return the call of an algorithm that each thread is in, with the thread's number.

    Without garbage collection meanwhile. Making a frame's object may begin one, in which another thread may
    run: then, up to Python 3.11, that frame may have ended before its object is ready, which refers to the
    memory of other frames from then on; and up to 3.11.8, the process may stop for ever (CPython's issue
    106883)."""
    collects = gc.isenabled()
    gc.disable()
    try:
        frames = sys._current_frames().items()
        return {call: thread for thread, frame in frames if (call := algorithm_call(frame)) is not None}
    finally:
        if collects:
            gc.enable()


def _interrupt(call: FrameType, thread: int) -> None:
    """Raise Overtime in a call until it ends, as `except:` may catch it; or until the next look.

    A running thread receives it where it gave up the interpreter, which is where it was seen: in the call."""
    import ctypes  # here, as a browser's Python may have none

    for _ in range(SHOTS):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Overtime))
        time.sleep(0.001)
        if algorithm_calls().get(call) != thread:
            return


def algorithm_call(frame: FrameType) -> FrameType | None:
    """Return the call of a learner's algorithm that a thread is in; None if it is in none, or in a debugger.

    `frame` is the thread's innermost. The call is the outermost one below a pool, or a rate
    limit, that is not lbkit's code."""
    call: FrameType | None = None
    found: FrameType | None = None
    for step in _outwards(frame):
        if not step.f_globals:
            return None  # the thread runs on while it is looked at: this call has just ended
        package = str(step.f_globals.get("__name__")).partition(".")[0]
        if package in _DEBUGGERS:
            return None
        if not of_lbkit(step.f_globals) and package not in sys.stdlib_module_names:
            call = step  # nor is what lbkit itself calls of the standard library
        elif step.f_globals.get("__name__") in CALLERS:
            found = call
    return found


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame:
        yield frame
        frame = frame.f_back
