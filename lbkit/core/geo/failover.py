"""How long clients go on to an address after the DNS has stopped giving it.

A time to live of 60 s does not mean that everybody has moved after 60 s. The server has to notice first.
Then each resolver keeps the old answer for as long as it was told, or longer: of 8,524 resolvers that were
measured, 8.74 % extended the TTL (Bhowmick et al., PAM 2023). And programs keep addresses of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from lbkit.core.options import number


@dataclass(frozen=True, slots=True)
class Resolvers:
    """Resolvers of one habit: the `share` of clients that use them, and for how long they keep an answer."""

    share: float = 1.0
    least: float = 0.0  # seconds that they keep any answer, whatever its TTL
    most: float = inf  # seconds after which they ask again, whatever its TTL
    # Questions a second that one of them gets; inf: it always has an answer. What is not asked forgets.
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
        """Return the chance that one of them has an answer at some moment, with questions at random moments.

        It keeps one for `keep` seconds and has none until the next question, 1/rate later on average."""
        if self.rate == inf:
            return 1.0
        kept = self.rate * self.keep(ttl)
        return kept / (1 + kept)


@dataclass(frozen=True, slots=True)
class DnsFailover:
    """The way of clients from one address to another, after the first has failed.

    An answer that a resolver has is of any age, from 0 to the time for which it keeps it. A resolver that was
    not asked lately has nothing old to tell. It is about the clients' next request: a connection that stays
    open goes on to the old address, as `hold` says."""

    ttl: float = 60.0  # seconds
    notice: float = 0.0  # seconds from the failure until the DNS server gives the other address
    resolvers: Sequence[Resolvers] = (Resolvers(),)
    # Seconds for which a program keeps an address before it asks again, in a table of its own or by a
    # connection that stays open; 0: it asks each time.
    hold: float = 0.0

    def __post_init__(self) -> None:
        number(0, ttl=self.ttl, notice=self.notice, hold=self.hold)
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
        """The seconds after which the last client has moved."""
        return self.notice + max(kind.keep(self.ttl) for kind in self.resolvers if kind.share) + self.hold

    @property
    def mean(self) -> float:
        """The mean of the seconds for which clients go to the failed address."""
        kept = 0.0
        for kind in self.resolvers:
            kept += kind.share * kind.has_answer(self.ttl) * kind.keep(self.ttl)
        return self.notice + (kept + self.hold) / 2

    def time_until(self, share: float) -> float:
        """Return the seconds until no more than `share` of the clients go to the failed address.

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
    """Return the chance that the sum of two waits, uniform up to `kept` and up to `hold`, is above `time`.

    The first is what is left of the resolver's answer, the second what is left, then, of the program's."""
    short, long = sorted((kept, hold))
    left = short + long - time
    if left <= 0:
        return 0.0
    if not short:
        return 1 - time / long
    # The area of a rectangle above the line x + y = time.
    if time <= short:
        return 1 - (time / short) * (time / long) / 2
    if time <= long:
        return 1 - (time - short / 2) / long
    return (left / short) * (left / long) / 2
