"""Clients, the DNS resolvers that they use, and a DNS server, in virtual time.

All clients of a resolver go to the address of its last answer until that expires. So DNS balances resolvers,
not requests, and a change of its answers takes effect slowly.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

from lbkit.core.geo import Resolvers
from lbkit.core.options import instances, number, whole
from lbkit.draws import stream, zipf_weights

MOST = 20_000_000  # requests that are kept

Answer = Callable[[int, float], str]  # (resolver, second) -> the address that the DNS server answers


@dataclass(frozen=True, slots=True)
class Crowd:
    """Clients that send `rate` requests a second in all, through resolvers of unequal size.

    The k-th resolver's share of the clients is proportional to 1/k^skew. `habits`: how long resolvers keep
    answers; each resolver has one of them, drawn by their shares. ValueError."""

    resolvers: int = 1000
    skew: float = 0.0
    rate: float = 100.0
    habits: Sequence[Resolvers] = (Resolvers(),)

    def __post_init__(self) -> None:
        whole(1, 1_000_000, resolvers=self.resolvers)
        number(0, skew=self.skew)
        number(0, above=True, rate=self.rate)
        instances(Resolvers, "habits", self.habits)
        if abs(sum(habit.share for habit in self.habits) - 1) > 1e-9:
            raise ValueError("habits: the shares must add up to 1")

    def weights(self) -> list[float]:
        """Return the resolvers' relative shares of the clients, the largest first."""
        return zipf_weights(self.resolvers, self.skew)


@dataclass(frozen=True, slots=True)
class Visits:
    """The requests of clients: for each its second, its resolver and the address that it went to."""

    at: array[float]
    resolver: array[int]
    address: list[str]
    questions: int  # queries that the DNS server got

    def __len__(self) -> int:
        return len(self.at)

    def share(self, address: str, start: float = 0.0, stop: float = inf) -> float:
        """Return the share of requests in [start, stop) that went to an address; 0 without any."""
        to = [a == address for at, a in zip(self.at, self.address, strict=True) if start <= at < stop]
        return sum(to) / len(to) if to else 0.0

    def shares(self, address: str, step: float, stop: float) -> list[float]:
        """Return the share of requests that went to an address in each interval of `step` seconds."""
        hits, total = [0] * round(stop / step), [0] * round(stop / step)
        for at, to in zip(self.at, self.address, strict=True):
            if at < stop:
                place = min(int(at / step), len(total) - 1)
                total[place] += 1
                hits[place] += to == address
        return [hit / (n or 1) for hit, n in zip(hits, total, strict=True)]


def visit(crowd: Crowd, answer: Answer, ttl: float, duration: float, seed: int = 1) -> Visits:
    """Return the requests of `duration` seconds when the DNS server answers with this TTL.

    Starts in the steady state: resolvers already have answers, of random ages. Raises ValueError."""
    number(0, ttl=ttl)
    number(0, above=True, duration=duration)
    if crowd.rate * duration > MOST:
        raise ValueError(f"duration is {duration:g}: at most {MOST / crowd.rate:g}, so {MOST:,} requests")
    draw, habits = stream(seed, "visits"), stream(seed, "habits")
    upto = list(accumulate(crowd.weights()))
    by_share = list(accumulate(habit.share for habit in crowd.habits))
    keeps = [
        crowd.habits[min(bisect(by_share, habits.random()), len(by_share) - 1)].keep(ttl)
        for _ in range(crowd.resolvers)
    ]
    known, until = [""] * crowd.resolvers, [0.0] * crowd.resolvers
    for resolver, weight in enumerate(crowd.weights()):
        kept = keeps[resolver]
        asked = crowd.rate * weight / upto[-1] * kept  # clients' queries during the life of an answer
        if habits.random() * (1 + asked) < asked:
            known[resolver], until[resolver] = answer(resolver, 0.0), habits.random() * kept
    visits = Visits(array("d"), array("i"), [], 0)
    questions, now = 0, 0.0
    while (now := now + draw.expovariate(crowd.rate)) < duration:
        resolver = bisect(upto, draw.random() * upto[-1])
        if until[resolver] <= now:
            questions += 1
            known[resolver], until[resolver] = answer(resolver, now), now + keeps[resolver]
        visits.at.append(now)
        visits.resolver.append(resolver)
        visits.address.append(known[resolver])
    return Visits(visits.at, visits.resolver, visits.address, questions)
