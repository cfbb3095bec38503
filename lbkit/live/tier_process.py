"""lbkit's proxy as a tier, in a process of its own that can crash, hang and recover.

`python -m lbkit.live.tier_process FILE` is that process. It reads orders, lines of JSON [method, argument,
...], and writes lines of JSON: one when it is ready, one for each change of a backend's state, and one answer
to each order.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import IO, Any

from lbkit.core import Backend
from lbkit.core.state_change import StateChange
from lbkit.experiment import Experiment
from lbkit.live.fleet import START_TIMEOUT, FleetError
from lbkit.live.front import OwnProxy
from lbkit.live.handed import Handed, handed
from lbkit.metrics.store import Scrape

ANSWERS = 5.0  # seconds to wait for an answer before the process counts as hung
FIELDS = ("name", "weight", "zone", "priority", "host", "port", "pool", "workers")  # of a backend


class OwnTier:
    """A handle on the process of a tier; has the methods of a `Front` that layers need."""

    def __init__(self, name: str, experiment: Experiment) -> None:
        self.name = name
        self.experiment = experiment
        self.port = 0
        self.start_time = 0.0  # seconds that the last start took
        self._backends: list[Backend] = []
        self._popen: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()
        self._handed = Handed()
        self._changes: list[StateChange] = []
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    # -- its life ------------------------------------------------------------------------------

    def start(self, backends: Iterable[Backend]) -> None:
        """Start the process, and return when it serves. Raises FleetError with its error output."""
        self._backends = list(backends)
        self.restart()

    def restart(self) -> None:
        """Start the process, on the port that it had before. Raises FleetError."""
        began = time.monotonic()
        settings = {
            "experiment": json.loads(self.experiment.to_json()),
            "backends": [{field: getattr(b, field) for field in FIELDS} for b in self._backends],
            "port": self.port,
        }
        popen = self._popen = subprocess.Popen(
            [sys.executable, "-m", "lbkit.live.tier_process", self._handed.write(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C goes to the parent only, which ends it
        )
        assert popen.stdout
        watchdog = threading.Timer(START_TIMEOUT, popen.kill)
        watchdog.start()
        try:
            line = popen.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            popen.stdout.close()
            self.crash()
            self._errors.seek(0)
            words = self._errors.read().decode(errors="replace").strip()[-2000:]
            raise FleetError(f"tier {self.name!r} did not start: {words or 'it wrote no message'}")
        self.port = json.loads(line)["port"]
        self.start_time = time.monotonic() - began
        self._answers = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(popen.stdout, self._answers), daemon=True).start()

    def _read(self, lines: IO[bytes], answers: queue.SimpleQueue[dict[str, Any]]) -> None:
        for line in lines:
            said = json.loads(line)
            if "change" in said:
                self._changes.append(StateChange(*said["change"]))
            else:
                answers.put(said)
        lines.close()

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def crash(self) -> None:
        """Kill the process; harmless if it does not run."""
        popen, self._popen = self._popen, None
        if popen:
            popen.kill()
            popen.wait()
            assert popen.stdin
            popen.stdin.close()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.alive:
            assert self._popen
            self._popen.send_signal(number)

    def stop(self) -> None:
        self.crash()
        self._errors.close()
        self._handed.remove()

    # -- what it does and knows ----------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in ORDERS:
            return partial(self.order, name)
        raise AttributeError(f"a tier has no {name!r}")

    def order(self, name: str, *arguments: Any) -> Any:
        """Send one of ORDERS to the process; return its answer. Raises FleetError if it is down or hangs."""
        with self._lock:
            if not self.alive:
                raise FleetError(f"tier {self.name!r} does not run")
            assert self._popen
            assert self._popen.stdin
            try:
                self._popen.stdin.write(json.dumps([name, *arguments]).encode() + b"\n")
                self._popen.stdin.flush()
                said = self._answers.get(timeout=ANSWERS)
            except (OSError, queue.Empty):
                raise FleetError(f"tier {self.name!r} does not answer") from None
        if "error" in said:
            raise FleetError(f"tier {self.name!r}: {said['error']}")
        return said["answer"]

    def metrics(self) -> Scrape:
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for name, of, value in self.order("series"):
            found.setdefault(name, {})[tuple((key, what) for key, what in of)] = value
        return found

    def changes(self) -> list[StateChange]:
        return list(self._changes)


# -- the process ---------------------------------------------------------------------------------


class _Tier(OwnProxy):
    def series(self) -> list[tuple[str, Any, float]]:
        return [(name, of, value) for name, all_of in self.metrics().items() for of, value in all_of.items()]


ORDERS = ("add", "drain", "remove", "series", "set_weight", "state", "undrain")


def main() -> None:
    settings = handed(sys.argv[1])
    lock = threading.Lock()

    def say(**what: Any) -> None:
        with lock:  # the proxy's thread writes lines, too
            print(json.dumps(what), flush=True)

    front = _Tier(Experiment.from_dict(settings["experiment"]), f"127.0.0.1:{settings['port']}")
    front.on_change = lambda change: say(change=change)
    front.start(Backend(**fields) for fields in settings["backends"])
    try:
        say(port=front.proxy.port)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            try:
                say(answer=getattr(front, name)(*arguments) if name in ORDERS else None)
            except Exception as error:  # raised again on the caller's side
                say(error=str(error))
    finally:
        front.stop()


if __name__ == "__main__":
    main()
