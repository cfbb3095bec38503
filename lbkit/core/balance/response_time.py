"""Least response time: measured latency, multiplied by the requests in flight."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import exp, inf, log

from lbkit.core.backend import NEW_SAMPLE, Backend
from lbkit.core.balance.base import Why
from lbkit.core.balance.least_connections import _LowestScore
from lbkit.core.balance.power_of_two import _SampledChoice
from lbkit.core.options import number


class LeastResponseTime(_LowestScore):
    """The backend with the shortest expected wait: average latency x (in flight + 1), for its weight.

    An average that nothing refreshes fades: it falls by the factor e in `decay` seconds, and the next answer
    replaces what has faded. So a backend that was slow is tried again, after decay x ln(how many times slower
    it was), and equal backends share the load. With a `decay` of inf averages never fade, as in nginx's
    least_time and Traefik's leasttime: a backend that was slow once may never get another request while load
    is low. A new backend has no average yet and scores 0, so it is flooded until its first answer is back.
    One that has only ever failed counts as slow as the slowest: 0 would draw all requests to it.
    """

    def __init__(self, decay: float = 3.0) -> None:
        number(0, above=True, infinite=True, decay=decay)
        super().__init__()
        self.decay = decay
        self._averages: dict[Backend, tuple[float, float]] = {}  # latency, when it was measured
        self._since: dict[Backend, float] = {}  # when a request last started or ended
        self._slowest = 0.0
        self._assumed: dict[Backend, float] = {}  # latency of backends that have only failed so far

    def score(self, backend: Backend, in_flight: int, since: float) -> float:
        # All scores fade alike. As logarithms they all lose the same in the same time, so their order stays
        # while nothing happens: the time of the last change, added once, is as good as fading all along.
        latency = self._latency(backend)
        return log(latency * (in_flight + 1) / backend.weight) + since / self.decay if latency else -inf

    def since(self, backend: Backend) -> float:
        return self._since.get(backend, 0.0)

    def _latency(self, backend: Backend) -> float:
        known = self._averages.get(backend)
        return (known[0] if known else backend.latency) or self._assumed.get(backend, 0.0)

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._assumed = {b: self._assumed[b] for b in backends if b in self._assumed}
        self._since = {b: self._since[b] for b in backends if b in self._since}
        self._averages = {b: self._averages[b] for b in backends if b in self._averages}
        super().rebuild(backends)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        backend = super().pick(backends, key, now)
        self._since[backend] = now
        return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        backend = super().pick_except(backends, exclude, key, now)
        self._since[backend] = now
        return backend

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend.latency > self._slowest:
            self._slowest = backend.latency
        if backend not in self._level_of:
            return
        if ok:
            average, when = self._averages.get(backend, (0.0, now))
            if average:
                share = max(NEW_SAMPLE, 1 - exp((when - now) / self.decay))
                self._averages[backend] = average + share * (latency - average), now
            else:
                self._averages[backend] = backend.latency, now
        elif ok is False and not backend.latency:
            self._assumed[backend] = self._slowest
        self._since[backend] = now
        super().done(backend, latency, ok, now)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        waits = {
            b.name: self._latency(b) * (b.in_flight + 1) / b.weight * exp((self.since(b) - now) / self.decay)
            for b in self._level_of
        }
        return Why("expected wait, faded since its last change; longest waiting first", waits, "lowest")


class PeakEWMA(_SampledChoice):
    """Of two random backends, the one with the shorter expected wait: recent latency x (in flight + 1).

    The latency is a moving average that decays with time (`decay`, in seconds), and a slow answer raises it
    at once: it rises fast and falls slowly. A failure counts as the slowest answer so far, however quickly
    it came. (Finagle's P2C with Peak EWMA; Linkerd.)
    """

    name = "peak_ewma"

    def __init__(self, decay: float = 10.0) -> None:
        number(0, above=True, decay=decay)
        self.decay = decay
        self._averages: dict[Backend, tuple[float, float]] = {}  # latency, when it was measured
        self._slowest = 0.0

    def rebuild(self, backends: Sequence[Backend]) -> None:
        members = set(backends)
        self._averages = {b: known for b, known in self._averages.items() if b in members}

    def score(self, backend: Backend, now: float) -> float:
        latency, since = self._averages.get(backend, (0.0, now))
        if not latency and backend.in_flight:
            return 1e9 + backend.in_flight  # a new backend gets one request until its first answer
        return latency * exp(-(now - since) / self.decay) * (backend.in_flight + 1) / backend.weight

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if ok is None:
            return
        self._slowest = max(self._slowest, latency)
        if not ok:
            latency = self._slowest
        before, since = self._averages.get(backend, (0.0, now))
        kept = exp(-(now - since) / self.decay)
        average = before * kept + latency * (1 - kept)
        self._averages[backend] = max(latency, average), now
