"""A run in windows of equal length: for each of them, and each server, what came and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, islice
from math import isnan

from lbkit.columns import good
from lbkit.result import Result

MOST = 50  # windows of a run
LEAST = 20  # requests in a window, on average: with fewer, chance decides
LONG = 3  # windows in a row that something has to last


class Window:
    """What happened in a part of a run. Lists have an entry for each server."""

    def __init__(self, start: float, end: float, servers: int) -> None:
        self.start = start
        self.end = end
        self.sent = 0  # by clients
        self.attempts = 0  # of the requests that came
        self.failed = 0  # of the requests that ended, with a backend or without
        self.ended = 0
        self.busy = [0.0] * servers  # seconds of work
        self.served = [0] * servers  # answers of a server
        self.errors = [0] * servers  # those that were no good ones
        self.waited = [0.0] * servers  # seconds, of those that it began to serve
        self.worked = [0.0] * servers  # seconds of service, of the same
        self.begun = [0] * servers

    @property
    def length(self) -> float:
        return self.end - self.start


class Windows:
    """The windows of a run, in their order; and the run."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.servers = result.experiment.servers
        duration = result.experiment.traffic.duration
        count = max(1, min(MOST, len(result) // LEAST))
        self.length = duration / count
        self.all = [Window(i * self.length, (i + 1) * self.length, len(self.servers)) for i in range(count)]
        self._account()

    def at(self, time: float) -> Window | None:
        """Return the window of a time; None after the run."""
        number = int(time / self.length)
        return self.all[number] if 0 <= number < len(self.all) else None

    def _account(self) -> None:
        result = self.result
        for row, backend in enumerate(result.backend):
            if came := self.at(result.arrival[row]):
                came.sent += 1
                came.attempts += max(1, result.attempts[row])
            ok = good(result.status[row])
            if ended := self.at(result.end[row]):
                ended.ended += 1
                ended.failed += not ok
                if backend >= 0:
                    ended.served[backend] += 1
                    ended.errors[backend] += not ok
            start, work = result.start[row], result.service[row]
            if backend < 0 or isnan(start) or work <= 0:
                continue
            self._work(backend, start, start + work)
            if began := self.at(start):
                began.begun[backend] += 1
                began.waited[backend] += result.waiting[row]
                began.worked[backend] += work
        for lost in result.wasted:
            self._work(result.backends.index(lost.backend), lost.start, lost.end)
        for at in result.resent:
            if window := self.at(at):
                window.attempts += 1

    def _work(self, server: int, start: float, end: float) -> None:
        """Spread work over the windows in which it was done."""
        first = max(0, int(start / self.length))
        for window in islice(self.all, first, int(end / self.length) + 1):
            window.busy[server] += max(0.0, min(end, window.end) - max(start, window.start))

    def utilisation(self, window: Window, server: int) -> float:
        """Return the busy share of a server's workers in a window; 1 for shared work that takes longer."""
        return min(1.0, window.busy[server] / (window.length * self.servers[server].workers))

    def spells(self, holds: Callable[[Window], bool], least: int = LONG) -> Iterator[list[Window]]:
        """Yield the windows in a row in which something holds, at least so many. One window in between in
        which it does not hold is no end."""
        flags = [holds(window) for window in self.all]
        filled = [
            flag or (0 < i < len(flags) - 1 and flags[i - 1] and flags[i + 1]) for i, flag in enumerate(flags)
        ]
        numbered = enumerate(filled)
        for held, group in groupby(numbered, key=lambda pair: pair[1]):
            numbers = [i for i, _ in group]
            if held and len(numbers) >= least:
                yield [self.all[i] for i in numbers]
