"""Operational laws: about counts and times of a window, whatever the distributions.

(Denning and Buzen, The Operational Analysis of Queueing Network Models, ACM Computing Surveys 10, 1978.)
"""

from __future__ import annotations

from lbkit.core.options import number, whole


def in_system(rate: float, time: float) -> float:
    """Return how many requests are in a system on average: L = rate x time, Little's law.

    `rate`: requests a second that come, and go. `time`: seconds that one stays, on average. It holds for any
    system whose requests all leave it, and for any part of one: only the queue, only a server.
    (Little, A Proof for the Queuing Formula L = lambda W, Operations Research 9, 1961.)

    Raises ValueError for negative numbers."""
    number(0, rate=rate, time=time)
    return rate * time


def utilisation(rate: float, service: float, workers: int = 1) -> float:
    """Return the share of the time that workers are busy: rate x service / workers, the utilisation law.

    It is Little's law of the workers alone. `rate`: requests a second that they complete. `service`: seconds
    of work for one, on average. Above 1 there is more work than they can do: as a plan, not as a measurement.

    Raises ValueError for negative numbers, and for fewer than one worker."""
    number(0, rate=rate, service=service)
    whole(1, workers=workers)
    return rate * service / workers
