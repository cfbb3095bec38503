"""Admission control by success rate: the more requests fail, the more are rejected before they cost work."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from math import inf

from lbkit.core.options import named_fields


@named_fields
@dataclass(frozen=True, slots=True)
class AdmissionControlRules:
    """The rules: after s successes in n requests of the last `window` seconds, reject with probability

        max(0, (n - s / success_rate) / (n + 1)) ^ (1 / aggression), at most `max_probability`.

    Nothing is rejected below `minimum_rate` requests a second. (Envoy, Admission control filter: 95 %, 30 s,
    aggression 1, at most 80 %; after Client-Side Throttling, Google SRE book, chapter 21.) Raises ValueError.
    """

    success_rate: float = 0.95
    window: float = 30.0
    aggression: float = 1.0
    max_probability: float = 0.8
    minimum_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.success_rate <= 1:
            raise ValueError(f"success_rate is {self.success_rate}: use a share above 0, up to 1")
        for name in ("window", "aggression"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}: use a number above 0")
        if not 0 <= self.max_probability <= 1:
            raise ValueError(f"max_probability is {self.max_probability}: use a share from 0 to 1")
        if not 0 <= self.minimum_rate < inf:
            raise ValueError(f"minimum_rate is {self.minimum_rate}: use requests a second, 0 or more")

    def control(self, rng: random.Random) -> AdmissionControl:
        """Return an admission control with these rules. `rng` draws which requests are rejected."""
        return AdmissionControl(self, rng)


class AdmissionControl:
    """Counts outcomes in buckets of a second, and rejects requests at random."""

    __slots__ = ("_counts", "_ok", "_rng", "_rules", "_total")

    def __init__(self, rules: AdmissionControlRules, rng: random.Random) -> None:
        self._rules, self._rng = rules, rng
        self._counts: deque[list[int]] = deque()  # [second, all, successes]
        self._total = self._ok = 0

    def rejection(self, now: float) -> float:
        """Return the probability that a request is rejected now."""
        self._forget_old(now)
        rules, n = self._rules, self._total
        if n < rules.minimum_rate * rules.window:
            return 0.0
        excess = max(0.0, (n - self._ok / rules.success_rate) / (n + 1))
        probability: float = excess ** (1 / rules.aggression)
        return min(rules.max_probability, probability)

    def admits(self, now: float) -> bool:
        probability = self.rejection(now)
        return probability <= 0 or self._rng.random() >= probability

    def ended(self, ok: bool, now: float) -> None:
        """Count the outcome of an admitted request."""
        self._forget_old(now)
        second = int(now)
        if not self._counts or self._counts[-1][0] != second:
            self._counts.append([second, 0, 0])
        self._counts[-1][1] += 1
        self._counts[-1][2] += ok
        self._total += 1
        self._ok += ok

    def _forget_old(self, now: float) -> None:
        oldest = now - self._rules.window
        while self._counts and self._counts[0][0] < oldest:
            _, total, ok = self._counts.popleft()
            self._total -= total
            self._ok -= ok
