"""What a process tells its supervisor: the states of its backends, and its counts since it started.

A report is plain data. Under "counts" are whole numbers that only grow, in nested tables, so that the
counts of several processes add up, and those of two moments give a rate.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import Any

from lbkit.core import AnyPool, Backend, Intent, Pool, PoolSet, Replicas
from lbkit.core.drain import DrainState
from lbkit.core.state_change import StateChange
from lbkit.net.filters.stats import Row, StatsFilter
from lbkit.net.filters.trace import TraceFilter
from lbkit.net.l4.tcp import TcpProxy
from lbkit.net.modes import AnyConfig, AnyProxy
from lbkit.net.proxy import Proxy

Report = dict[str, Any]
MOST_CHANGES = 10_000  # backends whose last change is kept

# The states of a backend, the one that needs attention most first. Of several balancers, or processes, the
# first that any of them reports counts: a backend is drained when it is drained everywhere.
STATES = ("down", "blocked", "draining", "no weight", "up", "stopped", "drained")


def note(changes: dict[str, StateChange], change: StateChange) -> None:
    """Keep the last change of each backend."""
    if change.backend in changes or len(changes) < MOST_CHANGES:
        changes[change.backend] = change


class Process:
    """A process that serves, as reports and orders see it: at layer 7 or at layer 4."""

    def __init__(
        self, proxy: AnyProxy, pool: AnyPool, config: AnyConfig, changes: Mapping[str, StateChange]
    ) -> None:
        self.proxy = proxy
        self.pool = pool
        self.config = config
        self.changes = changes  # the last one of each backend

    def now(self) -> float:
        return self.proxy.service.now() if isinstance(self.proxy, Proxy) else self.proxy.now()

    def clients(self) -> int:
        """Return the number of open connections; of sessions, with UDP."""
        proxy = self.proxy
        if isinstance(proxy, Proxy):
            return len(proxy.listener.open)
        return len(proxy.open) if isinstance(proxy, TcpProxy) else len(proxy.sessions)

    def accepted(self) -> int:
        """Return the number of connections so far; of sessions, with UDP."""
        proxy = self.proxy
        return proxy.listener.accepted if isinstance(proxy, Proxy) else proxy.accepted

    def named_pools(self) -> list[tuple[str, Pool | Replicas]]:
        if isinstance(self.pool, PoolSet):
            return list(self.pool.items())
        return [(self.config.backends[0].pool, self.pool)]


def report(process: Process) -> Report:
    """Return the report of a process; call it in the proxy's thread."""
    now = process.now()
    counts = _counts(process)
    return {
        "pid": os.getpid(),
        "clients": process.clients(),
        "memory": _memory(),
        "algorithm": process.pool.balancer.name,
        "faults": process.proxy.faults.lines(),
        "backends": [
            _backend(pool, backend, name, now)
            for name, several in process.named_pools()
            for pool in several.pools
            for backend in pool.backends
        ],
        "changes": [
            {**change._asdict(), "at": time.time() - (now - change.at)}
            for change in process.changes.values()
            if change.backend in counts["backends"]
        ],
        "counts": counts,
        "exemplars": _exemplars(process.proxy),
    }


def sample(process: Process, part: int, of: int) -> Report:
    """Return the counts alone, for the history: histograms, which are most of a report, only of each `of`th
    backend, from number `part` on. Call it in the proxy's thread."""
    return {"pid": os.getpid(), "counts": _counts(process, part, of)}


def _backend(pool: Pool, backend: Backend, pool_name: str, now: float) -> Report:
    name = backend.name
    drain = pool.drains.state(name)
    deadline = pool.drains.deadline(name)
    breaker = pool.watch.breaker(name) if pool.watch else None
    check = pool.watch.health(name) if pool.watch else None
    return {
        "name": name,
        "pool": pool_name,
        "address": backend.address,
        "zone": backend.zone,
        "priority": backend.priority,
        "weight": backend.weight,
        "workers": backend.workers,
        "state": state(backend, drain),
        "intent": backend.intent.value,
        "drain": drain.value,
        "drain_left": max(0.0, deadline - now) if deadline < inf else None,
        "healthy": backend.healthy,
        "held_by": list(pool.held_by(name)),
        "check": check.state.label if check else None,
        "breaker": breaker.state.value if breaker else None,
        "in_flight": backend.in_flight,
        "gets_requests": backend in pool.eligible,
    }


def state(backend: Backend, drain: DrainState) -> str:
    """Return one word for a backend: the operator's intent comes before health."""
    if backend.intent is not Intent.READY:
        return drain.value
    if not backend.healthy:
        return "down"
    if backend.blocked:
        return "blocked"
    return "up" if backend.weight > 0 else "no weight"


def _memory() -> int:
    """Return the largest resident set so far, in bytes; 0 on Windows."""
    if sys.platform == "win32":
        return 0
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _counts(process: Process, part: int = 0, of: int = 1) -> Report:
    backends: dict[str, Report] = {}
    for backend in process.pool.all_backends():
        known = backends.setdefault(backend.name, {"attempts": 0, "bytes": 0, "done": 0})
        known["attempts"] += backend.picks
        known["bytes"] += backend.traffic
        known["done"] += backend.picks - backend.in_flight
    shared = {"cpu_micros": time.process_time_ns() // 1000, "accepted": process.accepted()}
    if isinstance(process.proxy, Proxy):
        return _http_counts(process.proxy, backends, part, of) | shared
    return {"backends": backends, "elsewhere": {}, "attempts": {}, "filters": {}, **shared}


def _exemplars(proxy: AnyProxy) -> Report:
    """Return a recorded request for each bucket of latencies, by backend."""
    traces = proxy.filters.get("tracing") if isinstance(proxy, Proxy) else None
    return traces.exemplars.report() if isinstance(traces, TraceFilter) else {}


def _http_counts(proxy: Proxy, backends: dict[str, Report], part: int, of: int) -> Report:
    stats = proxy.filters.get("stats")
    rows = stats.rows if isinstance(stats, StatsFilter) else {}
    failures: dict[str, Counter[str]] = {}
    for (name, kind), count in proxy.service.attempts.failures.items():
        failures.setdefault(name, Counter())[kind] += count
    for i, (name, known) in enumerate(backends.items()):
        row = rows.get(name) or Row()
        known.update(row.to_dict(durations=i % of == part), failures=dict(failures.get(name, {})))
    return {
        "backends": backends,
        # Backends that left, and requests that none got.
        "elsewhere": added_up([row.to_dict() for name, row in rows.items() if name not in backends]),
        "attempts": dict(proxy.service.attempts.counts),
        "filters": {name: figures for name, made in proxy.filters.items() if (figures := made.figures())},
    }


def added_up(parts: list[Report], without: str = "") -> Report:
    """Return the sums of whole numbers in nested tables and lists of the same shape; no part is changed.

    What has the name `without` is left out."""
    total: Report = {}
    for part in parts:
        for key, value in part.items():
            if key == without:
                continue
            known = total.get(key)
            if known is None:
                total[key] = added_up([value], without) if without and isinstance(value, dict) else value
            elif isinstance(value, Mapping):
                total[key] = added_up([known, dict(value)], without)
            elif isinstance(value, list):
                total[key] = [a + b for a, b in zip(known, value, strict=True)]
            else:
                total[key] = known + value
    return total
