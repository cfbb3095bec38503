"""What the first balancer's rules count during a run that is recorded: probes, failures, the retry budget.

The counts are those of the rules themselves, read after each pick, release and probe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lbkit.core import AnyPool, Backend, Intent, Pool, PoolSet
from lbkit.core.attempts import AttemptPolicy
from lbkit.recorded import Budget, Panic, Probed, Tally
from lbkit.sim.checks import Checks
from lbkit.sim.engine import Engine

MOST = 20_000  # of each kind: the first ones are kept


class Tallies:
    """`probed`, `tallies`, `budget` and `panics` of a run (`lbkit.recorded`)."""

    def __init__(
        self, pool: AnyPool, numbers: Mapping[str, int], attempts: AttemptPolicy, engine: Engine
    ) -> None:
        """`numbers`: the number of each server, by its name."""
        self.numbers, self.attempts, self.engine = numbers, attempts, engine
        self.probed: list[Probed] = []
        self.tallies: list[Tally] = []
        self.budget: list[Budget] = []
        self.panics: list[Panic] = []
        self._last: dict[str, Tally] = {}
        self._pools = [p for p in firsts(pool) if p.watch or p.panic or attempts.budget_left(0.0) is not None]
        for first in self._pools:
            for name in ("pick", "release"):
                vars(first)[name] = self._read_after(first, getattr(first, name))

    def _read_after(self, pool: Pool, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of `pool` that is followed by a reading."""

        def read(*arguments: Any) -> Any:
            found = method(*arguments)
            backend: Backend = found or arguments[0]  # what `pick` returns, and `release` gets
            self.read(pool, backend.name, self.engine.now)
            return found

        return read

    def read(self, pool: Pool, name: str, now: float) -> None:
        """Keep what has been counted about a backend, if it is news."""
        counts = pool.watch and pool.watch.counts(name, now)
        if counts:
            tally = Tally(now, self.numbers[name], *counts)
            last = self._last.get(name)
            if (last is None or last[1:] != tally[1:]) and len(self.tallies) < MOST:
                self._last[name] = tally
                self.tallies.append(tally)
        left = self.attempts.budget_left(now)
        news = left is not None and (not self.budget or self.budget[-1].left != left)
        if left is not None and news and len(self.budget) < MOST:
            self.budget.append(Budget(now, left))
        if pool.panic:
            self._look_for_panic(pool, now)

    def _look_for_panic(self, pool: Pool, now: float) -> None:
        wanted = [b for b in pool.backends if b.intent is Intent.READY and b.weight > 0]
        healthy = sum(b.healthy for b in wanted)
        on = any(not b.eligible for b in pool.eligible)
        panic = Panic(now, on, healthy, len(wanted))
        if (not self.panics or self.panics[-1][1:] != panic[1:]) and len(self.panics) < MOST:
            self.panics.append(panic)

    def changed(self, name: str, at: float) -> None:
        """A rule has changed the state of a backend, of any balancer."""
        for pool in self._pools:
            if name in pool:
                self.read(pool, name, at)

    def probe(self, pool: Pool, probed: Probed, name: str) -> None:
        """The outcome of a probe is known."""
        if pool in self._pools:
            if len(self.probed) < MOST:
                self.probed.append(probed)
            self.read(pool, name, self.engine.now)

    def facts(self) -> dict[str, Any]:
        """Return what there is, in order of time."""
        found: dict[str, list[Any]] = {
            "probed": sorted(self.probed, key=lambda probed: probed.sent),
            "tallies": sorted(self.tallies, key=lambda tally: tally.at),
            "budget": self.budget,
            "panics": self.panics,
        }
        return {name: rows for name, rows in found.items() if rows}


class RecordedChecks(Checks):
    """Health checks whose probes are kept."""

    tallies: Tallies | None = None

    def receive(self, number: int) -> None:
        pool, backend = self._backends[number]
        sent, fault = self._starts[number], self._outcomes[number]
        super().receive(number)
        assert self.tallies
        server = self.server_of[backend].index
        self.tallies.probe(pool, Probed(server, sent, self.engine.now, fault), backend.name)


def firsts(pool: AnyPool) -> list[Pool]:
    """Return the pools of the first balancer."""
    if isinstance(pool, PoolSet):
        return [named.pools[0] for _, named in pool.items()]
    return [pool.pools[0]]
