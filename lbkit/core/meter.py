"""What a server says of its load, and how it finds out."""

from __future__ import annotations

from math import exp
from typing import NamedTuple


class LoadReport(NamedTuple):
    """A server's own view, which knows of all balancers' requests."""

    in_flight: int  # requests that are there, running or waiting
    utilisation: float  # busy share of its workers, 0 to 1
    rate: float  # answers a second
    latency: float  # seconds that one more request should take
    errors: float = 0.0  # failed answers a second


class LoadMeter:
    """Counts in a server what a LoadReport says. Averages forget half of it in `half_life` seconds."""

    __slots__ = ("_errors", "_pace", "_rate", "_since", "_utilisation", "decay", "in_flight", "workers")

    def __init__(self, workers: int = 1, half_life: float = 1.0) -> None:
        self.workers = workers
        self.decay = 0.6931471805599453 / half_life
        self.in_flight = 0
        self._since = 0.0
        self._utilisation = self._rate = self._errors = self._pace = 0.0

    def _pass(self, now: float) -> None:
        """Let time pass: what was true since the last event goes into the averages."""
        kept = exp(-self.decay * max(0.0, now - self._since))
        busy = min(1.0, self.in_flight / self.workers)
        self._utilisation = self._utilisation * kept + busy * (1 - kept)
        self._rate *= kept
        self._errors *= kept
        self._since = max(now, self._since)

    def started(self, now: float) -> None:
        self._pass(now)
        self.in_flight += 1

    def ended(self, now: float, latency: float, ok: bool) -> None:
        self._pass(now)
        if ok:
            # By how many are there: a latency of a busy moment says little of an idle one.
            pace = latency / self.in_flight
            self._pace += 0.1 * (pace - self._pace) if self._pace else pace
        self.in_flight -= 1
        # An impulse of weight `decay` makes the average of a steady stream its rate.
        self._rate += self.decay
        self._errors += 0.0 if ok else self.decay

    def report(self, now: float) -> LoadReport:
        self._pass(now)
        latency = self._pace * (self.in_flight + 1)
        return LoadReport(self.in_flight, self._utilisation, self._rate, latency, self._errors)
