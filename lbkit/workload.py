"""The requests of an experiment: who asks for what, when, and how much work it is.

Each aspect has a random stream of its own, seeded from the experiment. So every policy
and every engine sees the very same requests, and changing one aspect leaves the others alone.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from lbkit.distributions import Arrivals, ConstantRate, OnOff, Poisson, Trace
from lbkit.experiment import Experiment


def stream(seed: int, name: str) -> random.Random:
    """The random stream called `name`; independent of every other name's."""
    return random.Random(f"{seed}/{name}")


class Clients:
    """Draws, without end, what a request carries besides its arrival time."""

    def __init__(self, experiment: Experiment) -> None:
        traffic, seed = experiment.traffic, experiment.seed
        self.client = zipf(traffic.clients, traffic.client_skew, stream(seed, "clients"))
        self.path = zipf(traffic.paths, traffic.path_skew, stream(seed, "paths"))
        self.demand = stream(seed, "demand").random  # in [0, 1): the service time's quantile
        self.luck = stream(seed, "luck").random  # in [0, 1): below a server's error_rate, it fails


@dataclass(frozen=True, slots=True)
class Workload:
    """Open-loop requests in columns, in order of arrival."""

    arrival: array[float]  # seconds from the start
    client: array[int]  # 0 is the most popular
    path: array[int]
    demand: array[float]
    luck: array[float]

    @classmethod
    def empty(cls) -> Workload:
        return cls(array("d"), array("i"), array("i"), array("d"), array("d"))

    def __len__(self) -> int:
        return len(self.arrival)


def workload(experiment: Experiment) -> Workload:
    """All requests of an open-loop experiment. Raises TypeError for a closed loop."""
    traffic = experiment.traffic
    rng = stream(experiment.seed, "arrivals")
    times = array("d", arrival_times(traffic.arrivals, traffic.duration, rng))
    draw = Clients(experiment)
    n = range(len(times))
    return Workload(
        times,
        array("i", (draw.client() for _ in n)),
        array("i", (draw.path() for _ in n)),
        array("d", (draw.demand() for _ in n)),
        array("d", (draw.luck() for _ in n)),
    )


def arrival_times(arrivals: Arrivals, duration: float, rng: random.Random) -> Iterator[float]:
    """Seconds from the start, rising, below `duration`."""
    match arrivals:
        case Poisson(rate):
            now = rng.expovariate(rate)
            while now < duration:
                yield now
                now += rng.expovariate(rate)
        case ConstantRate(rate):
            # Multiplied, not added up: a million additions drift.
            yield from (i / rate for i in range(int(duration * rate) + 1) if i / rate < duration)
        case OnOff(peak, on, off):
            start = 0.0
            while start < duration:
                end = min(start + rng.expovariate(1 / on), duration)
                now = start + rng.expovariate(peak)
                while now < end:
                    yield now
                    now += rng.expovariate(peak)
                start = end + (rng.expovariate(1 / off) if off else 0.0)
        case Trace(times):
            yield from (t for t in times if t < duration)
        case _:
            raise TypeError(f"{arrivals.kind} traffic has no arrival times: they follow the answers")


def zipf(n: int, skew: float, rng: random.Random) -> Callable[[], int]:
    """A function that draws from 0 .. n-1, the k-th in proportion to 1 / (k+1)^skew."""
    if skew == 0:
        return lambda: int(rng.random() * n)
    upto = list(accumulate((k + 1) ** -skew for k in range(n)))
    total, last = upto[-1], n - 1
    return lambda: min(bisect_right(upto, rng.random() * total), last)


def client_name(client: int) -> str:
    """The address of client number `client`: 10.x.y.z, what a balancer hashes."""
    return f"10.{client >> 16 & 255}.{client >> 8 & 255}.{client & 255}"


def path_name(path: int) -> str:
    """The URL path of object number `path`."""
    return f"/item/{path}"
