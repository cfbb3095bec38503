"""Load reports of servers, and the meter that makes them."""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from lbkit.core.options import number, whole


class LoadReport(NamedTuple):
    """The load of a server as it reports it, over the requests of all balancers."""

    in_flight: int  # requests running or waiting
    utilisation: float  # busy share of its workers, 0 to 1
    rate: float  # answers a second
    latency: float  # expected seconds of one more request
    errors: float = 0.0  # failed answers a second
    idle: float = 0.0  # seconds since its last request; 0 while it has one


class LoadMeter:
    """Counts the load of a server for its reports. Averages decay by half in `half_life` seconds."""

    __slots__ = (
        "_errors",
        "_gap",
        "_idle_since",
        "_pace",
        "_rate",
        "_since",
        "_utilisation",
        "decay",
        "in_flight",
        "workers",
    )

    def __init__(self, workers: int = 1, half_life: float = 1.0) -> None:
        whole(1, workers=workers)
        number(0, above=True, half_life=half_life)
        self.workers = workers
        self.decay = 0.6931471805599453 / half_life
        self.in_flight = 0
        self._since = 0.0
        self._idle_since = 0.0  # when its last request ended
        self._gap = 0.0  # seconds without a request, before those in flight
        self._utilisation = self._rate = self._errors = self._pace = 0.0

    def _advance(self, now: float) -> None:
        """Bring the averages up to `now`, with the state since the last event."""
        kept = exp(-self.decay * max(0.0, now - self._since))
        busy = min(1.0, self.in_flight / self.workers)
        self._utilisation = self._utilisation * kept + busy * (1 - kept)
        self._rate *= kept
        self._errors *= kept
        self._since = max(now, self._since)

    def started(self, now: float) -> None:
        if not self.in_flight:
            self._gap = max(0.0, now - self._idle_since)
        self._advance(now)
        self.in_flight += 1

    def ended(self, now: float, latency: float, ok: bool) -> None:
        self._advance(now)
        if ok:
            # Divided by the requests in flight: the latency under load says little about an idle server.
            pace = latency / self.in_flight
            # After a long pause the average is old, and the first answer replaces most of it.
            share = max(0.1, 1 - exp(-self.decay * self._gap)) if self._pace else 1.0
            self._pace += share * (pace - self._pace)
            self._gap = 0.0
        self.in_flight -= 1
        self._idle_since = max(now, self._idle_since)
        # Impulses of weight `decay` make the average of a steady stream equal to its rate.
        self._rate += self.decay
        self._errors += 0.0 if ok else self.decay

    def report(self, now: float) -> LoadReport:
        idle = 0.0 if self.in_flight else max(0.0, now - self._idle_since)
        self._advance(now)
        latency = self._pace * (self.in_flight + 1)
        return LoadReport(self.in_flight, self._utilisation, self._rate, latency, self._errors, idle)
