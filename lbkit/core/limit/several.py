"""Limits combined: several on one key, and a hierarchy of keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.limit.base import Decision, Limiter, State, make_limiter

Spec = Limiter | Mapping[str, Any]  # a limiter, or {"kind": its name, its options...}


def limiter_of(spec: Spec) -> Limiter:
    """Return the limiter that `spec` describes. Raises ValueError for an unknown kind or option."""
    if isinstance(spec, Limiter):
        return spec
    options = dict(spec)
    try:
        kind = options.pop("kind")
    except KeyError:
        raise ValueError(f"limits: {dict(spec)} has no kind, such as token_bucket") from None
    return make_limiter(kind, **options)


@mypyc_attr(allow_interpreted_subclasses=True)
class Several(Limiter):
    """Several limits on the same key, as 10 a second and 1,000 an hour. If one denies, none is used up.

    The decision is that of the tightest limit. A state is the tuple of all states.
    """

    limit_name = "lowest limit"

    def __init__(self, limits: Iterable[Spec]) -> None:
        self.limits = [limiter_of(spec) for spec in limits]
        if not self.limits:
            raise ValueError("limits: there must be at least one")
        self.limit = min(limit.limit for limit in self.limits)
        self._none = (None,) * len(self.limits)

    def step(self, state: State, now: float, cost: float) -> State:
        states = state or self._none
        afters = tuple(one.step(before, now, cost) for one, before in zip(self.limits, states, strict=True))
        return None if None in afters else afters

    def granted(self, after: State, now: float, cost: float) -> Decision:
        pairs = zip(self.limits, after, strict=True)
        return tightest([limit.granted(one, now, cost) for limit, one in pairs])

    def denied(self, before: State, now: float, cost: float) -> Decision:
        pairs = zip(self.limits, before or self._none, strict=True)
        deny = [(limit, one) for limit, one in pairs if limit.step(one, now, cost) is None]
        return tightest([limit.denied(one, now, cost) for limit, one in deny])

    def over(self, state: State, now: float) -> bool:
        pairs = zip(self.limits, state, strict=True)
        return all(limit.over(one, now) for limit, one in pairs)


class Hierarchy:
    """A hierarchy of limits: for all, for each tenant, for each client of a tenant. If one denies, none is
    used up.

    A key is a path, "tenant/client"; the first level limits all keys together, the next by the first word
    of the key, and so on.
    """

    def __init__(self, levels: Iterable[Spec]) -> None:
        self.levels = [limiter_of(spec) for spec in levels]
        if not self.levels:
            raise ValueError("levels: there must be at least one")

    def keys(self, key: str) -> list[str]:
        """Return the key at each level. Raises ValueError if its depth is wrong."""
        words = key.split("/") if len(self.levels) > 1 else []
        if len(words) != len(self.levels) - 1:
            wanted = "/".join(f"level{i}" for i in range(1, len(self.levels)))
            raise ValueError(f"key is {key!r}: {len(self.levels)} levels need {wanted!r}")
        return ["/".join(words[:depth]) for depth in range(len(self.levels))]

    def admit(self, key: str, now: float, cost: float = 1) -> Decision:
        """Admit the request if all levels do; return the decision of the tightest."""
        pairs = list(zip(self.levels, self.keys(key), strict=True))
        would = tightest([level.would(name, now, cost) for level, name in pairs])
        if would.allowed:
            for level, name in pairs:
                level.admit(name, now, cost)
        return would


def tightest(decisions: list[Decision]) -> Decision:
    """Return the denial with the longest retry; without one, the least remaining with the longest delay."""
    if len(decisions) == 1:
        return decisions[0]
    denials = [d for d in decisions if not d.allowed]
    if denials:
        return max(denials, key=lambda d: d.retry_after)
    least = min(decisions, key=lambda d: d.remaining)
    return least._replace(
        delay=max(d.delay for d in decisions), reset_after=max(d.reset_after for d in decisions)
    )
