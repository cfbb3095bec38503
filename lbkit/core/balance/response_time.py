"""Least response time: measured latency, multiplied by the requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from lbkit.core.backend import Backend
from lbkit.core.balance.least_connections import _LowestScore
from lbkit.core.balance.power_of_two import _SampledChoice


class LeastResponseTime(_LowestScore):
    """The backend with the shortest expected wait: average latency x (in flight + 1), for its weight.

    As nginx's least_time and Traefik's leasttime. A new backend has no latency yet and scores 0, so it
    is flooded until its first answer is back. One that has only ever failed counts as slow as the slowest:
    a score of 0 would draw all requests to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slowest = 0.0
        self._assumed: dict[Backend, float] = {}  # latency of backends that have only failed so far

    def score(self, backend: Backend, in_flight: int) -> float:
        latency = backend.latency or self._assumed.get(backend, 0.0)
        return latency * (in_flight + 1) / backend.weight

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._assumed = {b: self._assumed[b] for b in backends if b in self._assumed}
        super().rebuild(backends)

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend.latency > self._slowest:
            self._slowest = backend.latency
        if ok is False and not backend.latency and backend in self._level_of:
            self._assumed[backend] = self._slowest
        super().done(backend, latency, ok, now)


class PeakEWMA(_SampledChoice):
    """Of two random backends, the one with the shorter expected wait: recent latency x (in flight + 1).

    The latency is a moving average that decays with time (`decay`, in seconds), and a slow answer raises it
    at once: it rises fast and falls slowly. A failure counts as the slowest answer so far, however quickly
    it came. (Finagle's P2C with Peak EWMA; Linkerd.)
    """

    name = "peak_ewma"

    def __init__(self, decay: float = 10.0) -> None:
        if not decay > 0:
            raise ValueError(f"decay is {decay}: use seconds above 0")
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
