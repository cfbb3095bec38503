"""A run in windows of equal length: for each of them, and each server, what came and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import groupby, islice
from math import isnan, sqrt
from statistics import fmean

from lbkit.columns import good
from lbkit.result import Result
from lbkit.server import Server

MOST = 50  # windows of a run
LEAST = 20  # requests in a window, on average: with fewer, chance decides
LONG = 3  # windows in a row that something has to last
EXCURSIONS = 15  # times what a queue does by chance, of time and of waiting
QUANTILES = 200
MOST_LOAD = 0.9  # for these times: near 1 a queue takes for ever


def _rest(server: Server) -> float:
    """Return the mean rest of a service that another request finds, over the workers, in seconds."""
    times = service_times(server)
    return sum(t * t for t in times) / sum(times) / 2 / server.workers


def service_times(server: Server) -> list[float]:
    """Return quantiles of a server's service time, evenly spread, for its moments."""
    return [server.service.quantile((i + 0.5) / QUANTILES) / server.speed for i in range(QUANTILES)]


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
        self.servers = result.experiment.leaves
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

    @cached_property
    def mean_load(self) -> float:
        """The busy share of all servers over the run."""
        return fmean(self.utilisation(w, i) for w in self.all for i in range(len(self.servers)))

    def by_chance(self, spell: Sequence[Window], servers: Sequence[int]) -> bool:
        """Return whether a queue may have been there for so long by chance, at the mean load of the run: that
        of a server, or of several together.

        Then it is neither there for much longer than the time in which a queue forgets what it was, r / (1 -
        sqrt(load))^2, nor does a request wait much longer than r / (1 - load), the mean of those that wait; r
        is the mean rest of a service, E[S^2] / 2 E[S]. (M/G/1: relaxation time, Pollaczek and Khinchine.)"""
        load = min(MOST_LOAD, self.mean_load)
        rest = max(_rest(self.servers[server]) for server in servers) / len(servers)
        lasts = spell[-1].end - spell[0].start
        waits = max(w.waited[i] / w.begun[i] for w in spell for i in servers if w.begun[i])
        return lasts < EXCURSIONS * rest / (1 - sqrt(load)) ** 2 and waits < EXCURSIONS * rest / (1 - load)

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
