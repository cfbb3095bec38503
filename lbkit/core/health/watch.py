"""The watch over a pool: all that takes backends out of service and brings them back, by rules.

Pure, as everything in core: the pool tells it of attempts, the engine of probes, and it says when it wants to
be woken. The simulator and the proxy use the same object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol

from lbkit.core.backend import Backend
from lbkit.core.health.breaker import Breaker, BreakerCounts, BreakerRules
from lbkit.core.health.checks import CheckRules, Health
from lbkit.core.health.max_fails import MaxFails, MaxFailsRules
from lbkit.core.health.outliers import EJECTED, OutlierDetector, OutlierRules
from lbkit.core.options import named_fields
from lbkit.core.state_change import StateChange
from lbkit.core.text import shown


@named_fields
@dataclass(frozen=True, slots=True)
class HealthRules:
    """What decides whether a backend gets requests; each is off unless it is given.

    `checks`: probes. `outliers` and `max_fails`: the outcomes of its requests, as Envoy and nginx judge them.
    `breaker`: a circuit breaker for each backend. `max_in_flight`: the most requests at once
    (a bulkhead: a slow backend cannot take all connections). Raises ValueError.
    """

    checks: CheckRules | None = None
    outliers: OutlierRules | None = None
    max_fails: MaxFailsRules | None = None
    breaker: BreakerRules | None = None
    max_in_flight: int | None = None

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind | None):
                raise ValueError(f"{name} is {shown(value)}: use {kind.__name__}")
        most = self.max_in_flight
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ValueError(f"max_in_flight is {most}: use a whole number, at least 1")


_KINDS: dict[str, type] = {
    "checks": CheckRules,
    "outliers": OutlierRules,
    "max_fails": MaxFailsRules,
    "breaker": BreakerRules,
}


class HealthCounts(NamedTuple):
    """What the rules have counted about a backend."""

    check: str  # its state by the checks; empty without checks
    checks: int  # outcomes of checks in a row that are on their way to a change
    failures: int  # of its requests that count: in a row for outliers, else for max_fails
    until: float | None  # when it is back, if one of these two has taken it out
    breaker: BreakerCounts | None


class Watched(Protocol):
    """What the watch does to a pool."""

    def set_health(self, name: str, healthy: bool, by: str) -> None: ...
    def set_blocked(self, name: str, blocked: bool) -> None: ...


class _Record:
    """The state machines of one backend; those that no rule asks for are None."""

    __slots__ = ("backend", "blocked", "breaker", "fails", "health")

    def __init__(self, backend: Backend, rules: HealthRules) -> None:
        self.backend = backend
        self.health = Health(rules.checks) if rules.checks else None
        self.fails = MaxFails(rules.max_fails) if rules.max_fails else None
        self.breaker = rules.breaker.breaker(backend.name) if rules.breaker else None
        self.blocked = False


class Watch:
    """Keeps the state machines of all backends of a pool, and applies what they say to it.

    `wake`: the pool calls `advance` at the first event from then on. `on_change` gets every change of state.
    """

    def __init__(
        self, rules: HealthRules, pool: Watched, on_change: Callable[[StateChange], object] | None = None
    ) -> None:
        self.rules = rules
        self.wake = inf
        self._pool = pool
        self._on_change = on_change or (lambda change: None)
        self._records: dict[str, _Record] = {}
        self._outliers = OutlierDetector(rules.outliers) if rules.outliers else None
        self._sweep = -inf  # when outliers are looked for next; -inf: the first event starts the clock

    # -- membership -----------------------------------------------------------------------

    def add(self, backend: Backend) -> None:
        """Watch a backend that joins, or starts anew: nothing is known of it."""
        name = backend.name
        record = self._records[name] = _Record(backend, self.rules)
        if self._outliers:
            self._outliers.remove(name)
            self._outliers.add(name)
        for by in ("check", "outlier", "max_fails"):
            self._pool.set_health(name, not (by == "check" and self._starts_down(record)), by)
        self._pool.set_blocked(name, False)

    def remove(self, name: str) -> None:
        self._records.pop(name, None)
        if self._outliers:
            self._outliers.remove(name)

    @staticmethod
    def _starts_down(record: _Record) -> bool:
        return record.health is not None and not record.health.state.in_service

    # -- probes -----------------------------------------------------------------------------

    def health(self, name: str) -> Health | None:
        """Return the checks' state machine of a backend; it says when the next probe is due."""
        record = self._records.get(name)
        return record.health if record else None

    def probed(self, name: str, passed: bool, now: float, why: str = "") -> None:
        """Take the outcome of a probe; `why` says how it failed."""
        record = self._records.get(name)
        if record is None or record.health is None:
            return
        self._catch_up(now)
        before = record.health.state
        after = record.health.observe(passed)
        if after is not None:
            self._changed(now, name, "check", before.label, after.label, why)
            if before.in_service != after.in_service:
                self._pool.set_health(name, after.in_service, "check")
        if passed and self._outliers and (change := self._outliers.passed_check(name, now)):
            self._apply(change)

    def counts(self, name: str, now: float) -> HealthCounts | None:
        """Return what the rules have counted about a backend; None for an unknown one."""
        record = self._records.get(name)
        if record is None:
            return None
        health, fails, breaker, outliers = record.health, record.fails, record.breaker, self._outliers
        ejected = outliers.until(name) if outliers else None
        rests = fails.until if fails else None
        return HealthCounts(
            health.state.label if health else "",
            health.in_row if health else 0,
            outliers.in_row(name) if outliers else fails.fails if fails else 0,
            max((time for time in (ejected, rests) if time is not None), default=None),
            breaker.counts(now) if breaker else None,
        )

    # -- breakers ---------------------------------------------------------------------------------

    def breaker(self, name: str) -> Breaker | None:
        """Return the circuit breaker of a backend."""
        record = self._records.get(name)
        return record.breaker if record else None

    def order_breaker(self, name: str, opens: bool, now: float) -> None:
        """Open or close a backend's breaker: the operator's order. Without a breaker nothing happens."""
        record = self._records.get(name)
        if record is None or record.breaker is None:
            return
        self._catch_up(now)
        before = record.breaker.state
        record.breaker.order(opens, now)
        after = record.breaker.state
        if after is not before:
            self._changed(now, name, "breaker", before.value, after.value, "by the operator")
        self._update_block(record.backend, record, now)

    # -- attempts -----------------------------------------------------------------------------

    def started(self, backend: Backend, now: float) -> None:
        """An attempt has been given to a backend."""
        record = self._records.get(backend.name)
        if record is None or record.backend is not backend:
            return
        if record.breaker:
            record.breaker.started(now)
        self._update_block(backend, record, now)

    def ended(self, backend: Backend, started: float, ok: bool | None, now: float) -> None:
        """An attempt has ended; `ok` is None if its outcome says nothing about the backend."""
        name = backend.name
        record = self._records.get(name)
        if record is None or record.backend is not backend:
            return  # it has left; another one may have its name now
        self._catch_up(now)
        if record.breaker:
            before = record.breaker.state
            after = record.breaker.ended(started, ok, now - started, now)
            if after is not None:
                self._changed(now, name, "breaker", before.value, after.value)
        if ok is not None:
            self._count(name, record, started, ok, now)
        self._update_block(backend, record, now)

    def _count(self, name: str, record: _Record, started: float, ok: bool, now: float) -> None:
        """Let the passive rules judge an outcome."""
        if fails := record.fails:
            if ok:
                fails.succeeded(started)
            elif fails.failed(now):
                self._changed(now, name, "max_fails", "in", "out")
                self._pool.set_health(name, False, "max_fails")
                self._wake_at(fails.until)
        if self._outliers:
            if self._sweep == -inf:
                self._sweep = now + self._outliers.rules.interval
                self._wake_at(self._sweep)
            if change := self._outliers.record(name, ok, now - started, now):
                self._apply(change)

    def _update_block(self, backend: Backend, record: _Record, now: float) -> None:
        """Let the backend have new requests, or not: breaker and bulkhead."""
        most, breaker = self.rules.max_in_flight, record.breaker
        blocked = most is not None and backend.in_flight >= most
        if breaker:
            before = breaker.state
            blocked = not breaker.allows(now) or blocked
            if breaker.state is not before:
                self._changed(now, backend.name, "breaker", before.value, breaker.state.value)
            self._wake_at(breaker.wake)
        if blocked != record.blocked:
            record.blocked = blocked
            self._pool.set_blocked(backend.name, blocked)

    # -- time -----------------------------------------------------------------------------------

    def _catch_up(self, now: float) -> None:
        """Do first what is due, so that changes are reported in the order of their times."""
        if now >= self.wake:
            self.advance(now)

    def advance(self, now: float) -> None:
        """Do what is due: end ejections and rests, look for outliers, try breakers that are open."""
        self.wake = inf
        self._look_for_outliers(now)  # first, as its changes have the times of the sweeps
        for name, record in self._records.items():
            fails, breaker = record.fails, record.breaker
            if fails and fails.until is not None:
                if now >= fails.until:
                    fails.back()
                    self._changed(now, name, "max_fails", "out", "in", "time is over")
                    self._pool.set_health(name, True, "max_fails")
                else:
                    self._wake_at(fails.until)
            if breaker and breaker.wake is not None:
                self._update_block(record.backend, record, now)

    def _look_for_outliers(self, now: float) -> None:
        if self._outliers and self._sweep > -inf:
            interval = self._outliers.rules.interval
            self._sweep = max(self._sweep, now - 1000 * interval)  # after a long rest, not each of them
            while now >= self._sweep:
                for change in self._outliers.sweep(self._sweep):
                    self._apply(change)
                self._sweep += interval
            self._wake_at(self._sweep)

    def _wake_at(self, when: float | None) -> None:
        if when is not None and when < self.wake:
            self.wake = when

    # -- changes ----------------------------------------------------------------------------------

    def _apply(self, change: StateChange) -> None:
        self._pool.set_health(change.backend, change.after != EJECTED, "outlier")
        self._on_change(change)

    def _changed(self, now: float, name: str, kind: str, before: str, after: str, why: str = "") -> None:
        self._on_change(StateChange(now, name, kind, before, after, why))
