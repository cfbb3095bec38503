"""The pool: who may be picked, and what every pick came to.

Each pick is a lease, and each lease is released exactly once, with its outcome. So
in-flight counts cannot leak, and an algorithm that learns always hears how it went.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lbkit.core.backend import Backend, Intent, checked_weight
from lbkit.core.balance.base import Balancer, Why

# Weight of the newest sample in a backend's average latency; nginx's least_time uses the same.
NEW_SAMPLE = 0.05


class NoBackend(Exception):
    """Nothing is eligible: all are down, draining, out, of weight 0, or tried already."""


@dataclass(frozen=True, slots=True)
class SlowStart:
    """How a backend that comes (back) into rotation gets its weight: caches are cold, code is not compiled.

    For `window` seconds it is worth max(floor, (age / window)^(1 / aggression)) of its weight. With
    aggression 1 it rises in a line, above 1 faster at first. Plain rotation takes no notice of weights.
    (Envoy: aggression 1, floor 0.1; HAProxy `slowstart`: a line from 1/16; ALB: a line, 30 to 900 s.) Not
    modelled: HAProxy's maxconn, which rises too, and the weight that nginx takes from who fails.
    """

    window: float
    aggression: float = 1.0
    floor: float = 0.1

    def __post_init__(self) -> None:
        for name, value, least in (("window", self.window, 0), ("aggression", self.aggression, 0)):
            if not least < value < float("inf"):
                raise ValueError(f"{name} is {value}: use a number above {least}")
        if not 0 < self.floor <= 1:
            raise ValueError(f"floor is {self.floor}: use a share above 0, to 1")

    def share(self, age: float) -> float:
        """Of the weight, at so many seconds."""
        if age >= self.window:
            return 1.0
        share: float = (max(age, 0.0) / self.window) ** (1 / self.aggression)
        return max(self.floor, share)


STEPS = 20  # of a slow start: each may rebuild a ring


class Lease:
    """The right to use one backend until `release`."""

    __slots__ = ("_pool", "backend", "start", "why")

    def __init__(self, pool: Pool, backend: Backend, start: float) -> None:
        self.backend = backend
        self.start = start
        self.why: Why | None = None  # why this one, if `acquire` was asked to say
        self._pool: Pool | None = pool

    @property
    def released(self) -> bool:
        return self._pool is None

    def release(self, ok: bool | None, now: float) -> None:
        """Give the backend back, as `Pool.release`. Safe to call again, so every way out may call it."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.release(self.backend, self.start, ok, now)


class Pool:
    """Backends and the balancer that chooses among them.

    The balancer sees only eligible backends, always in the pool's order and as the same tuple
    until something changes; then `rebuild` tells it.
    """

    def __init__(
        self,
        backends: Iterable[Backend],
        balancer: Balancer,
        *,
        slow_start: SlowStart | None = None,
        panic: float = 0.0,
    ) -> None:
        """`panic`: when a smaller share than this is healthy, health is not believed any more, as the few
        would be crushed next (Envoy: 0.5; 0 is never). The balancer says whose: see `Balancer.panics`.
        Raises ValueError when two backends share a name."""
        if not 0 <= panic <= 1:
            raise ValueError(f"panic is {panic}: use a share from 0 (never) to 1")
        self.slow_start = slow_start
        self.panic = panic
        self._ramps: dict[
            Backend, float | None
        ] = {}  # since when they start slowly; None: from the next pick
        self._full: dict[Backend, float] = {}  # their whole weight
        self._next_step = 0.0
        self._by_name: dict[str, Backend] = {}
        for backend in backends:
            if backend.name in self._by_name:
                raise ValueError(f"two backends are named {backend.name!r}: names must differ")
            self._by_name[backend.name] = backend
        self.balancer = balancer
        self.wants_reports = balancer.wants_reports  # kept here, where each request may look
        self.eligible: tuple[Backend, ...] = self._find_eligible()
        self._notify()

    # -- picking ------------------------------------------------------------------

    def acquire(
        self, key: str, now: float, exclude: Collection[Backend] = (), explain: bool = False
    ) -> Lease:
        """`pick`, with a lease that sees to it that the backend is given back once, and may say `why`."""
        why = self.explain(key, now, exclude) if explain else None  # before the pick changes what it looks at
        lease = Lease(self, self.pick(key, now, exclude), now)
        lease.why = why
        return lease

    def explain(self, key: str, now: float, exclude: Collection[Backend] = ()) -> Why | None:
        """Why `pick` at `now` will choose whom it will choose; None when nobody is there.

        Like a pick, it is a moment at which a slow start goes on; else nothing changes."""
        if all(b in exclude for b in self.eligible):
            return None
        self._ramp(now)
        if exclude:
            return self.balancer.explain_except(self.eligible, exclude, key, now)
        return self.balancer.explain(self.eligible, key, now)

    def pick(self, key: str, now: float, exclude: Collection[Backend] = ()) -> Backend:
        """Pick a backend for `key` and count it in flight. Raises NoBackend.

        `exclude` holds the backends that a retry has tried already. The caller owes exactly
        one `release`: where there is more than one way out, `acquire`.
        """
        eligible = self.eligible
        if not eligible:
            raise NoBackend(f"none of {len(self._by_name)} backends is eligible")
        if self._ramps:
            self._ramp(now)
        if exclude:
            if all(b in exclude for b in eligible):
                raise NoBackend(f"all {len(eligible)} eligible backends have been tried")
            backend = self.balancer.pick_except(eligible, exclude, key, now)
        else:
            backend = self.balancer.pick(eligible, key, now)
        try:
            backend.in_flight += 1
        except AttributeError:
            raise TypeError(
                f"{self.balancer.name!r} picked {backend!r}: pick has to return one of the backends"
            ) from None
        backend.picks += 1
        return backend

    def release(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
        """What was taken at `start` is over.

        `ok` is the outcome; None when nobody knows it (the client left first): the slot
        is freed and nothing is learned. Only successes count as latency samples:
        otherwise a server that fails fast would look like the best one.
        """
        backend.in_flight -= 1
        latency = now - start
        if ok:
            known = backend.latency
            backend.latency = known + NEW_SAMPLE * (latency - known) if known else latency
        self.balancer.done(backend, latency, ok, now)

    # -- for engines ------------------------------------------------------------------

    def balancer_of(self, backend: Backend) -> Balancer:
        """The balancer that picked this backend; Replicas have several."""
        return self.balancer

    def probe_targets(self, backend: Backend, now: float) -> Sequence[Backend]:
        """The backends that the balancer wants to probe for their load, after it picked `backend`."""
        return self.balancer.probe_targets(self.eligible, now)

    def all_backends(self) -> Iterable[Backend]:
        """All backends, by every balancer's own object."""
        return self._by_name.values()

    # -- membership and state ---------------------------------------------------------

    @property
    def backends(self) -> tuple[Backend, ...]:
        return tuple(self._by_name.values())

    def __getitem__(self, name: str) -> Backend:
        """Raises KeyError with the names there are."""
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"no backend {name!r} in the pool: there are {', '.join(self._by_name)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, backend: Backend) -> None:
        """Raises ValueError when the name is taken."""
        if backend.name in self._by_name:
            raise ValueError(f"backend {backend.name!r} is in the pool already")
        self._by_name[backend.name] = backend
        self._changed()

    def remove(self, name: str) -> Backend:
        """Take a backend out for good. Its leases may still be released."""
        backend = self[name]
        del self._by_name[name]
        self._changed()
        return backend

    def set_weight(self, name: str, weight: float) -> None:
        backend = self[name]
        backend.weight = checked_weight(name, weight)
        if backend in self._full:
            self._full[backend] = backend.weight
            self._next_step = float("-inf")
        self._changed()

    def set_health(self, name: str, healthy: bool) -> None:
        backend = self[name]
        if backend.healthy != healthy:
            backend.healthy = healthy
            self._changed()

    def set_intent(self, name: str, intent: Intent) -> None:
        backend = self[name]
        if backend.intent is not intent:
            backend.intent = intent
            self._changed()

    def switch(self, balancer: Balancer) -> None:
        """Go on with another algorithm; leases already given are released to the new one."""
        self.balancer = balancer
        self.wants_reports = balancer.wants_reports
        self._changed()  # it may panic at another time

    def _changed(self) -> None:
        before = self.eligible
        self.eligible = self._find_eligible()
        if self.slow_start:
            self._begin_slowly(set(before))
        self._notify()

    def _find_eligible(self) -> tuple[Backend, ...]:
        everybody = self._by_name.values()
        wanted = [b for b in everybody if b.intent is Intent.READY and b.weight > 0]
        believed_well = set(self.balancer.panics(wanted, self.panic)) if self.panic else ()
        return tuple(b for b in everybody if b.eligible or b in believed_well)

    def _notify(self) -> None:
        self.balancer.members(self.backends)
        self.balancer.rebuild(self.eligible)

    # -- slow start ---------------------------------------------------------------------

    def _begin_slowly(self, before: set[Backend]) -> None:
        """Who has just become eligible begins, who no longer is has done with it."""
        assert self.slow_start
        for backend in self._ramps.keys() - set(self.eligible):
            del self._ramps[backend]
            backend.weight = self._full.pop(backend)
        for backend in self.eligible:
            if backend not in before and backend not in self._ramps:
                self._ramps[backend] = None
                self._full[backend] = backend.weight
                backend.weight *= self.slow_start.share(0.0)
                self._next_step = float("-inf")

    def _ramp(self, now: float) -> None:
        """Time has passed: give those that start slowly what they are worth by now."""
        if not self._ramps or now < self._next_step:
            return
        assert self.slow_start
        for backend, since in list(self._ramps.items()):
            if since is None:
                self._ramps[backend] = since = now
            backend.weight = self._full[backend] * self.slow_start.share(now - since)
            if now - since >= self.slow_start.window:
                del self._ramps[backend], self._full[backend]
        self._next_step = now + self.slow_start.window / STEPS
        self._notify()
