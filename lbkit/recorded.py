"""What a simulation records on request, `run(..., record=True)`: each attempt of each request, the reasons of
the first decisions, and what happens at the entrance; and what is seen of a live session while somebody
watches. Times are in seconds from the start of the run."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from lbkit.core.balance.base import Why
from lbkit.core.health.breaker import BreakerCounts

# In the `extra` of a Result, where the run has such things. `keys`: of each row that an algorithm picked a
# backend for by its key.
RECORDED = (
    *("attempts", "decisions", "demands", "passages", "tries", "keys", "memberships", "lookups", "kept"),
    *("probed", "tallies", "budget", "panics", "relayed"),
)
# The first one, another one after a failure (or of a client that tries again), a copy while another has no
# answer yet, and a request of the cache itself.
KINDS = ("first", "retry", "hedge", "refresh")
FIRST, RETRY, HEDGE, REFRESH = KINDS


class Attempt(NamedTuple):
    """A request at one server."""

    request: int  # row of the Result
    server: int  # index into the `backends` of the Result
    at: float  # when the balancer picked the server
    start: float  # when a worker began with it; nan: never
    end: float  # when the server was done with it, or it was cut off; nan: never
    kind: str = FIRST
    # ok; failed: refused, cut off, or an error; timeout: the balancer's time for it was over; left: its
    # client had left; cancelled: another one had answered; unfinished
    outcome: str = "ok"


class Decision(NamedTuple):
    """A pick, and the reason that the algorithm gave before it."""

    at: float
    request: int  # row of the Result
    server: int  # index into the `backends` of the Result; -1: none was eligible
    why: Why


MOST_MEMBERSHIPS = 1_000


class Membership(NamedTuple):
    """The servers that the (first) balancer chose among from second `at` on."""

    at: float
    members: tuple[tuple[int, float], ...]  # index into the `backends` of the Result, and weight


class CacheLookup(NamedTuple):
    """What the cache found for a request; the column `cache` of the Result has what became of it."""

    at: float
    request: int  # row of the Result
    key: str  # the URI, without the scheme, and the host of usual requests
    verdict: str  # a value of `lbkit.core.cache.Verdict`
    follows: bool  # whether it waits for what another one is fetching


class Kept(NamedTuple):
    """An answer in the cache, from when it came until it was replaced, evicted or removed."""

    at: float
    key: str
    size: int  # bytes, with what its objects take
    fresh: float  # when it becomes stale
    usable: float  # when it can no longer be served stale while it is fetched again
    gone: float = inf
    why: str = ""  # evicted, replaced, removed


class Try(NamedTuple):
    """A try of a client that sends its request again."""

    request: int  # row of the Result
    sent: float
    ended: float  # with an answer, or as the client left


class Probed(NamedTuple):
    """A probe of the health checks of the first balancer."""

    server: int  # index into the `backends` of the Result
    sent: float
    ended: float
    fault: str  # how it failed; empty if it passed


class Tally(NamedTuple):
    """What the first balancer's health rules have counted about a server, after a change of that."""

    at: float
    server: int  # index into the `backends` of the Result
    check: str  # its state by the checks; empty without checks
    checks: int  # outcomes of checks in a row that are on their way to a change
    failures: int  # of its requests that count: in a row for outliers, else for max_fails
    until: float | None  # when it is back, if one of these two has taken it out
    breaker: BreakerCounts | None


class Budget(NamedTuple):
    """How many retries and hedges the budget allows."""

    at: float
    left: float


class Panic(NamedTuple):
    """From `at` on health is ignored (`on`), as too few servers are healthy, or not any more."""

    at: float
    on: bool
    healthy: int
    servers: int  # that the operator wants in service


class Relayed(NamedTuple):
    """A connection at layer 4: the server that it led to, and the requests on it.

    One that its server refuses, and the next one, have the same request."""

    client: int  # -1: of all clients
    server: int  # index into the `backends` of the Result
    opened: float
    closed: float  # nan: it was open at the end
    requests: tuple[int, ...]  # rows of the Result


# At the rate limits; at the gate; past it, and its end; out of its queue, as its client left. Other words are
# the gate's reasons to reject a request (`lbkit.core.gate.Refusal`).
LIMITS, GATE, ADMITTED, ENDED, LEFT = "limits", "gate", "admitted", "ended", "left"


class Passage(NamedTuple):
    """What happened to a request before the balancer, and the gate after it."""

    at: float
    request: int  # row of the Result
    what: str
    priority: str = ""  # of a request at the gate
    limit: float = inf  # requests at once
    chance: float = 0.0  # with which admission control rejects a request


class Sighting(NamedTuple):
    """A request of a running session, as far as it has come."""

    number: int  # of those that are shown
    client: int  # -1: it said that it is none of the experiment
    sent: float
    answered: float  # nan: not yet
    status: int
    size: float  # its work, in mean service times
    outcome: str
    attempts: tuple[Attempt, ...]  # their `request` is the number above
