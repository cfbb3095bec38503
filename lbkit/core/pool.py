"""The pool: who may be picked, and what every pick came to.

Each pick is a lease, and each lease is released exactly once, with its outcome. So
in-flight counts cannot leak, and an algorithm that learns always hears how it went.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lbkit.core.backend import Backend, Intent, checked_weight
from lbkit.core.balance.base import Balancer

# Weight of the newest sample in a backend's average latency; nginx's least_time uses the same.
NEW_SAMPLE = 0.05


class NoBackend(Exception):
    """Nothing is eligible: all are down, draining, out, of weight 0, or tried already."""


class Lease:
    """The right to use one backend until `release`."""

    __slots__ = ("_pool", "backend", "start")

    def __init__(self, pool: Pool, backend: Backend, start: float) -> None:
        self.backend = backend
        self.start = start
        self._pool: Pool | None = pool

    @property
    def released(self) -> bool:
        return self._pool is None

    def release(self, ok: bool | None, now: float) -> None:
        """Give the backend back, as `Pool.give_back`. Safe to call again, so every way out may call it."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.give_back(self.backend, self.start, ok, now)


class Pool:
    """Backends and the balancer that chooses among them.

    The balancer sees only eligible backends, always in the pool's order and as the same tuple
    until something changes; then `rebuild` tells it.
    """

    def __init__(self, backends: Iterable[Backend], balancer: Balancer) -> None:
        """Raises ValueError when two backends share a name."""
        self._by_name: dict[str, Backend] = {}
        for backend in backends:
            if backend.name in self._by_name:
                raise ValueError(f"two backends are named {backend.name!r}: names must differ")
            self._by_name[backend.name] = backend
        self.balancer = balancer
        self.eligible: tuple[Backend, ...] = ()
        self._changed()

    # -- picking ------------------------------------------------------------------

    def acquire(self, key: str, now: float, exclude: Collection[Backend] = ()) -> Lease:
        """`take`, with a lease that sees to it that the backend is given back once."""
        return Lease(self, self.take(key, now, exclude), now)

    def take(self, key: str, now: float, exclude: Collection[Backend] = ()) -> Backend:
        """Pick a backend for `key` and count it in flight. Raises NoBackend.

        `exclude` holds the backends that a retry has tried already. The caller owes exactly
        one `give_back`: where there is more than one way out, `acquire`.
        """
        eligible = self.eligible
        if not eligible:
            raise NoBackend(f"none of {len(self._by_name)} backends is eligible")
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

    def give_back(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
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
        balancer.rebuild(self.eligible)

    def _changed(self) -> None:
        self.eligible = tuple(b for b in self._by_name.values() if b.eligible)
        self.balancer.rebuild(self.eligible)
