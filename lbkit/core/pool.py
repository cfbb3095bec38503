"""The pool: the eligible backends, and the lease of each pick.

Each pick is a lease, and each lease is released exactly once, with its outcome. So
in-flight counts cannot leak, and an algorithm that learns gets every outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from lbkit.core.backend import NEW_SAMPLE, Backend, Intent, checked_weight
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.contract import FAILURES, AlgorithmError, method_failed, wrong_pick
from lbkit.core.drain import DrainRules, Drains
from lbkit.core.health.watch import HealthRules, Watch
from lbkit.core.meter import LoadReport
from lbkit.core.options import named_fields, number
from lbkit.core.state_change import StateChange
from lbkit.core.sticky import Affinity


class NoBackend(Exception):
    """No backend is eligible: all are down, draining, out, of weight 0, or tried already."""


@named_fields
@dataclass(frozen=True, slots=True)
class SlowStart:
    """A gradual rise of the weight of a backend that joins or recovers: caches are cold, code is not
    compiled.

    For `window` seconds its weight is multiplied by max(floor, (age / window)^(1 / aggression)). With
    aggression 1 it rises linearly, above 1 faster at first. Plain round robin ignores weights.
    (Envoy: aggression 1, floor 0.1; HAProxy `slowstart`: linear from 1/16; ALB: linear, 30 to 900 s.) Not
    modelled: HAProxy's maxconn, which rises too, and nginx's lower effective weight after a failure.
    """

    window: float
    aggression: float = 1.0
    floor: float = 0.1

    def __post_init__(self) -> None:
        number(0, above=True, window=self.window, aggression=self.aggression)
        number(0, 1, above=True, floor=self.floor)

    def share(self, age: float) -> float:
        """Return the factor on the weight, `age` seconds after the start."""
        if age >= self.window:
            return 1.0
        share: float = (max(age, 0.0) / self.window) ** (1 / self.aggression)
        return max(self.floor, share)


STEPS = 20  # weight changes in a slow start: each may rebuild a ring


class _Interrupted(Balancer):
    """Takes the place of an algorithm that had to be interrupted: a pick raises the same error, at once."""

    def __init__(self, error: AlgorithmError) -> None:
        self.error = error
        self.name = error.algorithm  # type: ignore[misc] # of this one object

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        raise self.error.again()


class Lease:
    """The right to use one backend until `release`."""

    __slots__ = ("_pool", "backend", "start", "why")

    def __init__(self, pool: Pool, backend: Backend, start: float) -> None:
        self.backend = backend
        self.start = start
        self.why: Why | None = None  # the explanation, if `acquire` had `explain`
        self._pool: Pool | None = pool

    @property
    def released(self) -> bool:
        return self._pool is None

    def keep(self, token: str, now: float, begin: bool = True) -> str:
        """Take note, before the release, that the backend serves a session; as `Pool.keep`."""
        return self._pool.keep(self.backend, token, now, begin) if self._pool else ""

    def release(self, ok: bool | None, now: float) -> None:
        """Release the backend, as `Pool.release`. Only the first call counts: every way out may call it."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.release(self.backend, self.start, ok, now)


class Pool:
    """Backends and the balancer that chooses among them.

    The balancer gets only eligible backends, always in the pool's order and as the same tuple
    until something changes; then its `rebuild` is called.
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
        """`start`: where rotations start, from 0 (the first turn) to below 1: one of several pools for the
        same servers should start at a place of its own (`Balancer.start_at`).
        `panic`: when a smaller share than this is healthy, health is ignored, as the few healthy backends
        would be overloaded next (Envoy: 0.5; 0 is never). `Balancer.panics` chooses the backends.
        `health`: what takes backends out of service, and brings them back. `drain`: how backends leave;
        None: what runs there ends by itself. `on_change` gets each change of a state.
        `affinity`: where sessions are, whose requests stay on their backends.
        Raises ValueError if two backends have the same name."""
        if not 0 <= panic <= 1:
            raise ValueError(f"panic is {panic}: use a share from 0 (never) to 1")
        if not 0 <= start < 1:
            raise ValueError(f"start is {start}: use a number from 0 (the first turn) to below 1")
        self.slow_start = slow_start
        self.panic = panic
        self.start = start
        self._started = False  # whether the balancer knows where to start
        # In slow start -> its beginning, in seconds; None: it begins at the next pick.
        self._slow_since: dict[Backend, float | None] = {}
        self._full_weight: dict[Backend, float] = {}  # of those in slow start
        self._next_step = 0.0
        self._by_name: dict[str, Backend] = {}
        for backend in backends:
            if backend.name in self._by_name:
                raise ValueError(f"two backends are named {backend.name!r}: names must differ")
            self._by_name[backend.name] = backend
        self._out: dict[Backend, set[str]] = {}  # backend -> what holds it unhealthy
        self.affinity = affinity
        if affinity is not None:
            for name in self._by_name:
                affinity.add(name)
        self.balancer = balancer
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

    # -- picking ------------------------------------------------------------------

    def acquire(
        self,
        key: str,
        now: float,
        exclude: Collection[Backend] = (),
        explain: bool = False,
        token: str = "",
    ) -> Lease:
        """Pick a backend and return its lease, which is released once; `explain` adds the reason, `why`."""
        # Before the pick changes what it looks at.
        why = self.explain(key, now, exclude, token) if explain else None
        lease = Lease(self, self.pick(key, now, exclude, token), now)
        lease.why = why
        return lease

    def explain(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Why | None:
        """Return why `pick` at `now` will choose the backend that it will choose; None without eligible ones.

        Weights in slow start are brought up to `now`, as in a pick; nothing else changes."""
        self._advance_watch(now)
        before = ""
        if token and self.affinity and (name := self.affinity.find(token, now)):
            if self._can_resume(name, exclude):
                return Why(f"its session is on {name}")
            if self.affinity.rules.gone == "refuse":
                return None
            before = f"its session was on {name}, which is not available; so "
        if all(b in exclude for b in self.eligible):
            return None
        self._advance_slow_start(now)
        why: Why = (
            self._ask("explain_except", self.eligible, exclude, key, now)
            if exclude
            else self._ask("explain", self.eligible, key, now)
        )
        return replace(why, rule=before + why.rule) if before else why

    def pick(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Backend:
        """Pick a backend for `key` and count it in flight. Raises NoBackend, AlgorithmError.

        `exclude` holds the backends that a retry has tried already. `token`: of a session, which goes on at
        its backend, if the pool has an `affinity` and the backend is there. The caller must call `release`
        exactly once; where there is more than one way out, use `acquire`.
        """
        if self.watch is not None:
            self._advance_watch(now)
        if token and self.affinity is not None and (name := self.affinity.find(token, now)):
            if self._can_resume(name, exclude):
                return self.pick_named(name, now)
            if self.affinity.rules.gone == "refuse":
                raise NoBackend(f"the session is on {name}, which is not available")
        eligible = self.eligible
        if not eligible:
            raise NoBackend(f"none of {len(self._by_name)} backends is eligible")
        if self._slow_since:
            self._advance_slow_start(now)
        if exclude:
            backend = self._pick_another(exclude, key, now)
        else:
            try:
                backend = self.balancer.pick(eligible, key, now)
            except FAILURES as error:
                raise self._failed("pick", error) from None
        try:
            offered = backend in self._offered
        except TypeError:  # a list, say, cannot be looked up
            offered = False
        if not offered:
            raise wrong_pick(self.balancer, self._picking(exclude), backend)
        backend.in_flight += 1
        backend.picks += 1
        if self.watch is not None:
            self.watch.started(backend, now)
        return backend

    # -- sessions -----------------------------------------------------------------

    def _can_resume(self, name: str, exclude: Collection[Backend]) -> bool:
        """Return whether a session may go on at its backend: one that is eligible, or drains, if it may."""
        backend = self._by_name.get(name)
        if backend is None or backend in exclude:
            return False
        stays = backend.healthy and not backend.blocked and self.drains.accepts_session(name)
        return backend in self._offered or (stays and self.affinity is not None and self.affinity.rules.drain)

    def pick_named(self, name: str, now: float) -> Backend:
        """Take one backend without asking the algorithm, which is told, and count it in flight.

        Whether it is eligible is up to the caller. Raises KeyError for an unknown name, AlgorithmError."""
        backend = self[name]
        backend.in_flight += 1
        backend.picks += 1
        if self.watch is not None:
            self.watch.started(backend, now)
        self._ask("resumed", backend, now)
        return backend

    def keep(self, backend: Backend, token: str, now: float, begin: bool = True) -> str:
        """Take note of the backend that served a session. Return the token that the client is to present from
        now on, or "" if it is the old one. See `Affinity.keep`."""
        return self.affinity.keep(token, backend.name, now, begin) if self.affinity else ""

    def _advance_watch(self, now: float) -> None:
        if self.watch is not None and now >= self.watch.wake:
            self.watch.advance(now)

    def _pick_another(self, exclude: Collection[Backend], key: str, now: float) -> Backend:
        """Return a backend that is not in `exclude`, for a retry."""
        if all(b in exclude for b in self.eligible):
            raise NoBackend(f"all {len(self.eligible)} eligible backends have been tried")
        try:
            backend = self.balancer.pick_except(self.eligible, exclude, key, now)
        except FAILURES as error:
            raise self._failed(self._picking(exclude), error) from None
        if any(backend is b for b in exclude):
            raise wrong_pick(self.balancer, self._picking(exclude), backend, tried=True)
        return backend

    def release(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
        """End the use of a backend that was picked at `start`.

        `ok` is the outcome; None if it is not known (the client left first): the slot
        is freed and nothing is learned. Only successes count as latency samples:
        otherwise a server that fails fast would look like the best one.
        """
        backend.in_flight -= 1
        latency = now - start
        if ok:
            known = backend.latency
            backend.latency = known + NEW_SAMPLE * (latency - known) if known else latency
        if self.watch is not None:
            self.watch.ended(backend, start, ok, now)
        if self.drains.draining:
            self.drains.settle(backend, now)
        try:
            self.balancer.done(backend, latency, ok, now)
        except FAILURES as error:
            raise self._failed("done", error) from None

    # -- for engines ------------------------------------------------------------------

    def probe_targets(self, backend: Backend, now: float) -> Sequence[Backend]:
        """Return the backends to probe for a load report, after `backend` was picked."""
        targets: Sequence[Backend] = self._ask("probe_targets", self.eligible, now)
        try:
            offered = all(target in self._offered for target in targets)
        except TypeError:
            offered = False
        if not offered:
            raise wrong_pick(self.balancer, "probe_targets", targets)
        return targets

    def report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        """Give a backend's load report to the balancer; `probed`: it answers a probe."""
        self._ask("on_report", backend, load, now, probed)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Itself; the pools of every balancer, with Replicas."""
        return (self,)

    def share_idle(self, report: Callable[[Backend], object]) -> None:
        """Have the balancer call `report` with each backend that has no more requests of this pool."""
        self._ask("share_idle", report)

    def on_idle(self, backend: Backend) -> None:
        """Tell the balancer that a server has become idle."""
        self._ask("on_idle", backend)

    def all_backends(self) -> Iterable[Backend]:
        """Return all backends; with Replicas, the twins of every balancer."""
        return self._by_name.values()

    # -- membership and state ---------------------------------------------------------

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
        return {b.name: self._full_weight.get(b, b.weight) for b in self._by_name.values()}

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

    def set_weight(self, name: str, weight: float) -> None:
        """Change a weight. Raises ValueError for one that is no weight, or does not fit."""
        backend, weight = self[name], checked_weight(name, weight)
        self.balancer.check_weights({**self._weights(), name: weight})
        backend.weight = weight
        if backend in self._full_weight:
            self._full_weight[backend] = backend.weight
            self._next_step = float("-inf")
        self._changed()

    def set_health(self, name: str, healthy: bool, by: str = "operator") -> None:
        """Say whether a backend is healthy; it is, when nothing (`by`) holds it unhealthy."""
        backend = self[name]
        out = self._out.setdefault(backend, set())
        (out.discard if healthy else out.add)(by)
        if backend.healthy == bool(out):
            backend.healthy = not out
            self._changed()

    def set_blocked(self, name: str, blocked: bool) -> None:
        """Let no new request go to a backend, whatever its health; panic does not change that."""
        backend = self[name]
        if backend.blocked != blocked:
            backend.blocked = blocked
            self._changed()

    def set_intent(self, name: str, intent: Intent, now: float) -> None:
        """Take the operator's wish; `drains` says where the backend is on its way out."""
        backend = self[name]
        if backend.intent is not intent:
            backend.intent = intent
            self._changed()
        self.drains.wish(backend, intent, now)

    def switch(self, balancer: Balancer) -> None:
        """Go on with another algorithm; leases from before are released to the new one.

        Raises AlgorithmError if it fails at once; then the one before goes on."""
        balancer.check_weights(self._weights())
        before = self.balancer
        try:
            self._use(balancer)
        except AlgorithmError:
            self._use(before)
            raise

    def _use(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.wants_reports = balancer.wants_reports
        self._started = False
        self._changed()  # it may panic at another threshold

    def _changed(self) -> None:
        before = self.eligible
        self.eligible = self._find_eligible()
        if self.slow_start:
            self._update_slow_start(set(before))
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

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the balancer. `pick` and `done` are called directly, to save time."""
        try:
            return getattr(self.balancer, method)(*arguments)
        except FAILURES as error:
            raise self._failed(method, error) from None

    def _picking(self, exclude: Collection[Backend]) -> str:
        """Return the name of the algorithm's own method that a pick calls."""
        own = type(self.balancer).pick_except is not Balancer.pick_except
        return "pick_except" if exclude and own else "pick"

    def _failed(self, method: str, error: BaseException) -> AlgorithmError:
        """Return the error for a method that failed; an algorithm that hangs is not called again."""
        failure = method_failed(self.balancer, method, error)
        if failure.endless:
            self.balancer = _Interrupted(failure)
        return failure

    # -- slow start ---------------------------------------------------------------------

    def _update_slow_start(self, before: set[Backend]) -> None:
        """Begin the slow start of backends that became eligible; end it for those that no longer are."""
        assert self.slow_start
        for backend in self._slow_since.keys() - set(self.eligible):
            del self._slow_since[backend]
            backend.weight = self._full_weight.pop(backend)
        for backend in self.eligible:
            if backend not in before and backend not in self._slow_since:
                self._slow_since[backend] = None
                self._full_weight[backend] = backend.weight
                backend.weight *= self.slow_start.share(0.0)
                self._next_step = float("-inf")

    def _advance_slow_start(self, now: float) -> None:
        """Bring the weights in slow start up to `now`."""
        if not self._slow_since or now < self._next_step:
            return
        assert self.slow_start
        for backend, since in list(self._slow_since.items()):
            if since is None:
                self._slow_since[backend] = since = now
            backend.weight = self._full_weight[backend] * self.slow_start.share(now - since)
            if now - since >= self.slow_start.window:
                del self._slow_since[backend], self._full_weight[backend]
        self._next_step = now + self.slow_start.window / STEPS
        self._notify()
