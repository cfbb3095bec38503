"""Calls in other Python processes, which never run the caller's script.

The workers of multiprocessing import the script that started them, so a script needs a main guard. A worker
here is `python -m lbkit.processes`: it reads calls from its standard input, writes results to its standard
output, and ends when its input does; if its parent is killed, in the middle of a call, too.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Processes(Executor):
    """An Executor with up to `count` processes, each started when it is first needed.

    Functions, arguments and results must be picklable; functions are imported by name. An exception in the
    `with` block also ends the calls that are running."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count)  # one waits for each process
        self._idle: list[subprocess.Popen[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []

    def submit(self, function: Callable[..., T], /, *args: Any, **fields: Any) -> Future[T]:
        """Raises, as the result, what the call raises, and BrokenExecutor if its process ends."""
        return self._threads.submit(self._call, function, args, fields)

    def _call(self, function: Callable[..., T], args: tuple[Any, ...], fields: dict[str, Any]) -> T:
        call = pickle.dumps((function, args, fields))
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = self._start()
        assert worker.stdin
        assert worker.stdout
        try:
            worker.stdin.write(call)
            worker.stdin.flush()
            good, value = pickle.load(worker.stdout)
        except (EOFError, OSError):
            raise BrokenExecutor(f"a worker process has ended, with {worker.wait()}") from None
        self._idle.append(worker)
        if good:
            result: T = value
            return result
        raise value

    def _start(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "lbkit.processes", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self._all.append(worker)
        return worker

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers after their calls."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for worker in self._all:
            worker.communicate()  # its input ends, and so does it

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind:
            for worker in self._all:
                worker.kill()
        self.shutdown(cancel_futures=kind is not None)


def _watch(parent: int) -> None:
    """End this process when its parent has gone: another one is its parent then, except on Windows."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    """Answer calls until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    # The parent passes its own number: it may be gone before this process could ask for it.
    threading.Thread(target=_watch, args=(int(sys.argv[1]),), daemon=True).start()
    calls, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a call prints goes to standard error
    while True:
        try:
            function, args, fields = pickle.load(calls)
        except EOFError:
            return
        answer: tuple[bool, Any]
        try:
            answer = True, function(*args, **fields)
        except Exception as error:
            answer = False, error
        try:
            data = pickle.dumps(answer)
        except Exception as error:
            data = pickle.dumps((False, TypeError(f"{type(answer[1]).__name__} is not picklable: {error}")))
        results.write(data)
        results.flush()


if __name__ == "__main__":
    main()
