"""Content switching in virtual time: the proxy's own table of rules decides which pool gets a request."""

from __future__ import annotations

from array import array

from lbkit.core import AnyPool, Pool, PoolSet, Replicas
from lbkit.core.routing import Answered, RouteTable
from lbkit.draws import stream
from lbkit.experiment import Experiment
from lbkit.sim.requests import Requests

PASS = 0  # a backend is to get the request


class Routes:
    """Decides once for each request, when it arrives."""

    def __init__(self, experiment: Experiment, requests: Requests, pool: AnyPool) -> None:
        assert experiment.routing
        self.table = RouteTable(experiment.routing, stream(experiment.seed, "routing"))
        self.requests = requests
        self._pools: dict[str, Pool | Replicas] = (
            dict(pool.items()) if isinstance(pool, PoolSet) else {experiment.pools[0]: pool}
        )
        self._pool_of: dict[int, Pool | Replicas] = {}  # row -> its pool, if that is not the first one
        self._first = next(iter(self._pools.values()))
        self._numbers = {rule.name: i for i, rule in enumerate(experiment.routing.rules)} | {"": -1}
        requests.rule = array("i", [-1]) * len(requests.arrival)

    def decide(self, row: int) -> int:
        """Choose the pool of a request. Return PASS, or the status of the answer that it gets at once."""
        requests = self.requests
        assert requests.rule is not None
        way = self.table.route(requests.view(row))
        requests.rule[row] = self._numbers[way.rule]
        if isinstance(way, Answered):
            return way.reply.status
        if (pool := self._pools[way.pool]) is not self._first:
            self._pool_of[row] = pool
        return PASS

    def pool(self, row: int) -> Pool | Replicas:
        """Return the pool that was chosen for a request."""
        return self._pool_of.get(row, self._first)

    def follow(self, row: int, other: int) -> None:
        """Choose for a request what was chosen for another."""
        if pool := self._pool_of.get(other):
            self._pool_of[row] = pool
