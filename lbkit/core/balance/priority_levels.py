"""Priority levels: a reserve that takes what the first level cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.grouped import Group, _Overprovisioned


@mypyc_attr(allow_interpreted_subclasses=True)
class PriorityLevels(_Overprovisioned):
    """Level 0 gets all traffic while enough of it is healthy; what it cannot take goes to level 1, and so on.

    A level can take all traffic while `overprovisioning` times its healthy share is 1 or more: with 1.4, up
    to 28 % may be down before traffic moves. If all levels together cannot, each gets a share in proportion
    to its health; only then may a level panic and use its unhealthy servers, too. If all levels panic, each
    gets a share in proportion to its size. (Envoy, priority levels, panic threshold; overprovisioning factor
    1.4.)
    """

    health_by = "priority"

    def group(self, backend: Backend) -> int:
        return backend.priority

    def shares(self) -> Mapping[Group, float]:
        left = 1.0
        shares: dict[Group, float] = {}
        for level, healthy in health_of_levels(self._all).items():
            shares[level] = min(left, self.overprovisioning * healthy)
            left -= shares[level]
        if all(any(not b.healthy for b in self._groups.get(level, ())) for level in shares):
            return Counter(b.priority for b in self._all)  # all panic
        return shares  # drawn in proportion, should they add up to less than 1

    def panics(self, backends: Sequence[Backend], threshold: float) -> Collection[Backend]:
        health = health_of_levels(backends)
        if sum(map(self.capacity, health.values())) >= 1:
            return ()
        return [b for b in backends if health[b.priority] < threshold]


def health_of_levels(backends: Sequence[Backend]) -> dict[int, float]:
    """Return the healthy share of the backends by level of priority, the first level first."""
    levels: dict[int, list[bool]] = {}
    for backend in sorted(backends, key=lambda b: b.priority):
        levels.setdefault(backend.priority, []).append(backend.healthy)
    return {level: fmean(healthy) for level, healthy in levels.items()}
