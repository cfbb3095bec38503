"""A load-balancing policy as data, and the pool that carries it out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import field, frozen

from lbkit.core import Backend, Pool, Replicas, SlowStart
from lbkit.core.balance import Balancer, algorithms, make_balancer
from lbkit.core.key import key_of
from lbkit.distributions import number, whole

Stream = Callable[[str], random.Random]  # a random stream by its name


@frozen
class Policy:
    """A load-balancing policy: an algorithm by name, its options, its key, and what applies to all
    algorithms.

    `key`: client, path, uri, flow (the connection), header:NAME, cookie:NAME or query:NAME.
    `retries`: how often a request may go to another backend when the first could not be reached.
    `balancers`: number of balancers side by side, each with its own counts. `slow_start`: the weight of a new
    backend rises gradually. `panic`: below this share of healthy backends, health is ignored.
    Raises ValueError for an unknown algorithm, option or key.
    """

    algorithm: str = "round_robin"
    options: Mapping[str, Any] = field(factory=dict)
    key: str = field(default="")  # empty: the algorithm's default
    retries: int = field(default=1, validator=whole(0))
    balancers: int = field(default=1, validator=whole(1))
    slow_start: SlowStart | None = None
    panic: float = field(default=0.0, validator=number(0, 1))

    def __attrs_post_init__(self) -> None:
        make_balancer(self.algorithm, **self.options)
        if self.key:
            key_of(self.key)

    @property
    def keyed_by(self) -> str:
        """The key in use: `key`, or the algorithm's default."""
        return self.key or make_balancer(self.algorithm, **self.options).keyed_by

    def pool(self, backends: Iterable[Backend], stream: Stream) -> Pool | Replicas:
        """Return the pool that balances these backends by this policy; Replicas hold twins of them."""
        backends = list(backends)

        def pool(number: int, members: list[Backend]) -> Pool:
            balancer = self._balancer(number, stream)
            return Pool(members, balancer, slow_start=self.slow_start, panic=self.panic)

        if self.balancers == 1:
            return pool(0, backends)
        pools = [pool(i, [b.twin() for b in backends]) for i in range(self.balancers)]
        return Replicas(pools, stream("balancers"))

    def switch(self, pool: Pool | Replicas, stream: Stream) -> None:
        """Switch a running pool to this policy's algorithm."""
        if isinstance(pool, Replicas):
            pool.switch(lambda number: self._balancer(number, stream))
        else:
            pool.switch(self._balancer(0, stream))

    def _balancer(self, number: int, stream: Stream) -> Balancer:
        options = dict(self.options)
        if self.balancers > 1 and algorithms()[self.algorithm].numbered:
            options |= {"index": number, "balancers": self.balancers}
        return make_balancer(self.algorithm, stream(f"policy {number}" if number else "policy"), **options)

    @classmethod
    def of(cls, what: Policy | str | type[Balancer]) -> Policy:
        """Return a policy, given as itself, as an algorithm's name or as its class."""
        if isinstance(what, Policy):
            return what
        if isinstance(what, str):
            return cls(what)
        if isinstance(what, type) and issubclass(what, Balancer):
            return cls(what.name)
        raise ValueError(f"policy is {what!r}: use a Policy, an algorithm's name or its class")
