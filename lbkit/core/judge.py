"""Whether a new version fails more often than the old one: a test with a bound on its false alarms."""

from __future__ import annotations

from math import exp, lgamma
from typing import NamedTuple


class Counts(NamedTuple):
    """Numbers of answered requests, and of those among them that failed."""

    requests: int = 0
    errors: int = 0

    def __add__(self, other: object) -> Counts:
        if not isinstance(other, Counts):
            return NotImplemented
        return Counts(self.requests + other.requests, self.errors + other.errors)

    def since(self, before: Counts) -> Counts:
        return Counts(self.requests - before.requests, self.errors - before.errors)


def p_value(old: Counts, new: Counts) -> float:
    """Return the probability of at least this many errors of the new version, if both are equally good.

    Fisher's exact test, one-sided: the total number of errors is given, and chance alone decides which of
    the requests fail. So the number of errors of the new version is hypergeometric. (R. A. Fisher,
    Statistical Methods for Research Workers, 5th ed. 1934, section 21.02.)
    """
    total, errors = old.requests + new.requests, old.errors + new.errors
    most = min(errors, new.requests)
    ways = _log_choose(total, new.requests)
    tail = sum(
        exp(_log_choose(errors, k) + _log_choose(total - errors, new.requests - k) - ways)
        for k in range(new.errors, most + 1)
        if new.requests - k <= total - errors
    )
    return min(1.0, tail)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def fails_more(old: Counts, new: Counts, false_alarms: float, looks: int = 1) -> bool:
    """Return whether the new version is judged to fail more often.

    `false_alarms`: an upper bound of the probability that an equally good version is ever rejected in `looks`
    looks at the growing counts. Each look gets an equal part of it (Bonferroni): repeated looks at the full
    rate, up to the first bad one, would reject far more often.
    """
    return p_value(old, new) <= false_alarms / looks
