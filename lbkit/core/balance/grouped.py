"""Balancing in two steps: first a group of backends, then one of its members."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, Intent
from lbkit.core.balance.base import Balancer, Why, make_balancer, restoring
from lbkit.core.hashing import place64
from lbkit.core.meter import LoadReport
from lbkit.core.options import number

Group = Hashable


@mypyc_attr(allow_interpreted_subclasses=True)
class _Grouped(Balancer):
    """Draws a group in proportion to its share of the traffic; the group's own balancer chooses within it.

    If the key decides within a group, it also decides the group: so equal keys still go to one backend.
    """

    def __init__(self, inner: str = "round_robin", options: Mapping[str, Any] | None = None) -> None:
        """`inner`: the algorithm within a group, with its `options`. Raises ValueError if it is unknown."""
        self._inner_name, self._options = inner, dict(options or {})
        model = self._make()
        self.keyed = model.keyed  # type: ignore[misc] # of this balancer, not of the class
        self.keyed_by = model.keyed_by  # type: ignore[misc]
        self.wants_reports = model.wants_reports  # type: ignore[misc]
        self._inner: dict[Group, Balancer] = {}
        self._groups: dict[Group, tuple[Backend, ...]] = {}
        self._all: Sequence[Backend] = ()
        self._members_known = False
        self._names: list[Group] = []
        self._cumulative: list[float] = []

    def _make(self) -> Balancer:
        return make_balancer(self._inner_name, self.rng, **self._options)

    def group(self, backend: Backend) -> Group:
        """Return the group of a backend."""
        raise NotImplementedError

    def shares(self) -> Mapping[Group, float]:
        """Return the share of traffic by group; they need not add up to 1. A group left out gets nothing."""
        raise NotImplementedError

    def members(self, backends: Sequence[Backend]) -> None:
        self._all = [b for b in backends if b.intent is Intent.READY and b.weight > 0]
        self._members_known = True

    def rebuild(self, backends: Sequence[Backend]) -> None:
        if not self._members_known:
            self._all = backends
        groups: dict[Group, list[Backend]] = {}
        for backend in backends:
            groups.setdefault(self.group(backend), []).append(backend)
        self._groups = {name: tuple(group) for name, group in groups.items()}
        for name in self._inner.keys() | self._groups.keys():
            if name not in self._inner:
                self._inner[name] = self._make()
            self._inner[name].rebuild(self._groups.get(name, ()))
        shares = {name: share for name, share in self.shares().items() if name in groups and share > 0}
        self._names = list(shares or groups)
        self._cumulative = list(accumulate(shares.values() if shares else [1.0] * len(groups)))

    def check_weights(self, weights: Mapping[str, float]) -> None:
        self._make().check_weights(weights)

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        for name, group in self._groups.items():
            self._inner[name].start_at(group, place)

    def available(self, group: Group) -> float:
        """Return the share of a group's backends that may be picked."""
        size = sum(self.group(b) == group for b in self._all)
        return len(self._groups.get(group, ())) / size if size else 0.0

    def draw(self, key: str) -> Group:
        """Return the group of a request."""
        names = self._names
        if len(names) == 1:
            return names[0]
        # Not the hash used within the group: by the same hash it would use one part of its ring only.
        drawn = place64(key) / 2**64 if self.keyed else self.rng.random()
        return names[min(bisect_right(self._cumulative, drawn * self._cumulative[-1]), len(names) - 1)]

    def draw_again(self, exclude: Collection[Backend], key: str) -> Group:
        """Return the group of a retry: one tried before, while it has backends left; then another."""
        drawn, tried = self.draw(key), {self.group(b) for b in exclude}
        left = [name for name, group in self._groups.items() if any(b not in exclude for b in group)]
        return min(left, key=lambda name: (name not in self._names, name not in tried, name != drawn))

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        name = self.draw(key)
        return self._inner[name].pick(self._groups[name], key, now)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        name = self.draw_again(exclude, key)
        return self._inner[name].pick_except(self._groups[name], exclude, key, now)

    def resumed(self, backend: Backend, now: float) -> None:
        if inner := self._inner.get(self.group(backend)):
            inner.resumed(backend, now)

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if inner := self._inner.get(self.group(backend)):
            inner.done(backend, latency, ok, now)

    def probe_targets(self, backends: Sequence[Backend], now: float) -> Sequence[Backend]:
        return [b for name in self._names for b in self._inner[name].probe_targets(self._groups[name], now)]

    def on_report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        if inner := self._inner.get(self.group(backend)):
            inner.on_report(backend, load, now, probed)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with restoring(self.rng):
            name = self.draw(key)
            return self._group_reason(name, self._inner[name].explain(self._groups[name], key, now))

    def explain_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Why:
        with restoring(self.rng):
            name = self.draw_again(exclude, key)
            return self._group_reason(
                name, self._inner[name].explain_except(self._groups[name], exclude, key, now)
            )

    def _group_reason(self, name: Group, why: Why) -> Why:
        """Return `why`, with the choice of the group before it."""
        before = [0.0, *self._cumulative]
        shares = ", ".join(
            f"{group_label(n)} {(end - start) / self._cumulative[-1]:.0%}"
            for n, end, start in zip(self._names, self._cumulative, before, strict=False)
        )
        how = "by the key" if self.keyed else "drawn"
        return replace(why, rule=f"group {group_label(name)}, {how} by share ({shares}); in it {why.rule}")


def group_label(group: Group) -> str:
    """Return a group as a text; a zone without a name is "-"."""
    return str(group) or "-"


@mypyc_attr(allow_interpreted_subclasses=True)
class _Overprovisioned(_Grouped):
    """Groups that may lose some servers before they lose traffic: with 1.4, up to 28 %. (Envoy's default.)"""

    def __init__(
        self,
        inner: str = "round_robin",
        options: Mapping[str, Any] | None = None,
        overprovisioning: float = 1.4,
    ) -> None:
        number(1, overprovisioning=overprovisioning)
        super().__init__(inner, options)
        self.overprovisioning = overprovisioning

    def capacity(self, healthy: float) -> float:
        """Return the share of its traffic that a group with this healthy share can take."""
        return min(1.0, self.overprovisioning * healthy)
