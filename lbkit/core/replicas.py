"""Several balancers side by side, each with its own view of the same servers."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from lbkit.core.backend import Backend, Intent
from lbkit.core.balance.base import Balancer, Why, restoring
from lbkit.core.pool import Lease, Pool


class Replicas:
    """Some pools of the same backends; each request comes to one of them by chance.

    As behind DNS, or several workers on one port: each counts its own requests only, so each knows a part.
    It stands in for a Pool; every pool has `twins` of the backends, which carry the same names.
    """

    def __init__(self, pools: Iterable[Pool], rng: random.Random) -> None:
        self.pools = list(pools)
        self.rng = rng
        self._pool_of = {b: pool for pool in self.pools for b in pool.backends}

    def _any(self, tried: Collection[Backend] = ()) -> Pool:
        """A retry stays where the request came in."""
        for backend in tried:
            return self._pool_of[backend]
        return self.pools[int(self.rng.random() * len(self.pools))]

    def pick(self, key: str, now: float, exclude: Collection[Backend] = ()) -> Backend:
        return self._any(exclude).pick(key, now, exclude)

    def acquire(
        self, key: str, now: float, exclude: Collection[Backend] = (), explain: bool = False
    ) -> Lease:
        return self._any(exclude).acquire(key, now, exclude, explain)

    def release(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
        self._pool_of[backend].release(backend, start, ok, now)

    def explain(self, key: str, now: float, exclude: Collection[Backend] = ()) -> Why | None:
        with restoring(self.rng):
            pool = self._any(exclude)
        return pool.explain(key, now, exclude)

    @property
    def wants_reports(self) -> bool:
        return self.pools[0].wants_reports

    @property
    def balancer(self) -> Balancer:
        """Of the first; all are alike."""
        return self.pools[0].balancer

    def balancer_of(self, backend: Backend) -> Balancer:
        return self._pool_of[backend].balancer

    def probe_targets(self, backend: Backend, now: float) -> Sequence[Backend]:
        return self._pool_of[backend].probe_targets(backend, now)

    def all_backends(self) -> Iterator[Backend]:
        return (b for pool in self.pools for b in pool.backends)

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Of the first pool."""
        return self.pools[0].backends

    @property
    def eligible(self) -> tuple[Backend, ...]:
        return self.pools[0].eligible

    def add(self, backend: Backend) -> None:
        """Raises ValueError when the name is taken."""
        for pool in self.pools:
            twin = backend.twin()
            pool.add(twin)
            self._pool_of[twin] = pool

    def remove(self, name: str) -> Backend:
        removed = [pool.remove(name) for pool in self.pools]
        return removed[0]

    def set_weight(self, name: str, weight: float) -> None:
        for pool in self.pools:
            pool.set_weight(name, weight)

    def set_health(self, name: str, healthy: bool) -> None:
        for pool in self.pools:
            pool.set_health(name, healthy)

    def set_intent(self, name: str, intent: Intent) -> None:
        for pool in self.pools:
            pool.set_intent(name, intent)

    def switch(self, make: Callable[[int], Balancer]) -> None:
        """`make` is called with the number of each pool."""
        for i, pool in enumerate(self.pools):
            pool.switch(make(i))
