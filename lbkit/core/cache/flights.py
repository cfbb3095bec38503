"""Request coalescing: of concurrent requests for the same response, one goes to the origin and the others
wait.

Without it a popular response that expires sends all its clients to the origin at once: a cache stampede.
(Varnish calls the waiting requests the waiting list, nginx the cache lock, Squid collapsed forwarding.)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from math import inf

from lbkit.core.options import named_fields, number, whole


class Role(Enum):
    LEAD = "lead"  # ask the origin, then call `land`
    FOLLOW = "follow"  # wait: `land` or `overdue` returns the ticket
    ALONE = "alone"  # ask the origin, for oneself only


class Landing(Enum):
    """How a leader's flight ended."""

    SHARED = "shared"  # the response is in the cache, for all: look again
    UNSHARED = "unshared"  # it was for the leader only: each asks the origin
    FAILED = "failed"  # an error, or the leader's client has left: the next one leads


@named_fields
@dataclass(frozen=True, slots=True)
class FlightRules:
    """The limits of coalescing; requests beyond them go alone. Raises ValueError.

    `patience`: seconds that a follower waits. If the leader takes as long, the next request leads instead.
    (nginx: proxy_cache_lock_timeout and proxy_cache_lock_age, 5 s.) `memory`: seconds for which requests for
    a response that could not be shared go alone, not one after the other. (Varnish: hit-for-miss, 120 s.)
    """

    max_flights: int = 10_000
    max_followers: int = 1_000  # of one leader
    patience: float = 5.0
    memory: float = 120.0
    max_memories: int = 10_000

    def __post_init__(self) -> None:
        whole(1, max_flights=self.max_flights)
        whole(0, max_followers=self.max_followers, max_memories=self.max_memories)
        number(0, above=True, patience=self.patience)
        number(0, memory=self.memory)


class _Flight:
    __slots__ = ("began", "followers", "leader")

    def __init__(self, leader: Hashable, now: float) -> None:
        self.leader = leader
        self.began = now
        self.followers: dict[Hashable, float] = {}  # ticket: until when it waits; in order of arrival


class Flights:
    """Which request goes to the origin, and which ones wait. A ticket names a request."""

    def __init__(self, rules: FlightRules | None = None) -> None:
        self.rules = rules or FlightRules()
        self._flights: dict[Hashable, _Flight] = {}
        self._unshared: OrderedDict[Hashable, float] = OrderedDict()  # key: until when requests go alone

    def join(self, key: Hashable, ticket: Hashable, now: float) -> Role:
        """Return the role of a request in the flight of `key`."""
        if self._unshared.get(key, -inf) > now:
            return Role.ALONE
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= self.rules.max_flights:
                return Role.ALONE
            self._flights[key] = _Flight(ticket, now)
            return Role.LEAD
        if now - flight.began >= self.rules.patience:
            flight.leader, flight.began = ticket, now
            return Role.LEAD
        if len(flight.followers) >= self.rules.max_followers:
            return Role.ALONE
        flight.followers[ticket] = now + self.rules.patience
        return Role.FOLLOW

    def claim(self, key: Hashable, ticket: Hashable, now: float) -> bool:
        """Return whether a request that was served stale leads a new flight of `key`; it never waits."""
        if key in self._flights or len(self._flights) >= self.rules.max_flights:
            return False
        self._flights[key] = _Flight(ticket, now)
        return True

    def land(self, key: Hashable, ticket: Hashable, how: Landing, now: float) -> tuple[Hashable, ...]:
        """End a leader's flight; return the tickets that go on now. After FAILED: the next leader, or none.

        What is SHARED ends the flight whoever fetched it, such as a leader that took too long and was
        replaced. Otherwise only the leader counts."""
        flight = self._flights.get(key)
        if flight is None or (flight.leader != ticket and how is not Landing.SHARED):
            return ()
        if how is Landing.FAILED and flight.followers:
            flight.leader = next(iter(flight.followers))
            del flight.followers[flight.leader]
            flight.began = now
            return (flight.leader,)
        del self._flights[key]
        if how is Landing.UNSHARED:
            self._remember(key, now)
        return tuple(flight.followers)

    def _remember(self, key: Hashable, now: float) -> None:
        self._unshared[key] = now + self.rules.memory
        self._unshared.move_to_end(key)
        while self._unshared and (
            len(self._unshared) > self.rules.max_memories or next(iter(self._unshared.values())) <= now
        ):
            self._unshared.popitem(last=False)

    def leave(self, key: Hashable, ticket: Hashable) -> bool:
        """Remove a request because its client has left; return whether it was a follower."""
        flight = self._flights.get(key)
        return flight is not None and flight.followers.pop(ticket, None) is not None

    def overdue(self, now: float) -> list[Hashable]:
        """Remove and return the followers that have waited long enough: each asks the origin for itself."""
        found: list[Hashable] = []
        for flight in self._flights.values():
            # The first to come are due first.
            while flight.followers and flight.followers[first := next(iter(flight.followers))] <= now:
                del flight.followers[first]
                found.append(first)
        return found

    def role(self, key: Hashable, ticket: Hashable) -> Role | None:
        """Return the role of a ticket in the flight of `key`, None without one."""
        flight = self._flights.get(key)
        if flight is None:
            return None
        if flight.leader == ticket:
            return Role.LEAD
        return Role.FOLLOW if ticket in flight.followers else None

    def waiting(self, key: Hashable) -> int:
        """Return the number of followers in the flight of `key`."""
        flight = self._flights.get(key)
        return len(flight.followers) if flight else 0

    def __len__(self) -> int:
        """The number of flights."""
        return len(self._flights)
