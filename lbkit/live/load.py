"""Locust as a process of its own; its rows are read while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lbkit.arrivals import Closed
from lbkit.experiment import Experiment, Policy
from lbkit.live.handed import Handed
from lbkit.live.program import Program
from lbkit.result import COLUMNS, good
from lbkit.run import EngineError

GRACE = 10.0  # seconds after the duration in which answers still count
LOAD_TIMEOUT = 30.0  # seconds that Locust may take to start
HEAD_START = 0.15  # seconds between the agreement on moment 0 and moment 0

# Row of a request, in the order of lbkit.result.COLUMNS, and those of OPTIONAL that the experiment has; the
# backend by name, None where nothing is known.
Row = tuple[Any, ...]
STATUS = list(COLUMNS).index("status")


class LoadError(EngineError):
    """Locust did not start, or ended early; the message has its last output."""


class Load:
    """The traffic of `experiment`, sent to `url`."""

    def __init__(self, experiment: Experiment, url: str, grace: float = GRACE, ca: str = "") -> None:
        """`ca`: the file of the authority that clients trust, with TLS."""
        self.experiment = experiment
        self.url = url
        self.ca = ca
        self.grace = grace
        self.t0 = 0.0  # moment 0, on the clock of time.monotonic
        self.rows: list[Row] = []  # appended to by a thread of ours, in the order of their ends
        self.errors = 0  # rows without a good answer
        self.facts: dict[str, Any] = {}  # what Locust says at the end
        self.error: LoadError | None = None
        self.done = threading.Event()
        self._locust: Program | None = None
        self._reader: threading.Thread | None = None
        self._connection: socket.socket | None = None
        self._stopping = False
        self._handed = Handed()

    @property
    def watched(self) -> bool:
        """Whether requests may be abandoned, by their clients or by the proxy, while servers work on them."""
        return self.experiment.traffic.patience is not None or self.experiment.policy.retry is not None

    def start(self) -> None:
        """Start Locust; returns when moment 0 is agreed. Raises LoadError."""
        arrivals = self.experiment.traffic.arrivals
        users = arrivals.users if isinstance(arrivals, Closed) else 1
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LOAD_TIMEOUT)
            # Not what may be a learner's own: Locust's process does not know the class.
            settings = {
                "experiment": self.experiment.but(
                    policy=Policy(sticky=self.experiment.policy.sticky),
                    limits=(),
                    admission=None,
                    deploy=None,
                ).to_dict(),
                "url": self.url,
                "port": listener.getsockname()[1],
                "grace": self.grace,
                "watched": self.watched,
                "ca": self.ca,
            }
            bound = self.experiment.traffic.duration + self.grace + LOAD_TIMEOUT
            command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py"))]
            command += ["--headless", "--host", self.url, "-u", str(users), "-r", str(users)]
            command += ["--run-time", f"{bound:.0f}s", "--exit-code-on-error", "0", "--only-summary"]
            self._locust = Program(command, env=os.environ | {"LBKIT_PLAY": self._handed.write(settings)})
            try:
                self._connection = self._accept(listener)
                lines = self._connection.makefile("rw", encoding="utf-8", newline="\n")
                self._connection.settimeout(LOAD_TIMEOUT)
                if not lines.readline():
                    raise LoadError(f"Locust ended before it began: {self._last_words()}")
                self._connection.settimeout(None)
                self.t0 = time.monotonic() + HEAD_START
                lines.write(json.dumps({"t0": self.t0}) + "\n")
                lines.flush()
            except BaseException:
                self.stop()
                raise
        self._reader = threading.Thread(target=self._read, args=(lines,), name="lbkit-load", daemon=True)
        self._reader.start()

    def _accept(self, listener: socket.socket) -> socket.socket:
        """Return Locust's connection. Raises LoadError with its last output if there is none."""
        assert self._locust
        end = time.monotonic() + LOAD_TIMEOUT
        listener.settimeout(0.1)
        while time.monotonic() < end:
            try:
                return listener.accept()[0]
            except TimeoutError:
                if not self._locust.running:
                    raise LoadError(f"Locust ended before it began: {self._last_words()}") from None
        raise LoadError(f"Locust did not start within {LOAD_TIMEOUT:g} s: {self._last_words()}")

    def _read(self, lines: Any) -> None:
        """Read rows, in a thread, until Locust reports the end."""
        try:
            for line in lines:
                data = json.loads(line)
                if isinstance(data, list):
                    self.rows.append(tuple(data))
                    self.errors += not good(data[STATUS])
                else:
                    self.facts = data
                    break
        except (OSError, ValueError) as error:
            if not self._stopping:
                self.error = LoadError(f"Locust broke off: {error}")
        finally:
            if not self.facts and not self._stopping and not self.error:
                self.error = LoadError(f"Locust broke off: {self._last_words()}")
            self.done.set()
            with contextlib.suppress(OSError):
                lines.close()

    def _last_words(self) -> str:
        return self._locust.last_words() if self._locust else "it was stopped"

    def send(self, client: int, requests: int, rate: float) -> None:
        """Have a client send requests besides all others. Raises ValueError when the traffic is over."""
        order = {"client": client, "requests": requests, "rate": rate}
        over = self.done.is_set() or time.monotonic() - self.t0 >= self.experiment.traffic.duration
        try:
            if over or not self._connection:
                raise OSError
            self._connection.sendall((json.dumps(order) + "\n").encode())
        except OSError:
            raise ValueError("the traffic is over: nothing is sent any more") from None

    def wait(self, watch: Callable[[], object] | None = None) -> None:
        """Return when all requests have ended; `watch` is called five times a second meanwhile.

        Raises LoadError when Locust broke off."""
        bound = self.experiment.traffic.duration + self.grace + LOAD_TIMEOUT
        while not self.done.wait(0.2):  # in steps, so that an interrupt gets through
            if watch:
                watch()
            if time.monotonic() > self.t0 + bound:
                words = self._last_words()
                self.stop()
                raise LoadError(f"Locust did not end: {words}")
        if self.error:
            raise self.error

    def stop(self) -> None:
        """End Locust, whether it is done or not. Safe to repeat."""
        self._stopping = True
        locust, self._locust = self._locust, None
        if locust is None:
            self._handed.remove()
            return
        locust.end()
        self._handed.remove()
        if self._connection:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
        if self._reader:
            self._reader.join(5)
        self.done.set()
