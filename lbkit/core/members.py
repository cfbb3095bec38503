"""The members of a pool: its backends, their state and weights, and which of them are eligible."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, Intent, checked_weight
from lbkit.core.balance.base import Balancer, ours
from lbkit.core.contract import FAILURES, AlgorithmError, method_failed
from lbkit.core.drain import DrainRules, Drains
from lbkit.core.health.watch import HealthRules, Watch
from lbkit.core.own_code import call, interrupted
from lbkit.core.slow_start import Ramps, SlowStart
from lbkit.core.state_change import StateChange
from lbkit.core.sticky import Affinity


@mypyc_attr(allow_interpreted_subclasses=True)
class Members:
    """The backends of a pool and the balancer that chooses among them.

    The balancer gets only eligible backends, always in the pool's order and as the same tuple until something
    changes; then its `rebuild` is called.
    """

    def __init__(
        self,
        backends: Iterable[Backend],
        balancer: Balancer,
        *,
        slow_start: SlowStart | None = None,
        panic: float = 0.0,
        start: float = 0.0,
        health: HealthRules | None = None,
        drain: DrainRules | None = None,
        on_change: Callable[[StateChange], object] | None = None,
        affinity: Affinity | None = None,
    ) -> None:
        """`start`: where rotations start, from 0 (the first turn) to below 1; each of several pools for the
        same servers should start at a place of its own (`Balancer.start_at`).
        `panic`: if a smaller share than this is healthy, health is ignored, as the few healthy backends
        would be overloaded next (Envoy: 0.5; 0: never). `Balancer.panics` chooses the backends.
        `health`: the rules that take backends out of service and bring them back. `drain`: the rules of a
        drain; None: requests in flight have no time limit. `on_change` gets each change of a state.
        `affinity`: the backends of sticky sessions.
        Raises ValueError if two backends have the same name."""
        if not 0 <= panic <= 1:
            raise ValueError(f"panic is {panic}: use a share from 0 (never) to 1")
        if not 0 <= start < 1:
            raise ValueError(f"start is {start:g}: use a number from 0 (the first turn) to below 1")
        self._ramps = Ramps(slow_start) if slow_start else None
        self._in_slow_start = self._ramps.since if self._ramps else {}
        self.panic = panic
        self.start = start
        self._started = False  # whether `start_at` was called
        self._by_name: dict[str, Backend] = {}
        for backend in backends:
            if backend.name in self._by_name:
                raise ValueError(f"two backends are named {backend.name!r}: names must differ")
            self._by_name[backend.name] = backend
        self._out: dict[Backend, set[str]] = {}  # backend -> the sources that hold it unhealthy
        self.affinity = affinity
        if affinity is not None:
            for name in self._by_name:
                affinity.add(name)
        self.balancer = balancer
        self._own_code = not ours(type(balancer))  # a learner's: see core/own_code.py
        balancer.check_weights(self._weights())
        self.wants_reports = balancer.wants_reports  # a copy, as every request reads it
        self.eligible: tuple[Backend, ...] = self._find_eligible()
        self._notify()
        self.drains = Drains(
            drain or DrainRules(timeout=inf),
            on_change or (lambda change: None),
            sessions=affinity is not None and affinity.rules.drain,
        )
        self.watch = Watch(health, self, on_change) if health else None
        if self.watch:
            for backend in self._by_name.values():
                self.watch.add(backend)

    # -- the backends -------------------------------------------------------------------

    @property
    def backends(self) -> tuple[Backend, ...]:
        return tuple(self._by_name.values())

    def __getitem__(self, name: str) -> Backend:
        """Return a backend by name. Raises KeyError, which lists the names."""
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"no backend {name!r} in the pool: there are {', '.join(self._by_name)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    def _weights(self) -> dict[str, float]:
        weight = self._ramps.full_weight if self._ramps else lambda backend: backend.weight
        return {name: weight(backend) for name, backend in self._by_name.items()}

    def add(self, backend: Backend) -> None:
        """Add a backend. Raises ValueError if the name is taken, or for a weight that does not fit."""
        if backend.name in self._by_name:
            raise ValueError(f"backend {backend.name!r} is in the pool already")
        self.balancer.check_weights({**self._weights(), backend.name: backend.weight})
        self._by_name[backend.name] = backend
        if self.affinity is not None:
            self.affinity.add(backend.name)
        self._changed()
        if self.watch is not None:
            self.watch.add(backend)

    def remove(self, name: str) -> Backend:
        """Remove a backend from the pool and return it. Its leases can still be released."""
        backend = self[name]
        del self._by_name[name]
        self._out.pop(backend, None)
        self.drains.forget(backend)
        if self.affinity is not None:
            self.affinity.remove(name)
        if self.watch is not None:
            self.watch.remove(name)
        self._changed()
        return backend

    def all_backends(self) -> Iterable[Backend]:
        """Return all backends; with Replicas, the twins of every balancer."""
        return self._by_name.values()

    # -- state --------------------------------------------------------------------------

    def set_weight(self, name: str, weight: float) -> None:
        """Change a weight. Raises ValueError for one that is no weight, or does not fit."""
        backend, weight = self[name], checked_weight(name, weight)
        self.balancer.check_weights({**self._weights(), name: weight})
        if self._ramps:
            self._ramps.set_weight(backend, weight)
        else:
            backend.weight = weight
        self._changed()

    def set_health(self, name: str, healthy: bool, by: str = "operator") -> None:
        """Set the health of a backend by one source; it is healthy if no source (`by`) says otherwise."""
        backend = self[name]
        out = self._out.setdefault(backend, set())
        (out.discard if healthy else out.add)(by)
        if backend.healthy == bool(out):
            backend.healthy = not out
            self._changed()

    def held_by(self, name: str) -> tuple[str, ...]:
        """Return the sources that hold a backend unhealthy."""
        return tuple(sorted(self._out.get(self[name], ())))

    def set_blocked(self, name: str, blocked: bool) -> None:
        """Block a backend for new requests, or unblock it; panic does not override this."""
        backend = self[name]
        if backend.blocked != blocked:
            backend.blocked = blocked
            self._changed()

    def set_intent(self, name: str, intent: Intent, now: float) -> None:
        """Set the operator's intent; `drains` has the state of the drain."""
        backend = self[name]
        self._advance_watch(now)  # what has run out meanwhile comes first
        if backend.intent is not intent:
            backend.intent = intent
            self._changed()
        self.drains.wish(backend, intent, now)

    # -- eligibility --------------------------------------------------------------------

    def _changed(self) -> None:
        before = self.eligible
        self.eligible = self._find_eligible()
        if self._ramps:
            self._ramps.update(before, self.eligible)
        self._notify()

    def _find_eligible(self) -> tuple[Backend, ...]:
        backends = self._by_name.values()
        wanted = [b for b in backends if b.intent is Intent.READY and b.weight > 0]
        panicking = set(self._ask("panics", wanted, self.panic)) if self.panic else ()
        return tuple(b for b in backends if b.eligible or (b in panicking and not b.blocked))

    def _notify(self) -> None:
        self._offered = frozenset(self.eligible)
        self._ask("members", self.backends)
        self._ask("rebuild", self.eligible)
        if not self._started and self.eligible:
            self._started = True
            if self.start:
                self._ask("start_at", self.eligible, self.start)

    def _advance_slow_start(self, now: float) -> None:
        """Bring the weights in slow start up to `now`."""
        if self._ramps and self._ramps.advance(now):
            self._notify()

    def _advance_watch(self, now: float) -> None:
        if self.watch is not None and now >= self.watch.wake:
            self.watch.advance(now)

    # -- the balancer -------------------------------------------------------------------

    def switch(self, balancer: Balancer) -> None:
        """Switch to another algorithm, which also gets the releases of earlier leases.

        Raises AlgorithmError if it fails at once; then the old one stays."""
        balancer.check_weights(self._weights())
        before = self.balancer
        try:
            self._use(balancer)
        except AlgorithmError:
            self._use(before)
            raise

    def _use(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self._own_code = not ours(type(balancer))
        self.wants_reports = balancer.wants_reports
        self._started = False
        self._changed()  # its panic threshold may differ

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the balancer. `pick` and `done` are called directly, to save time."""
        try:
            return call(getattr(self.balancer, method), *arguments)
        except FAILURES as error:
            raise self._failed(method, error) from None

    def _failed(self, method: str, error: BaseException) -> AlgorithmError:
        """Return the error for a method that failed; an algorithm that hangs is not called again."""
        failure = method_failed(self.balancer, method, error)
        if failure.endless:
            self.balancer = interrupted(failure)
        return failure
