"""A learner's rule for retries in the kit's place: for experiments with a simulated or a real proxy."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import attrs

from lbkit.core import Backend
from lbkit.core.attempts import AttemptPolicy, Attempts, Failure, Kind, Repeat
from lbkit.policy import Policy, Stream


class Failed(NamedTuple):
    """An attempt of a request that has failed."""

    method: str  # of the request, such as "GET" or "POST"
    sent: bool  # whether the server may have received it
    tried: Sequence[str]  # the servers that this request has gone to, the latest one last
    servers: Sequence[str]  # all servers
    now: float  # seconds
    deadline: float  # seconds: when the client stops waiting


class Decides(Protocol):
    """What a learner writes: one object for all requests of a balancer."""

    def began(self) -> None: ...

    def after(self, failed: Failed) -> tuple[str, float] | None: ...


class OwnAttempts(AttemptPolicy):
    """Asks a learner's rule whether and when a request is sent again.

    The kit still sees to it that nothing is sent twice that must not be, and the balancer's algorithm
    chooses among the servers that have not been tried, whichever of them the rule names."""

    __slots__ = ("_rule", "_servers")

    def __init__(self, policy: Policy, rule: Decides, servers: Sequence[str]) -> None:
        super().__init__(policy.retries, policy.retry)
        self._rule = rule
        self._servers = list(servers)

    def began(self, now: float) -> None:
        self._rule.began()

    def retry_delay(self, attempts: Attempts, now: float, failed: Backend, failure: Failure) -> float | None:
        # The kit passes on only whether sending twice is harmless, so one method stands for all of a kind.
        method = "GET" if attempts.safe else "POST"
        tried = [backend.name for backend in attempts.tried]
        sent = failure.repeat is not Repeat.ALWAYS
        answer = self._rule.after(Failed(method, sent, tried, self._servers, now, attempts.until))
        if answer is None:
            return None
        self.note(Kind.RETRY, now, failed, failure.label)
        return float(answer[1])


def own_retry(make: Callable[[random.Random], Decides], servers: Sequence[str], policy: Policy) -> Policy:
    """Return a policy like `policy` that asks a learner's rule after each failed attempt.

    `make` is called once for each run, with a source of chance, as in `lambda rng: RetryRule(rng=rng)`.
    `servers`: names of all servers. Raises ValueError unless the policy has rules for retries."""
    if policy.retry is None:
        raise ValueError("policy.retry is None: use Retry(...), with the timeouts and the deadline")

    def attempts(self: Policy, stream: Stream) -> AttemptPolicy:
        return OwnAttempts(self, make(stream("retries")), servers)

    kind: Any = type("OwnRetry", (Policy,), {"attempts": attempts})
    made: Policy = kind(**attrs.asdict(policy, recurse=False))
    return made
