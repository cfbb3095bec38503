"""A chain of services on real sockets: each has its own proxy with server processes behind it."""

from __future__ import annotations

import time
from array import array
from typing import Any, Self

from lbkit.call_chain import CallChain
from lbkit.experiment import Experiment
from lbkit.live.calling import Calls
from lbkit.live.controls import Controls
from lbkit.live.front import OwnProxy
from lbkit.live.local_fleet import LocalFleet
from lbkit.live.progress import Progress
from lbkit.live.session import LiveSession
from lbkit.live.timeline import Timeline, without_failed_boots
from lbkit.live.watching import served
from lbkit.net.watching import Seen, Watch
from lbkit.result import COLUMNS, Result
from lbkit.started import Started

LOST = "calls of this service were not recorded"


class CalledService(Controls, Started):
    """A service that is called by the servers of another one."""

    def __init__(self, experiment: Experiment, calls: Calls | None) -> None:
        super().__init__(experiment, OwnProxy(experiment), LocalFleet(experiment.leaves, experiment.seed))
        assert isinstance(self._fleet, LocalFleet)
        self._fleet.calls = calls
        self._t0 = 0.0
        self._watch: Watch | None = None
        self._seen: list[Seen] = []
        boots = {server.name: server.boot for server in experiment.servers}
        events = without_failed_boots(experiment.timeline, boots)
        self._timeline = Timeline(events, self.carry_out, self._stopping)

    def start(self) -> Self:
        try:
            self._fleet.start()
            self._front.start(self._fleet.backends())
            self._watch = self._front.watch()
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def url(self) -> str:
        return self._front.url

    def begin(self, t0: float) -> None:
        """Start the timeline of events; `t0`: second 0, on the clock of time.monotonic."""
        self._t0 = t0
        self._timeline.start(t0)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._t0 if self._t0 else 0.0

    def _send(self, client: int, requests: int, rate: float) -> None:
        raise ValueError("requests come from the service before it")

    def look(self) -> None:
        """Fetch the requests that the proxy has recorded; a few times a second, or the oldest are lost."""
        if self._watch:
            self._watch.let(1.0, self._watch.begun.maxlen or 0)
            while self._watch.begun:
                self._seen.append(self._watch.begun.popleft())

    def result(self) -> Result:
        """Return the calls so far."""
        self.look()
        columns: dict[str, array[Any]] = {name: array(code) for name, code in COLUMNS.items()}
        index = {server.name: i for i, server in enumerate(self.experiment.servers)}
        for seen in self._seen:
            if seen.ended is None:
                continue
            last = seen.attempts[-1] if seen.attempts else None
            start, work = served(last, seen.began - self._t0, self._t0) if last else (float("nan"), 0.0)
            answered = last is not None and last.head is not None
            row = {
                "arrival": seen.began - self._t0,
                "start": start,
                "end": seen.ended - self._t0,
                "backend": index[last.lease.backend.name] if last and answered else -1,
                "client": 0,
                "path": 0,
                "status": seen.status,
                "attempts": len(seen.attempts),
                "service": work,
            }
            for name, column in columns.items():
                column.append(row[name])
        facts = {**self._front.facts(), "faults": [*self._timeline.faults, *self._front.faults()]}
        if self._watch and (lost := self._watch.requests - len(self._seen)) > 0:
            facts["faults"].append(f"{lost} {LOST}")
        return Result(self.experiment, "live", columns, facts)

    def stop(self) -> None:
        self._stopping.set()
        self._timeline.join()
        if self._watch:
            self._watch.end()
        self._front.stop()
        self._fleet.stop()


def run_chain_live(chain: CallChain) -> dict[str, Result]:
    """Return the Result of each service of a chain, by name; nothing is left running.

    The clients and paths of called services are not known. Raises FleetError, ProxyError, LoadError."""
    first, *others = chain.services
    called: list[CalledService] = []
    calls: Calls | None = None

    def look(_: Progress) -> None:
        for service in called:
            service.look()

    try:
        for level in range(len(others), 0, -1):
            service = CalledService(others[level - 1], calls)
            called.insert(0, service)
            service.start()
            calls = Calls(service.experiment.name, service.url, chain.share if level == 1 else 1.0)
        with LiveSession(first, calls=calls) as session:
            for service in called:
                service.begin(time.monotonic() - session.elapsed)
            session.wait(look)
            return {first.name: session.result(), **{s.experiment.name: s.result() for s in called}}
    finally:
        for service in called:
            service.stop()
