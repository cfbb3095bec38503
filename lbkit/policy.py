"""A load-balancing policy as data, and the pool that carries it out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen
from attrs.validators import optional

from lbkit.checks import number, one_of, whole
from lbkit.core import AnyPool, Backend, Pool, PoolSet, Replicas, SlowStart
from lbkit.core.attempts import AttemptPolicy
from lbkit.core.backend import DEFAULT_POOL
from lbkit.core.balance import Balancer, algorithms, make_balancer
from lbkit.core.drain import DrainRules
from lbkit.core.health.watch import HealthRules
from lbkit.core.key import key_of
from lbkit.core.options import named_fields, option_faults
from lbkit.core.retry import Retry
from lbkit.core.state_change import StateChange
from lbkit.core.sticky import Affinity, Sticky
from lbkit.watchdog import guard

OnChange = Callable[[StateChange], object] | None
Stream = Callable[[str], random.Random]  # a random stream by its name


def _fault(check: Callable[[], object]) -> list[str]:
    """What a check raises as a ValueError, if it does."""
    try:
        check()
    except ValueError as error:
        return [str(error)]
    return []


@named_fields
@frozen
class Policy:
    """A load-balancing policy: an algorithm by name, its options, its key, and what applies to all
    algorithms.

    `key`: client, path, uri, flow (the connection), header:NAME, cookie:NAME or query:NAME.
    `retries`: how many other backends a request may go to, when the first refuses the connection or closes it
    without an answer.
    `retry`: how: pauses, budget, hedges, timeouts, deadlines, and which answers count as failures.
    `balancers`: number of balancers side by side, each with its own counts. `slow_start`: the weight of a new
    backend rises gradually. `health`: what takes backends out of service and brings them back. `panic`:
    below this share of healthy backends, health is ignored. `drain`: how a backend leaves that is told to;
    without it, what runs there ends by itself. `sticky`: how the requests of a session stay on one backend;
    the algorithm chooses for new sessions only.
    Raises ValueError for an unknown algorithm, option or key.
    """

    algorithm: str = "round_robin"
    options: Mapping[str, Any] = field(factory=dict, validator=one_of(Mapping))
    key: str = field(default="")  # empty: the algorithm's default
    retries: int = field(default=1, validator=whole(0))
    retry: Retry | None = field(default=None, validator=optional(one_of(Retry)))
    balancers: int = field(default=1, validator=whole(1, 1000))
    slow_start: SlowStart | None = field(default=None, validator=optional(one_of(SlowStart)))
    health: HealthRules | None = field(default=None, validator=optional(one_of(HealthRules)))
    drain: DrainRules | None = field(default=None, validator=optional(one_of(DrainRules)))
    panic: float = field(default=0.0, validator=number(0, 1))
    sticky: Sticky | None = field(default=None, validator=optional(one_of(Sticky)))

    def __attrs_post_init__(self) -> None:
        faults: list[str] = []
        if self.algorithm in algorithms():
            faults += option_faults(algorithms()[self.algorithm], self.options)
        if not faults:
            faults += _fault(lambda: make_balancer(self.algorithm, **self.options))
        if self.key:
            faults += _fault(lambda: key_of(self.key))
        if faults:
            raise ValueError("\n".join(faults))

    @property
    def keyed_by(self) -> str:
        """The key in use: `key`, or the algorithm's default."""
        return self.key or make_balancer(self.algorithm, **self.options).keyed_by

    def using(self, algorithm: str, options: Mapping[str, Any]) -> Policy:
        """Return this policy with another algorithm: its health rules, retries and so on stay."""
        return evolve(self, algorithm=algorithm, options=options)

    def check_weights(self, weights: Mapping[str, float]) -> None:
        """Raise ValueError for weights that the algorithm has no room for."""
        if algorithms()[self.algorithm].check_weights is not Balancer.check_weights:
            make_balancer(self.algorithm, **self.options).check_weights(weights)

    def pool(
        self,
        backends: Iterable[Backend],
        stream: Stream,
        start: float = 0.0,
        on_change: OnChange = None,
        secret: bytes = b"",
        kind: type[Pool] = Pool,
    ) -> Pool | Replicas:
        """Return the pool that balances these backends by this policy; Replicas hold twins of them.

        `on_change` gets each change of a backend's state, by `health` and by `drain`. `secret`: what
        signs sessions where `sticky` has none; by default it is drawn from `stream`, which is good enough for
        a simulation.

        `start`: where rotations start, from 0 (the first turn) to below 1. Replicas start at random places of
        their own; one of several processes for the same backends gets a place from its caller."""
        guard()
        backends = list(backends)

        secret = secret or (stream("session cookies").randbytes(32) if self.sticky else b"")

        def pool(number: int, members: list[Backend], start: float) -> Pool:
            balancer = self._balancer(number, stream)
            return kind(
                members,
                balancer,
                slow_start=self.slow_start,
                panic=self.panic,
                start=start,
                health=self.health,
                drain=self.drain,
                on_change=on_change,
                affinity=Affinity(self.sticky, secret) if self.sticky else None,
            )

        if self.balancers == 1:
            return pool(0, backends, start)
        starts = stream("starts")
        pools = [pool(i, [b.twin() for b in backends], starts.random()) for i in range(self.balancers)]
        return Replicas(pools, stream("balancers"))

    def pools(
        self,
        backends: Iterable[Backend],
        stream: Stream,
        names: Iterable[str] = (),
        start: float = 0.0,
        on_change: OnChange = None,
        secret: bytes = b"",
        kind: type[Pool] = Pool,
    ) -> AnyPool:
        """Return the pools of backends that name one, each balanced by this policy: a PoolSet of several.

        `names`: those of pools that have no backends yet; the first pool gets what is sent to no other."""
        backends = list(backends)
        members: dict[str, list[Backend]] = {name: [] for name in (*names, *(b.pool for b in backends))}
        if len(members) <= 1:
            return self.pool(backends, stream, start, on_change, secret, kind)
        for backend in backends:
            members[backend.pool].append(backend)

        def of_pool(pool: str) -> Stream:
            return stream if pool == DEFAULT_POOL else lambda name: stream(f"{pool}/{name}")

        return PoolSet(
            {
                name: self.pool(some, of_pool(name), start, on_change, secret, kind)
                for name, some in members.items()
            }
        )

    def attempts(self, stream: Stream) -> AttemptPolicy:
        """Return what follows failures by this policy, with a budget and counts of its own."""
        return AttemptPolicy(self.retries, self.retry, stream("retries") if self.retry else None)

    def switch(self, pool: AnyPool, stream: Stream) -> None:
        """Switch a running pool to this policy's algorithm."""
        if isinstance(pool, PoolSet):
            for _, one in pool.items():
                self.switch(one, stream)
        elif isinstance(pool, Replicas):
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
