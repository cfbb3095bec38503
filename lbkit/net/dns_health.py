"""Health of regions for a DNS server: its answers change as servers fail and recover."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from lbkit.checks import several
from lbkit.core import Backend, Pool, make_balancer
from lbkit.core.health import CheckRules, HealthRules
from lbkit.core.options import instance, instances
from lbkit.core.state_change import StateChange
from lbkit.net.dns import DnsServer
from lbkit.net.origin.check import Checker


class RegionHealth:
    """Checks the servers of regions, and keeps a DNS server informed of each region's healthy share.

    Give it the server before that starts: the checks run as long as it does."""

    def __init__(
        self,
        server: DnsServer,
        backends: Iterable[Backend],
        rules: CheckRules | None = None,
        on_change: Callable[[StateChange], object] = lambda change: None,
    ) -> None:
        """`backends`: with the region as their `zone`, or the address of a `Weighted` name that they stand
        for. A probe of kind "call" asks your own function. `on_change`: called in the server's thread.

        Raises ValueError for servers without a zone."""
        backends = several(backends)
        instance(DnsServer, "server", server)
        instances(Backend, "backends", backends)
        self.server, self.on_change = server, on_change
        rules = rules or CheckRules()
        for one in backends:
            if not one.zone:
                raise ValueError(f"zone of {one.name} is empty: name the region that the server belongs to")
        self.pool = Pool(
            backends,
            make_balancer("round_robin"),
            health=HealthRules(checks=rules),
            on_change=self._changed,
        )
        self.checker = Checker(
            self.pool, rules.probe, rules.timeout, time.monotonic, on_fault=server.faults.report
        )
        server.background.append(self.checker.run)
        for zone in dict.fromkeys(one.zone for one in backends):
            server.set_state(zone, self.healthy(zone))

    def healthy(self, zone: str) -> float:
        """Return the share of a region's servers that pass their checks."""
        watch = self.pool.watch
        assert watch
        states = [watch.health(one.name) for one in self.pool.backends if one.zone == zone]
        return sum(state is not None and state.state.in_service for state in states) / len(states)

    def _changed(self, change: StateChange) -> None:
        zone = self.pool[change.backend].zone
        self.server.set_state(zone, self.healthy(zone))
        self.on_change(change)
