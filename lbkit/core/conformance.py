"""What every algorithm must do, whatever it is: after any sequence of events, the pool's promises hold.

`Play` plays a history of requests, failures and changes of the pool against an algorithm, and compares the
pool with a plain account of what should be. The kit's tests make histories with hypothesis; labs use
`random_history`, which needs a seed only.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from lbkit.core.backend import Backend, Intent, NoBackend
from lbkit.core.balance import Balancer, make_balancer
from lbkit.core.laws import require
from lbkit.core.meter import LoadReport
from lbkit.core.pool import Lease, Pool
from lbkit.core.slow_start import SlowStart

MOST = 6  # backends that come and go
STEP = 0.25  # seconds between two events
KEYS = ("10.0.0.1", "10.0.0.2", "/item/7", "", "ключ")
WEIGHTS = (0.0, 0.25, 1.0, 2.0, 5.0)

Event = tuple[Any, ...]  # the name of a method of Play, and its arguments


class Play:
    """A pool of three of six backends, with a balancer of `make`, on which events happen.

    `decisions` are the names of the backends that were picked, "none" where there was none to pick."""

    def __init__(
        self, make: Callable[[], Balancer], slow_start: SlowStart | None = None, panic: float = 0.0
    ) -> None:
        self.backends = [Backend(f"b{i}", zone="xyz"[i % 3], priority=i % 2) for i in range(MOST)]
        self.members = self.backends[: MOST // 2]
        self.panic = panic
        self.live: list[Lease] = []
        self.ended: list[Lease] = []
        self.decisions: list[str] = []
        self.now = 0.0
        self.pool = Pool(self.members, make(), slow_start=slow_start, panic=panic)

    def through(self, history: list[Event]) -> Play:
        """Let these events happen. Raises Violation, and AlgorithmError for a broken contract."""
        for step, *arguments in history:
            self.now += STEP
            getattr(self, step)(*arguments)
            self.check()
        return self

    def check(self) -> None:
        """Compare the pool with the plain account. Raises Violation."""
        for backend in self.backends:
            running = sum(lease.backend is backend for lease in self.live)
            require(
                backend.in_flight == running,
                f"{running} requests in flight at {backend.name}",
                backend.in_flight,
            )
        wanted = [b for b in self.members if b.intent is Intent.READY and b.weight > 0]
        eligible = list(self.pool.eligible)
        may = [b for b in wanted if b.healthy or (self.panic and b in eligible)]
        require(eligible == may, f"{_names(may)} to be eligible", _names(eligible))
        if len([b for b in wanted if b.healthy]) >= self.panic * len(wanted):
            by_priority = self.pool.balancer.name == "priority_levels"  # fails open for each level by itself
            require(all(b.healthy for b in may) or by_priority, "healthy backends only", _names(may))
        require(list(self.pool.backends) == self.members, _names(self.members), _names(self.pool.backends))

    # -- events ---------------------------------------------------------------------------

    def acquire(self, key: str, exclude: frozenset[int]) -> None:
        """A request comes, which has been tried at the backends of these numbers."""
        tried = {self.backends[i] for i in exclude}
        may = set(self.pool.eligible) - tried
        try:
            lease = self.pool.acquire(key, self.now, tried)
        except NoBackend:
            require(not may, f"one of {_names(may)}", "none was picked")
            self.decisions.append("none")
            return
        require(lease.backend in may, f"one of {_names(may)}", f"{lease.backend.name} was picked")
        self.live.append(lease)
        self.decisions.append(lease.backend.name)

    def release(self, index: int, ok: bool | None) -> None:
        """A request ends; each way out of a request may say so a second time, and its backend may be gone."""
        if self.ended and index % 3 == 0:
            self.ended[index % len(self.ended)].release(ok, self.now)
        elif self.live:
            lease = self.live.pop(index % len(self.live))
            lease.release(ok, self.now)
            require(lease.released, "the lease to be released", "it is not")
            self.ended.append(lease)

    def weight(self, i: int, weight: float) -> None:
        if self.backends[i] in self.members:
            self.pool.set_weight(f"b{i}", weight)

    def health(self, i: int, healthy: bool) -> None:
        if self.backends[i] in self.members:
            self.pool.set_health(f"b{i}", healthy)

    def intent(self, i: int, intent: Intent) -> None:
        if self.backends[i] in self.members:
            self.pool.set_intent(f"b{i}", intent, self.now)

    def add(self, i: int) -> None:
        if self.backends[i] not in self.members:
            self.pool.add(self.backends[i])
            self.members = [*self.members, self.backends[i]]

    def remove(self, i: int) -> None:
        if self.backends[i] in self.members:
            gone = self.pool.remove(f"b{i}")
            require(gone is self.backends[i], f"b{i} to be removed", gone.name)
            self.members = [b for b in self.members if b is not self.backends[i]]

    def report(self, i: int, load: int, asked: bool) -> None:
        """A backend reports its load, to an algorithm that wants reports."""
        backend, balancer = self.backends[i], self.pool.balancer
        if not balancer.wants_reports:
            return
        balancer.on_report(backend, LoadReport(load, load / 9, 10.0, latency=load / 10), self.now, asked)
        if self.pool.eligible:
            targets = set(self.pool.probe_targets(backend, self.now))
            require(targets <= set(self.pool.eligible), "probes of eligible backends only", _names(targets))

    def switch(self, algorithm: str) -> None:
        self.pool.switch(make_balancer(algorithm, random.Random(0)))


def _names(backends: Any) -> str:
    return ", ".join(sorted(b.name for b in backends)) or "none"


def random_history(seed: int, length: int = 60) -> list[Event]:
    """Return a history of `length` events: the same one for the same seed. More requests than changes."""
    rng = random.Random(seed)

    def which() -> int:
        return rng.randrange(MOST)

    def request() -> Event:
        return ("acquire", rng.choice(KEYS), frozenset(which() for _ in range(rng.choice((0, 0, 1, 2)))))

    def end() -> Event:
        return ("release", rng.randrange(100), rng.choice((True, True, False, None)))

    def change() -> Event:
        return rng.choice(
            (
                ("weight", which(), rng.choice(WEIGHTS)),
                ("health", which(), rng.random() < 0.6),
                ("intent", which(), rng.choice(list(Intent))),
                ("add", which()),
                ("remove", which()),
            )
        )

    return [rng.choice((request, request, request, end, end, change))() for _ in range(length)]
