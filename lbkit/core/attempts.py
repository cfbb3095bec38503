"""What follows a failed attempt: another one, where and when, or the end of the request.

Pure: the simulator and the proxy follow the same plan, each with its own clock and I/O. An attempt is a
request sent to one backend; which backends are eligible is the Pool's decision.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from enum import Enum, StrEnum
from math import inf
from typing import Any, NamedTuple

from lbkit.core.backend import Backend
from lbkit.core.retry import Retry, RetryBudget

# Sent twice, these do what they do once. (RFC 9110, 9.2.2.)
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
# These change nothing. (9.2.1, there.) Only they are sent twice at once: the late copy of a PUT could undo
# what the client does after it had its answer.
SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})


class Repeat(Enum):
    """Whether a request may be sent again after a failure."""

    ALWAYS = "always"  # the backend never had it
    IF_WHOLE = "if whole"  # the backend says that it has not acted on it: again, if all of it is still here
    IF_SAFE = "if safe"  # the backend may have acted on it: only what is harmless twice
    NEVER = "never"


class Failure(Enum):
    """How an attempt failed before anything of its answer reached the client.

    `status`: the client's answer when no other attempt follows. After a timeout the same work elsewhere would
    only add to the load; a malformed answer is the backend's own, and would come again.
    """

    label: str
    status: int
    repeat: Repeat

    REFUSED = "refused", 502, Repeat.ALWAYS  # no connection: nothing was sent
    CONNECT_TIMEOUT = "connect timeout", 504, Repeat.ALWAYS  # no connection in time: nothing was sent
    # HTTP/2 refuses a stream, or leaves it out as the connection ends. (RFC 9113, 8.7.)
    UNPROCESSED = "unprocessed", 502, Repeat.IF_WHOLE
    CLOSED_UNANSWERED = "closed unanswered", 502, Repeat.IF_SAFE  # ended before the first byte of an answer
    RESET = "reset", 502, Repeat.IF_SAFE  # the connection ended within the answer's head
    TIMEOUT = "timeout", 504, Repeat.NEVER  # no answer in time: the backend may still be working on it
    # No answer within the policy's time for one attempt, which is there to leave time for another.
    ATTEMPT_TIMEOUT = "attempt timeout", 504, Repeat.IF_SAFE
    STATUS = "status", 502, Repeat.IF_SAFE  # an answer that the policy counts as a failure
    MALFORMED = "malformed", 502, Repeat.NEVER  # what came back is not an answer
    # A WebSocket, which the backend does not take over HTTP/2 (RFC 8441): nothing was sent.
    NO_TUNNEL = "no tunnel", 502, Repeat.ALWAYS
    NO_KEY = "no key", 400, Repeat.NEVER  # a WebSocket whose client has sent no key: nothing was sent

    # Any: as in CheckState, the class has no name yet.
    def __init__(self: Any, label: str, status: int, repeat: Repeat) -> None:
        self.label = label
        self.status = status
        self.repeat = repeat


# On a kept connection these say nothing about the backend: it may close one at any time.
RENEWED = frozenset({Failure.CLOSED_UNANSWERED, Failure.UNPROCESSED})
# These say nothing about the backend's health: else clients could have it taken out of service.
BLAMELESS = frozenset({Failure.NO_TUNNEL, Failure.NO_KEY})


class Again(NamedTuple):
    """Send it again, `delay` seconds from now."""

    backend: Backend | None  # this one, on a new connection; None: pick another than those in `tried`
    delay: float = 0.0


class GiveUp(NamedTuple):
    """Answer the client with `status`."""

    status: int


_ELSEWHERE = Again(None)


class Kind(StrEnum):
    """What a balancer does about failures: the kinds of events that it counts."""

    RETRY = "retry"  # an attempt at another backend, after a failure
    HEDGE = "hedge"  # a further copy of a request that has no answer yet
    HEDGE_WON = "hedge won"  # that copy gave the answer
    OVER_BUDGET = "over budget"  # a retry or a hedge that the budget refused
    TIMEOUT = "attempt timeout"
    DEADLINE = "deadline"  # a request that is over its deadline
    FALLBACK = "fallback"  # a fallback answer


COUNTS = {  # kind -> the name of its count
    Kind.RETRY: "retries",
    Kind.HEDGE: "hedges",
    Kind.HEDGE_WON: "hedges_won",
    Kind.OVER_BUDGET: "over_budget",
    Kind.TIMEOUT: "attempt_timeouts",
    Kind.DEADLINE: "deadlines",
    Kind.FALLBACK: "fallbacks",
}
MOST_EVENTS = 100_000  # that an engine keeps for a Result: about 15 MB


class AttemptEvent(NamedTuple):
    """At second `at`, the balancer did something about a failure, or about the lack of an answer.

    `backend` is the one that failed or was slow; of a hedge that won, the one that answered; empty where it
    is about none."""

    at: float
    kind: Kind
    backend: str = ""
    why: str = ""


class AttemptPolicy:
    """The rules of one balancer, and what all its requests share: the budget, the counts, chance.

    `retries`: how many backends to try after the first. `rules`: how, and what else bounds a request.
    `counts`: how often what happened, by the names in COUNTS. `failures`: failed attempts by backend and kind
    (`Failure.label`). `events`: the first `keep` of what happened,
    each with its time; none unless a caller sets `keep`.
    """

    __slots__ = ("_budget", "_rng", "counts", "events", "failures", "keep", "retries", "rules")

    def __init__(
        self, retries: int = 1, rules: Retry | None = None, rng: random.Random | None = None
    ) -> None:
        """`rng` draws the pauses."""
        self.retries = retries
        self.rules = rules
        self.counts = dict.fromkeys(COUNTS.values(), 0)
        self.failures: Counter[tuple[str, str]] = Counter()
        self.events: list[AttemptEvent] = []
        self.keep = 0
        self._budget = RetryBudget(rules.budget) if rules and rules.budget else None
        self._rng = rng or random.Random()

    def began(self, now: float) -> None:
        """Count a request: the budget is a share of them. Needed only with `rules`."""
        if self._budget:
            self._budget.request(now)

    def budget_left(self, now: float) -> float | None:
        """Return how many retries and hedges the budget allows now; None without a budget."""
        return self._budget.left(now) if self._budget else None

    def note(self, kind: Kind, now: float, backend: Backend | None = None, why: str = "") -> None:
        """Count what happened, and keep it with its time while there is room."""
        self.counts[COUNTS[kind]] += 1
        if len(self.events) < self.keep:
            self.events.append(AttemptEvent(now, kind, backend.name if backend else "", why))

    def may_hedge(self, sent: int, now: float, slow: Backend) -> bool:
        """Return whether to send another copy of a request to which `slow` has not answered yet.

        `sent`: copies so far."""
        hedge = self.rules.hedge if self.rules else None
        return hedge is not None and sent < hedge.max_copies and self._within_budget(now, slow, "hedge")

    def retry_delay(self, attempts: Attempts, now: float, failed: Backend, failure: Failure) -> float | None:
        """Return the pause before another attempt, after the latest of a request's `attempts` failed; None:
        it is not made.

        None when the budget is used up, or when the pause would not end before the deadline."""
        delay = 0.0
        if self.rules and self.rules.backoff:
            delay = self.rules.backoff.pause(len(attempts.tried) - 1, self._rng)
        if now + delay >= attempts.until or not self._within_budget(now, failed, failure.label):
            return None
        self.note(Kind.RETRY, now, failed, failure.label)
        return delay

    def _within_budget(self, now: float, backend: Backend, why: str) -> bool:
        if self._budget is None or self._budget.retry(now):
            return True
        self.note(Kind.OVER_BUDGET, now, backend, why)
        return False

    def facts(self) -> dict[str, Any]:
        """Return what a Result keeps: counts and events; nothing where there are no rules, and no events."""
        if not (self.rules or self.events):
            return {}
        return {"attempt_counts": dict(self.counts), "attempt_events": list(self.events)}


class Attempts:
    """The failed attempts of one request, and what follows them.

    Made at the first failure: a request that meets none pays nothing. `safe`: the request is idempotent and
    there in full, so that it may be sent again although a backend may have acted on it. `whole`: it is
    there in full. `until`: the request's deadline, after which there is no point in another attempt.
    `has_other(tried)`: whether a backend is left that has not been tried; without one there is no retry,
    so none is counted, or taken from the budget.
    """

    __slots__ = ("_has_other", "_policy", "_renewed", "safe", "status", "tried", "until", "whole")

    def __init__(
        self,
        policy: AttemptPolicy,
        safe: bool,
        until: float = inf,
        has_other: Callable[[Collection[Backend]], bool] = lambda tried: True,
    ) -> None:
        self._policy = policy
        self._has_other = has_other
        self._renewed: Backend | None = None  # has been given a new connection once
        self.safe = safe
        self.whole = True
        self.until = until
        self.status = 503  # of the latest failure
        self.tried: tuple[Backend, ...] = ()  # backends not to pick again

    def after(
        self, failure: Failure, backend: Backend, kept: bool = False, now: float = 0.0
    ) -> Again | GiveUp:
        """Return the next step after `backend` failed; `kept`: on a connection that had served requests.

        A backend may close a kept connection at any time, also just as a request is on its way (RFC 9112,
        9.3.1 and 9.5). That says nothing about its health, so the same backend gets the request once
        more on a new connection, without this counting as a retry.
        """
        allowed = self._allowed(failure.repeat)
        if allowed and kept and failure in RENEWED and self._renewed is not backend:
            self._renewed, self.status = backend, failure.status
            return Again(backend)
        self.failed(failure, backend, now)
        if allowed and len(self.tried) <= self._policy.retries and self._has_other(self.tried):
            delay = self._policy.retry_delay(self, now, backend, failure)
            if delay is not None:
                return Again(None, delay) if delay else _ELSEWHERE
        return GiveUp(failure.status)

    def _allowed(self, repeat: Repeat) -> bool:
        if repeat is Repeat.IF_WHOLE:
            return self.whole
        return repeat is Repeat.ALWAYS or (repeat is Repeat.IF_SAFE and self.safe)

    def failed(self, failure: Failure, backend: Backend, now: float = 0.0) -> None:
        """Note a failure without a step of its own: another copy of the request is still on its way."""
        self.status = failure.status
        self.tried += (backend,)
        self._policy.failures[backend.name, failure.label] += 1
        if failure is Failure.ATTEMPT_TIMEOUT:
            self._policy.note(Kind.TIMEOUT, now, backend)
