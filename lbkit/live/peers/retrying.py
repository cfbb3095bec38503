"""What programs support of the rules of retries (`policy.retry`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lbkit.core.retry import AttemptTimeouts, Retry
from lbkit.live.peers.errors import PeerError

_USUAL = Retry()
_OTHERS = ("backoff", "budget", "hedge", "deadline", "fallback", "buffer")  # lbkit's proxy only
CONNECT = 5.0  # seconds for a connection, where the rules have no timeout


@dataclass(frozen=True)
class RetryWays:
    """The timeouts of an attempt that a program has, and the statuses after which it retries."""

    timeouts: Collection[str] = ()
    statuses: Collection[int] = ()

    def check(self, name: str, rules: Retry) -> None:
        """Raise PeerError for the first rule that the program `name` does not support."""
        for field in _OTHERS:
            if getattr(rules, field) != getattr(_USUAL, field):
                self._refuse(name, field)
        for field in ("connect", "first_byte", "total"):
            if getattr(timeouts_of(rules), field) is not None and field not in self.timeouts:
                self._refuse(name, f"timeouts.{field}")
        for status in rules.statuses:
            if status not in self.statuses:
                can = f"it retries after {', '.join(map(str, self.statuses))}; or " if self.statuses else ""
                raise PeerError(f"{name} cannot retry after status {status} here: {can}use lbkit's proxy")

    def _refuse(self, name: str, field: str) -> None:
        raise PeerError(f"{name} has no retry.{field} here: use lbkit's proxy, or leave it out")


def timeouts_of(rules: Retry | None) -> AttemptTimeouts:
    """Return the timeouts of an attempt; those of no rules have no values."""
    return (rules and rules.timeouts) or AttemptTimeouts()
