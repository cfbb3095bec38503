"""Pools with names: each has backends of its own, and the rules of content switching choose among them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, Intent
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.meter import LoadReport
from lbkit.core.pool import Lease, Pool
from lbkit.core.replicas import Replicas


@mypyc_attr(allow_interpreted_subclasses=True)
class PoolSet:
    """Several pools of different backends, with one algorithm; the first gets what is not sent to another.

    It has the methods of a Pool that a proxy uses: picks are the first pool's, and what is about a backend
    goes to the pool that has it, so the names of backends differ in all pools together.
    """

    def __init__(self, named: Mapping[str, Pool | Replicas]) -> None:
        self._named = dict(named)
        self.first = next(iter(self._named.values()))

    def named(self, name: str) -> Pool | Replicas:
        """Return a pool. Raises KeyError, which lists the names."""
        try:
            return self._named[name]
        except KeyError:
            raise KeyError(f"no pool {name!r}: there are {', '.join(self._named)}") from None

    def items(self) -> Iterator[tuple[str, Pool | Replicas]]:
        """Return the names and their pools."""
        return iter(self._named.items())

    def pool_of(self, backend: str) -> Pool | Replicas:
        """Return the pool that has the backend of this name. Raises KeyError, which lists the names."""
        for pool in self._named.values():
            if backend in pool.pools[0]:
                return pool
        names = ", ".join(b.name for b in self.backends)
        raise KeyError(f"no backend {backend!r} in the pools: there are {names}")

    # -- requests that go to the first pool --------------------------------------------------------

    def acquire(
        self,
        key: str,
        now: float,
        exclude: Collection[Backend] = (),
        explain: bool = False,
        token: str = "",
    ) -> Lease:
        return self.first.acquire(key, now, exclude, explain, token)

    def explain(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Why | None:
        return self.first.explain(key, now, exclude, token)

    def has_other(self, tried: Collection[Backend]) -> bool:
        return self.first.has_other(tried)

    def pick(self, key: str, now: float, exclude: Collection[Backend] = (), token: str = "") -> Backend:
        return self.first.pick(key, now, exclude, token)

    @property
    def balancer(self) -> Balancer:
        """The first pool's; all have the same algorithm."""
        return self.first.balancer

    @property
    def wants_reports(self) -> bool:
        return self.first.wants_reports

    # -- all backends -----------------------------------------------------------------------------

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All pools, and of balancers side by side all of theirs."""
        return tuple(pool for named in self._named.values() for pool in named.pools)

    @property
    def backends(self) -> tuple[Backend, ...]:
        return tuple(b for named in self._named.values() for b in named.backends)

    def all_backends(self) -> Iterator[Backend]:
        for named in self._named.values():
            yield from named.all_backends()

    # -- one backend, by its name ------------------------------------------------------------------

    def add(self, backend: Backend) -> None:
        """Add a backend to its pool. Raises ValueError if the name is taken, KeyError for an unknown pool."""
        if any(b.name == backend.name for b in self.backends):
            raise ValueError(f"the name {backend.name!r} is taken: use another")
        self.named(backend.pool).add(backend)

    def remove(self, name: str) -> Backend:
        return self.pool_of(name).remove(name)

    def release(self, backend: Backend, start: float, ok: bool | None, now: float) -> None:
        self.named(backend.pool).release(backend, start, ok, now)

    def keep(self, backend: Backend, token: str, now: float, begin: bool = True) -> str:
        return self.named(backend.pool).keep(backend, token, now, begin)

    def set_weight(self, name: str, weight: float) -> None:
        self.pool_of(name).set_weight(name, weight)

    def set_health(self, name: str, healthy: bool, by: str = "operator") -> None:
        self.pool_of(name).set_health(name, healthy, by)

    def set_intent(self, name: str, intent: Intent, now: float) -> None:
        self.pool_of(name).set_intent(name, intent, now)

    def probe_targets(self, backend: Backend, now: float) -> Sequence[Backend]:
        return self.pool_of(backend.name).probe_targets(backend, now)

    def report(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        self.pool_of(backend.name).report(backend, load, now, probed)


AnyPool = Pool | Replicas | PoolSet
