"""Backends by name: the name is looked up again, and the pool follows the addresses that it has now.

A new address joins the pool; one that is gone drains, and leaves the pool once its requests have ended. So a
change loses no request and needs no restart. `getaddrinfo` does not give the TTL of DNS, so lookups are made
at an interval (as HAProxy's `hold valid` and nginx's `resolver ... valid=` set one).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from lbkit.core import AnyPool, Intent, PoolSet
from lbkit.net.config import BackendConfig, ConfigError, look_up


class Names:
    """Keeps the pool in step with the names of the backends that have `resolve`."""

    def __init__(
        self,
        pool: AnyPool,
        backends: Iterable[BackendConfig],
        interval: float,
        say: Callable[[str], object],
    ) -> None:
        """`interval`: seconds between lookups. `say` gets a line about each change and each failed lookup."""
        self.pool = pool
        self.named = [backend for backend in backends if backend.resolve]
        self.interval = interval
        self.say = say
        # A proxy has more to do for a backend that leaves.
        self.set_intent: Callable[[str, Intent], object] = lambda name, intent: pool.set_intent(
            name, intent, 0.0
        )
        # Backends that leave once they are idle -> the operator's intent for each, in case they come back.
        self._drained: dict[str, Intent] = {}

    async def run(self) -> None:
        """Look names up at the interval, until cancelled."""
        loop = asyncio.get_running_loop()
        while self.named:
            await asyncio.sleep(self.interval)
            for config in self.named:
                try:
                    found = await loop.run_in_executor(None, look_up, *config.host_and_port)
                except ConfigError as error:  # a failed lookup is no change: DNS servers fail, too
                    self.say(f"{config.address}: keeping the addresses there are: {error}")
                else:
                    self.update(config, found)
            self.remove_drained()

    def update(self, config: BackendConfig, addresses: Iterable[str]) -> None:
        """Bring the pool to these addresses of a name. New ones join before old ones drain."""
        wanted = {backend.name: backend for backend in config.at(addresses)}
        present = {b.name: b for b in self.pool.backends if config.has(b)}
        for name, backend in wanted.items():
            if name not in present:
                target = self.pool.named(config.pool) if isinstance(self.pool, PoolSet) else self.pool
                target.add(backend)
                self.say(f"{name} joins")
            elif name in self._drained:
                self.set_intent(name, self._drained.pop(name))
                self.say(f"{name} is back")
        for name in present.keys() - wanted.keys() - self._drained.keys():
            self._drained[name] = present[name].intent
            self.set_intent(name, Intent.DRAIN)
            self.say(f"{name} drains: its address is gone")

    def remove_drained(self) -> None:
        """Remove backends that have lost their address, once their requests have ended."""
        busy = {b.name for b in self.pool.all_backends() if b.in_flight}
        for name in self._drained.keys() - busy:
            del self._drained[name]
            self.pool.remove(name)
