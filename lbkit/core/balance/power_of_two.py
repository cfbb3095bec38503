"""Power of two choices: draw a few backends, take the least loaded of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import inf

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why, restoring
from lbkit.core.options import whole

MAX_DRAWS = 1000  # a pick


@mypyc_attr(allow_interpreted_subclasses=True)
class _SampledChoice(Balancer):
    """Draws a sample of the backends and takes the lowest score in it. The first drawn wins ties."""

    scored = "in flight / weight"  # what the score is, in words

    def sample(self, backends: Sequence[Backend]) -> Sequence[Backend]:
        """Return the backends to compare: two different ones."""
        n = len(backends)
        if n == 1:
            return backends
        i = int(self.rng.random() * n)
        j = int(self.rng.random() * (n - 1))
        if j >= i:
            j += 1  # skips i: with replacement, one sample in n would be of one backend only
        return backends[i], backends[j]

    def score(self, backend: Backend, now: float) -> float:
        return backend.in_flight / backend.weight

    def compared(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        """Return the backends of which the lowest score is picked: a sample."""
        return self.sample(backends)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        sampled = self.compared(backends, now)
        return sampled[0] if len(sampled) == 1 else min(sampled, key=lambda b: self.score(b, now))

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with restoring(self.rng):
            sampled = self.compared(backends, now)
        return Why(f"{self.scored} of those drawn", {b.name: self.score(b, now) for b in sampled}, "lowest")


@mypyc_attr(allow_interpreted_subclasses=True)
class PowerOfTwo(_SampledChoice):
    """The less loaded of two different random backends ("power of two choices").

    Comparing two gives nearly all the benefit of comparing all, and several proxies do not herd to the
    one backend that looks best. (Mitzenmacher, IEEE TPDS 12(10), 2001.)
    """

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        if len(backends) == 1:
            return backends[0]
        a, b = self.sample(backends)
        return a if a.in_flight * b.weight <= b.in_flight * a.weight else b


@mypyc_attr(allow_interpreted_subclasses=True)
class PowerOfChoices(_SampledChoice):
    """The least loaded of `choices` random backends, drawn with `replacement` or without.

    With 2 it is power of two choices. Each further choice helps less, and with as many as there are backends
    it is a full scan, which lets several proxies herd to the same backend. `weighted`: backends are drawn in
    proportion to weight, so shares follow the weights also when all are idle. (Mitzenmacher, 2001; Envoy
    least_request `choice_count`; Caddy `random_choose`; HAProxy `random(n)`, which draws by weight.)
    """

    def __init__(self, choices: int = 3, replacement: bool = False, weighted: bool = False) -> None:
        # Draws that may meet the same backend again are as many as asked for; others end with the pool.
        whole(1, MAX_DRAWS if replacement or weighted else inf, choices=choices)
        self.choices = choices
        self.replacement = replacement
        self.weighted = weighted
        self._cumulative: list[float] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._cumulative = list(accumulate(b.weight for b in backends))

    def sample(self, backends: Sequence[Backend]) -> Sequence[Backend]:
        sums = self._cumulative if self.weighted else None
        if sums and len(sums) != len(backends):  # a retry, among fewer
            sums = list(accumulate(b.weight for b in backends))
        if self.replacement:
            return self.rng.choices(backends, cum_weights=sums, k=self.choices)
        if not self.weighted:
            return self.rng.sample(backends, min(self.choices, len(backends)))
        # Very unequal weights could draw the same backend for ever: stop after four times as many draws.
        drawn = self.rng.choices(backends, cum_weights=sums, k=4 * self.choices)
        return list(dict.fromkeys(drawn))[: self.choices]
