"""Which appliance inspects a flow: the same one in both directions, for as long as the flow lasts.

No I/O: time is an argument, so tests run in virtual time.
"""

from __future__ import annotations

from collections import OrderedDict

from lbkit.core import Backend, Lease, NoBackend, Pool
from lbkit.core.drain import DrainState
from lbkit.core.options import flags, whole
from lbkit.core.text import shown
from lbkit.net.geneve.packet import TCP, Packet

TCP_IDLE, OTHER_IDLE = 350.0, 120.0  # seconds without a packet, after which a flow is forgotten. (AWS, GWLB.)


class Flow:
    """A flow and its appliance. `cookie`: the flow's number in GENEVE headers."""

    __slots__ = ("cookie", "idle", "key", "last", "lease")

    def __init__(self, key: str, cookie: int, lease: Lease, idle: float) -> None:
        self.key, self.cookie, self.lease, self.idle = key, cookie, lease, idle
        self.last = 0.0

    @property
    def appliance(self) -> Backend:
        return self.lease.backend


class FlowTable:
    """The flows of a pool of appliances.

    `fields`: the number of fields that identify a flow, 5, 3 or 2 (see Packet.key). `rebalance`: whether the
    flows of an unhealthy or drained appliance move to another one, which does not know them; if not, their
    packets still go to the old one, and are lost if it is gone. New flows always go to healthy appliances.
    (AWS: target_failover, no_rebalance by default.) `size`: the maximum number of flows; beyond it the flow
    that was silent longest is forgotten. Raises ValueError.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/edit-target-group-attributes.html
    """

    def __init__(self, pool: Pool, fields: int = 5, rebalance: bool = False, size: int = 100_000) -> None:
        if fields not in (5, 3, 2):
            raise ValueError(f"fields is {fields!r}: use 5, 3 or 2")
        if not isinstance(pool, Pool):
            raise ValueError(f"pool is {shown(pool)}: use a Pool")
        whole(1, size=size)
        flags(rebalance=rebalance)
        self.pool, self.fields, self.rebalance, self.size = pool, fields, rebalance, size
        self.rehashed = 0  # flows that got another appliance so far
        self._flows: OrderedDict[str, Flow] = OrderedDict()  # the one that was silent longest is first
        self._by_cookie: dict[int, Flow] = {}
        self._next_cookie = 1

    def __len__(self) -> int:
        return len(self._flows)

    def flow(self, packet: Packet, now: float) -> Flow:
        """Return the flow of a packet, a new one if needed. Raises NoBackend, AlgorithmError."""
        key = packet.key(self.fields)
        found = self._flows.get(key)
        if found and now - found.last > found.idle:
            self._forget(found, now)
            found = None
        if found is None:
            lease = self.pool.acquire(key, now)
            found = Flow(key, self._cookie(), lease, TCP_IDLE if packet.protocol == TCP else OTHER_IDLE)
            self._flows[key] = self._by_cookie[found.cookie] = found
            if len(self._flows) > self.size:
                self._forget(next(iter(self._flows.values())), now)
        elif self.rebalance and self._is_gone(found.appliance):
            found.lease.release(None, now)
            found.lease = self._another(found, now)
        found.last = now
        self._flows.move_to_end(key)
        return found

    def by_cookie(self, cookie: int) -> Flow | None:
        """Return the flow with this number; None if there is none."""
        return self._by_cookie.get(cookie)

    def expire(self, now: float) -> None:
        """Forget flows that have been silent for too long, and end drains at their deadline."""
        for flow in [flow for flow in self._flows.values() if now - flow.last > flow.idle]:
            self._forget(flow, now)
        self.pool.drains.advance(now)

    def _another(self, flow: Flow, now: float) -> Lease:
        self.rehashed += 1
        try:
            return self.pool.acquire(flow.key, now)
        except NoBackend:
            self._flows.pop(flow.key)
            self._by_cookie.pop(flow.cookie)
            raise

    def _is_gone(self, appliance: Backend) -> bool:
        """Return whether the flows of an appliance may move: it is unhealthy, removed or drained.

        False if no appliance is healthy: then all of them get flows, and none is better."""
        pool = self.pool
        if appliance.name not in pool or pool[appliance.name] is not appliance:
            return True
        if pool.drains.state(appliance.name) in (DrainState.DRAINED, DrainState.STOPPED):
            return True
        return not appliance.healthy and appliance not in pool.eligible

    def _forget(self, flow: Flow, now: float) -> None:
        del self._flows[flow.key], self._by_cookie[flow.cookie]
        flow.lease.release(True, now)

    def _cookie(self) -> int:
        """Return a number of 32 bits that no flow has."""
        while True:
            cookie, self._next_cookie = self._next_cookie, self._next_cookie % 0xFFFFFFFF + 1
            if cookie not in self._by_cookie:
                return cookie
