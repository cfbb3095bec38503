"""Several balancers side by side, each with its own counts for the same servers."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, Intent
from lbkit.core.balance.base import Balancer, Why, restoring
from lbkit.core.contract import AlgorithmError
from lbkit.core.meter import LoadReport
from lbkit.core.pool import Lease, Pool


@mypyc_attr(allow_interpreted_subclasses=True)
class Replicas:
    """Several pools of the same servers; each request goes to a random one of them.

    As behind DNS, or with several workers on one port: each counts only its own requests, a part of all.
    It has the methods of a Pool; every pool has a twin of each backend, with the same name. All of them
    understand each other's session cookies, but each has a table of sessions of its own. A server that has
    become idle reports to one balancer, drawn at random.
    """

    def __init__(self, pools: Iterable[Pool], rng: random.Random) -> None:
        self.pools = list(pools)
        self.rng = rng
        self._pool_of = {b: pool for pool in self.pools for b in pool.backends}
        self._share_idle()

    def _pool_for(self, tried: Collection[Backend] = ()) -> Pool:
        """Return a random pool; for a retry, the pool of the first attempt."""
        for backend in tried:
            return self._pool_of[backend]
        return self.pools[int(self.rng.random() * len(self.pools))]

    def pick(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Backend:
        return self._pool_for(exclude).pick(key, now, exclude, token)

    def acquire(
        self,
        key: str,
        now: float,
        exclude: Collection[Backend] = (),
        explain: bool = False,
        token: str = "",
    ) -> Lease:
        return self._pool_for(exclude).acquire(key, now, exclude, explain, token)

    def has_other(self, tried: Collection[Backend]) -> bool:
        return self._pool_for(tried).has_other(tried)

    def keep(self, backend: Backend, token: str, now: float, begin: bool = True) -> str:
        return self._pool_of[backend].keep(backend, token, now, begin)

    def release(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
        self._pool_of[backend].release(backend, start, ok, now)

    def explain(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Why | None:
        with restoring(self.rng):
            pool = self._pool_for(exclude)
        return pool.explain(key, now, exclude, token)

    @property
    def wants_reports(self) -> bool:
        return self.pools[0].wants_reports

    @property
    def balancer(self) -> Balancer:
        """The first pool's; all have the same algorithm."""
        return self.pools[0].balancer

    def probe_targets(self, backend: Backend, now: float) -> Sequence[Backend]:
        return self._pool_of[backend].probe_targets(backend, now)

    def report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        self._pool_of[backend].report(backend, load, now, probed)

    def all_backends(self) -> Iterator[Backend]:
        for pool in self.pools:
            yield from pool.backends

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The first pool's."""
        return self.pools[0].backends

    @property
    def eligible(self) -> tuple[Backend, ...]:
        return self.pools[0].eligible

    def add(self, backend: Backend) -> None:
        """Add a twin to every pool. Raises ValueError if the name is taken."""
        for pool in self.pools:
            twin = backend.twin()
            pool.add(twin)
            self._pool_of[twin] = pool
        self._report_idle(backend)

    def remove(self, name: str) -> Backend:
        removed = [pool.remove(name) for pool in self.pools]
        return removed[0]

    def set_weight(self, name: str, weight: float) -> None:
        for pool in self.pools:
            pool.set_weight(name, weight)
        self._report_idle(self.pools[0][name])

    def set_health(self, name: str, healthy: bool, by: str = "operator") -> None:
        for pool in self.pools:
            pool.set_health(name, healthy, by)
        self._report_idle(self.pools[0][name])

    def set_intent(self, name: str, intent: Intent, now: float) -> None:
        for pool in self.pools:
            pool.set_intent(name, intent, now)
        self._report_idle(self.pools[0][name])

    def switch(self, make: Callable[[int], Balancer]) -> None:
        """Go on with another algorithm; `make` is called with the number of each pool.

        Raises what `make` raises, and as `Pool.switch`; then all go on with the one before."""
        before = [pool.balancer for pool in self.pools]
        try:
            for i, pool in enumerate(self.pools):
                pool.switch(make(i))
            self._share_idle()
        except (AlgorithmError, ValueError):
            for pool, balancer in zip(self.pools, before, strict=True):
                pool.switch(balancer)
            self._share_idle()
            raise

    # -- idle servers ------------------------------------------------------------------

    def _share_idle(self) -> None:
        """Have each balancer pass on which servers are idle, and begin with those that are."""
        if self.balancer.wants_idle:
            for pool in self.pools:
                pool.share_idle(self._report_idle)
            for backend in self.backends:
                self._report_idle(backend)

    def _report_idle(self, backend: Backend) -> None:
        """Report to one balancer that a server is idle, if it has no request of any balancer."""
        if not self.balancer.wants_idle:
            return
        twins = [pool[backend.name] for pool in self.pools if backend.name in pool]
        if twins and not any(twin.in_flight for twin in twins):
            chosen = twins[int(self.rng.random() * len(twins))]
            self._pool_of[chosen].on_idle(chosen)
