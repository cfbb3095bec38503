"""How long clients keep using an address after DNS has stopped answering with it.

A time to live of 60 s does not mean that all clients have moved after 60 s. First the DNS server has to
notice the failure. Then each resolver keeps the old answer for the TTL or longer: of 8,524 resolvers that
were measured, 8.74 % extended it (Bhowmick et al., PAM 2023). And programs cache addresses themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from lbkit.core.options import instances, number


@dataclass(frozen=True, slots=True)
class Resolvers:
    """A group of resolvers: the `share` of clients that use them, and how long they keep an answer."""

    share: float = 1.0
    least: float = 0.0  # seconds that they keep any answer, whatever its TTL
    most: float = inf  # seconds after which they ask again, whatever its TTL
    # Queries a second that each gets; inf: it always has an answer. Between rare queries, answers expire.
    rate: float = inf

    def __post_init__(self) -> None:
        number(0, 1, share=self.share)
        number(0, least=self.least)
        number(0, infinite=True, most=self.most)
        number(0, infinite=True, above=True, rate=self.rate)
        if self.most < self.least:
            raise ValueError(f"most is {self.most:g}: it is below least, {self.least:g}")

    def keep(self, ttl: float) -> float:
        """Return the seconds for which they keep an answer with this TTL."""
        return min(max(ttl, self.least), self.most)

    def has_answer(self, ttl: float) -> float:
        """Return the probability that a resolver has an answer at a random moment, for Poisson queries.

        It keeps one for `keep` seconds, then has none until the next query, 1/rate later on average."""
        if self.rate == inf:
            return 1.0
        kept = self.rate * self.keep(ttl)
        return kept / (1 + kept)


@dataclass(frozen=True, slots=True)
class DnsFailover:
    """How clients move from one address to another after the first one has failed.

    A resolver's answer has a random age, from 0 to the time for which it is kept; a resolver that was not
    queried lately has none. A client has moved when its next request would go to the new address; an open
    connection that keeps it at the old one is part of `hold`."""

    ttl: float = 60.0  # seconds
    notice: float = 0.0  # seconds from the failure until the DNS server gives the other address
    resolvers: Sequence[Resolvers] = (Resolvers(),)
    # Seconds for which a program keeps an address, in its own cache or by an open connection; 0: it asks a
    # resolver for every request.
    hold: float = 0.0

    def __post_init__(self) -> None:
        number(0, ttl=self.ttl, notice=self.notice, hold=self.hold)
        instances(Resolvers, "resolvers", self.resolvers)
        total = sum(kind.share for kind in self.resolvers)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"resolvers: their shares add up to {total:g}, use 1")

    def share_left(self, seconds: float) -> float:
        """Return the share of clients that still go to the failed address, `seconds` after the failure."""
        since = seconds - self.notice
        if since < 0:
            return 1.0
        forgotten = _later_than(since, 0.0, self.hold)
        left = 0.0
        for kind in self.resolvers:
            old = kind.has_answer(self.ttl)
            kept = _later_than(since, kind.keep(self.ttl), self.hold)
            left += kind.share * (old * kept + (1 - old) * forgotten)
        return left

    @property
    def last(self) -> float:
        """The seconds from the failure until the last client has moved."""
        return self.notice + max(kind.keep(self.ttl) for kind in self.resolvers if kind.share) + self.hold

    @property
    def mean(self) -> float:
        """The mean number of seconds for which a client uses the failed address."""
        kept = 0.0
        for kind in self.resolvers:
            kept += kind.share * kind.has_answer(self.ttl) * kind.keep(self.ttl)
        return self.notice + (kept + self.hold) / 2

    def time_until(self, share: float) -> float:
        """Return the seconds from the failure until at most `share` of the clients use the failed address.

        Raises ValueError for a share outside 0..1."""
        number(0, 1, share=share)
        early, late = 0.0, self.last
        if self.share_left(early) <= share:
            return 0.0
        for _ in range(60):  # the share only falls
            middle = (early + late) / 2
            early, late = (early, middle) if self.share_left(middle) <= share else (middle, late)
        return late


def _later_than(time: float, kept: float, hold: float) -> float:
    """Return the probability that the sum of two waits, uniform up to `kept` and `hold`, exceeds `time`.

    The first wait is the rest of the resolver's answer, the second the rest of the program's."""
    short, long = sorted((kept, hold))
    left = short + long - time
    if left <= 0:
        return 0.0
    if not short:
        return 1 - time / long
    # The share of the rectangle above the line x + y = time.
    if time <= short:
        return 1 - (time / short) * (time / long) / 2
    if time <= long:
        return 1 - (time - short / 2) / long
    return (left / short) * (left / long) / 2
