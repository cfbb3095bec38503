"""What follows a failed attempt: another one, where and when, or the end of the request.

Pure: the simulator and the proxy follow the same plan, each with its own clock and I/O. An attempt is a
request sent to one backend; which backends are eligible is the Pool's decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from lbkit.core.backend import Backend

# Sent twice, these do what they do once. (RFC 9110, 9.2.2.)
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class Repeat(Enum):
    """Whether a request may be sent again after a failure."""

    ALWAYS = "always"  # the backend never had it
    IF_SAFE = "if safe"  # the backend may have acted on it: only what is harmless twice
    NEVER = "never"


class Failure(Enum):
    """How an attempt failed before anything of its answer reached the client.

    `status`: the client's answer when no other attempt follows. After a timeout the same work elsewhere would
    only add to the load; a malformed answer is the backend's own, and would come again.
    """

    status: int
    repeat: Repeat

    REFUSED = "refused", 502, Repeat.ALWAYS  # no connection: nothing was sent
    CONNECT_TIMEOUT = "connect timeout", 504, Repeat.ALWAYS  # no connection in time: nothing was sent
    CLOSED_UNANSWERED = "closed unanswered", 502, Repeat.IF_SAFE  # ended before the first byte of an answer
    RESET = "reset", 502, Repeat.IF_SAFE  # the connection ended within the answer's head
    TIMEOUT = "timeout", 504, Repeat.NEVER  # no answer in time: the backend may still be working on it
    MALFORMED = "malformed", 502, Repeat.NEVER  # what came back is not an answer

    def __init__(self, label: str, status: int, repeat: Repeat) -> None:
        self.label = label
        self.status = status
        self.repeat = repeat


class Again(NamedTuple):
    """Send it again, `delay` seconds from now."""

    backend: Backend | None  # this one, on a new connection; None: pick another than those in `tried`
    delay: float = 0.0


class GiveUp(NamedTuple):
    """Answer the client with `status`."""

    status: int


_ELSEWHERE = Again(None)


@dataclass(frozen=True, slots=True)
class AttemptPolicy:
    """`retries`: how many backends to try after the first."""

    retries: int = 1


class Attempts:
    """The failed attempts of one request, and what follows them.

    Made at the first failure: a request that meets none pays nothing. `safe`: the request is idempotent and
    there in full, so that it may be sent again although a backend may have acted on it.
    """

    __slots__ = ("_policy", "_renewed", "safe", "status", "tried")

    def __init__(self, policy: AttemptPolicy, safe: bool) -> None:
        self._policy = policy
        self._renewed: Backend | None = None  # has been given a new connection once
        self.safe = safe
        self.status = 503  # of the latest failure
        self.tried: tuple[Backend, ...] = ()  # backends not to pick again

    def after(self, failure: Failure, backend: Backend, kept: bool = False) -> Again | GiveUp:
        """Return the next step after `backend` failed; `kept`: on a connection that had served requests.

        A backend may close a kept connection at any time, also just as a request is on its way (RFC 9112,
        9.3.1 and 9.5). That says nothing about its health, so the same backend gets the request once
        more on a new connection, without this counting as a retry.
        """
        self.status = failure.status
        repeat = failure.repeat
        allowed = repeat is Repeat.ALWAYS or (repeat is Repeat.IF_SAFE and self.safe)
        if allowed and kept and failure is Failure.CLOSED_UNANSWERED and self._renewed is not backend:
            self._renewed = backend
            return Again(backend)
        self.tried += (backend,)
        if allowed and len(self.tried) <= self._policy.retries:
            return _ELSEWHERE
        return GiveUp(failure.status)
