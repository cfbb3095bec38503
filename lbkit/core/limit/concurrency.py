"""Concurrency limits: requests at once instead of requests a second. Each one admitted needs a `done`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from mypy_extensions import mypyc_attr

from lbkit.core.limit.base import Decision, Limiter, State, of_class, positive
from lbkit.core.options import Number, number


@mypyc_attr(allow_interpreted_subclasses=True)
class InFlight(Limiter):
    """A limit on the cost in flight of a key.

    `shares`: the part of the limit that a priority class may fill, by name. A request of class "low" is
    rejected when the limit is full up to the share of "low"; the rest is kept for the other classes.
    """

    shares: Mapping[str, float]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self.shares = of_class(cls, "shares", {})
        return self

    def running(self, key: str) -> float:
        """Return the cost in flight of a key."""
        raise NotImplementedError

    def limit_of(self, key: str) -> float:
        """Return the limit of a key now."""
        raise NotImplementedError

    def done(
        self, key: str, now: float, latency: float = 0.0, ok: bool | None = True, cost: float = 1
    ) -> None:
        """An admitted request has ended after `latency` seconds; `ok` None: nothing is learned from it."""
        raise NotImplementedError

    def sheds(self, key: str, priority: str, cost: float = 1) -> bool:
        """Return whether the share of this priority class is full, though others may still be admitted."""
        share = self.shares.get(priority, 1.0)
        return share < 1 and self.running(key) + cost > share * self.limit_of(key)


def _checked(shares: Mapping[str, Any] | None) -> Mapping[str, float]:
    named: dict[str, Any] = {f"shares[{name!r}]": share for name, share in (shares or {}).items()}
    number(0, 1, above=True, **named)
    return dict(shares or {})


@mypyc_attr(allow_interpreted_subclasses=True)
class ConcurrencyLimit(InFlight):
    """At most `limit` of a key in flight. A state is the cost in flight.

    (HAProxy maxconn; Envoy circuit breakers' priorities.)
    """

    def __init__(self, limit: Number, shares: Mapping[str, float] | None = None) -> None:
        positive(limit=limit)
        self.limit = float(limit)
        self.shares = _checked(shares)

    def running(self, key: str) -> float:
        return float(self._states.get(key, 0.0))

    def limit_of(self, key: str) -> float:
        return self.limit

    def step(self, state: State, now: float, cost: float) -> State:
        running: float = (state or 0.0) + cost
        return running if running <= self.limit else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        return Decision(True, self.limit, self.limit - after)

    def denied(self, before: State, now: float, cost: float) -> Decision:
        # The end of a request is not known in advance, so there is no time to retry.
        return Decision(False, self.limit, max(0.0, self.limit - (before or 0.0)))

    def done(
        self, key: str, now: float, latency: float = 0.0, ok: bool | None = True, cost: float = 1
    ) -> None:
        running = self._states.get(key)
        if running is not None:
            self._states[key] = max(0.0, running - cost)

    def over(self, state: State, now: float) -> bool:
        return bool(state <= 0)


@mypyc_attr(allow_interpreted_subclasses=True)
class _Adaptive(InFlight):
    """A concurrency limit that adapts, key by key, to latency and failures.

    It changes once a round trip at most: requests already in flight say nothing about the new limit. A state
    is (running, limit, when it may change again, usual latency).
    """

    limit_name = "highest limit"
    initial: float
    min_limit: float
    max_limit: float

    def start(self) -> tuple[float, ...]:
        return 0.0, self._bounded(self.initial), float("-inf"), 0.0

    def learn(
        self, running: float, limit: float, usual: float, latency: float, ok: bool
    ) -> tuple[float, float]:
        """Return the limit and the usual latency after an outcome; `running` still counts the request."""
        raise NotImplementedError

    def step(self, state: State, now: float, cost: float) -> State:
        running, limit, *rest = state or self.start()
        return (running + cost, limit, *rest) if running + cost <= self._whole(limit) else None

    def granted(self, after: State, now: float, cost: float) -> Decision:
        whole = self._whole(after[1])
        return Decision(True, whole, whole - after[0])

    def denied(self, before: State, now: float, cost: float) -> Decision:
        running, limit, *_ = before or self.start()
        whole = self._whole(limit)
        return Decision(False, whole, max(0.0, whole - running))

    def _whole(self, limit: float) -> float:
        """Return the whole number of requests that may run: 10 with a limit of 10.9."""
        return max(self.min_limit, float(int(limit)))

    def running(self, key: str) -> float:
        return float(self._states.get(key, self.start())[0])

    def limit_of(self, key: str) -> float:
        return float(self._states.get(key, self.start())[1])

    def done(
        self, key: str, now: float, latency: float = 0.0, ok: bool | None = True, cost: float = 1
    ) -> None:
        state = self._states.get(key)
        if state is None:
            return
        running, limit, pause, usual = state
        if ok is not None and now >= pause:
            limit, usual = self.learn(running, limit, usual, latency, ok)
            limit, pause = self._bounded(limit), now + latency
        self._states[key] = max(0.0, running - cost), limit, pause, usual

    def _bounded(self, limit: float) -> float:
        bounded: float = min(self.max_limit, max(self.min_limit, limit))
        return bounded


@mypyc_attr(allow_interpreted_subclasses=True)
class AIMD(_Adaptive):
    """Additive increase, multiplicative decrease: slowly up while requests succeed, quickly down else.

    A round trip without failures, with at least half of the limit in use, adds 1; a failure, or an answer
    slower than `timeout`, multiplies the limit by `decrease`. (Chiu and Jain, 1989; TCP; Netflix
    concurrency-limits, AIMDLimit: 0.9.)
    """

    name = "aimd"

    def __init__(
        self,
        initial: Number = 20,
        min_limit: Number = 1,
        max_limit: Number = 1000,
        decrease: Number = 0.9,
        timeout: Number = 5.0,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        positive(initial=initial, min_limit=min_limit, max_limit=max_limit, timeout=timeout)
        number(0, 1, above=True, decrease=decrease)
        self.initial, self.min_limit = float(initial), float(min_limit)
        self.max_limit = self.limit = float(max_limit)
        self.decrease, self.timeout = float(decrease), float(timeout)
        self.shares = _checked(shares)

    def learn(
        self, running: float, limit: float, usual: float, latency: float, ok: bool
    ) -> tuple[float, float]:
        if not ok or latency > self.timeout:
            return limit * self.decrease, usual
        return (limit + 1 if 2 * running >= limit else limit), usual


@mypyc_attr(allow_interpreted_subclasses=True)
class Gradient(_Adaptive):
    """Compares latency with its long-run average: while it does not rise, the limit grows.

    limit = limit x min(1, max(1/2, tolerance x long run / now)) + sqrt(limit), smoothed. The square root
    allows a short queue, and lets the limit grow. Needs no timeout. (Netflix concurrency-limits,
    Gradient2Limit: tolerance 1.5, smoothing 0.2, long window 600.)
    """

    def __init__(
        self,
        initial: Number = 20,
        min_limit: Number = 1,
        max_limit: Number = 1000,
        tolerance: Number = 1.5,
        smoothing: Number = 0.2,
        long_window: Number = 600,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        positive(
            initial=initial,
            min_limit=min_limit,
            max_limit=max_limit,
            smoothing=smoothing,
            long_window=long_window,
        )
        number(1, tolerance=tolerance)
        self.initial, self.min_limit = float(initial), float(min_limit)
        self.max_limit = self.limit = float(max_limit)
        self.tolerance, self.smoothing = float(tolerance), float(smoothing)
        self.long_window = float(long_window)
        self.shares = _checked(shares)

    def learn(
        self, running: float, limit: float, usual: float, latency: float, ok: bool
    ) -> tuple[float, float]:
        if not ok:
            return limit * 0.9, usual
        usual = usual + 2 / (self.long_window + 1) * (latency - usual) if usual else latency
        if usual > 2 * latency:
            usual *= 0.95  # latency has fallen for good: forget the slow time sooner
        if 2 * running < limit:
            return limit, usual  # too little load to learn from
        gradient = max(0.5, min(1.0, self.tolerance * usual / latency)) if latency > 0 else 1.0
        wanted = limit * gradient + limit**0.5
        return limit + self.smoothing * (wanted - limit), usual
