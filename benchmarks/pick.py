"""What a pick costs, and a rebuild, by algorithm and size of the pool; the ring next to uhashring.

`python -m benchmarks.pick` prints a table, `--json` one object with, by algorithm, `ns_per_pick` and
`rebuild_ms` by size, `weighted` (the same for weights 1, 2 and 3); and `ring_build_ratio_vs_uhashring`.
A pick here is a whole turn: take a backend with some in flight, give it back, and report its load where the
algorithm hears (all that it asks, too), less what the same turn costs with an algorithm that does nothing.
(Not when compiled: there an algorithm of one's own costs more than lbkit's.) `own_ratio`: what a turn with a
learner's five lines costs, compared with the call of these lines alone.
"""

from __future__ import annotations

import gc
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from uhashring import HashRing

from benchmarks.harness import options, report
from lbkit import compiled
from lbkit.core import Backend, Balancer, Pool, algorithms, make_balancer
from lbkit.core.meter import LoadReport

SIZES = (10, 100, 1000, 10_000)
ROUND = 0.2  # seconds that a round may take
RING = (1000, 160)  # backends, points each
KEYS = [f"10.{i >> 8 & 255}.{i & 255}.7" for i in range(4096)]


class _Nothing(Balancer):
    """Always the first: what the pool itself costs."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[0]


class _Shortest(Balancer):
    """A learner's."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return min(backends, key=lambda backend: backend.in_flight)


def own_ratio(picks: int, rounds: int) -> float:
    members, balancer = backends(10), _Shortest()
    pool, busy = Pool(members, balancer), half_busy(members)

    def alone() -> None:
        for i in range(picks):
            balancer.pick(members, KEYS[i & 4095], i / 1000)

    through = best(partial(turns, pool, busy, picks), rounds)
    return through / (1e9 / picks * best(lambda: seconds(alone), rounds))


def backends(count: int, weights: Sequence[float] = (1,)) -> list[Backend]:
    return [Backend(f"10.1.{i >> 8}.{i & 255}:80", weight=weights[i % len(weights)]) for i in range(count)]


def half_busy(members: Sequence[Backend]) -> deque[Backend]:
    """Half of them, each with a request in flight, in the order in which they will be given back."""
    busy = deque(random.Random(1).sample(members, max(1, len(members) // 2)))
    for backend in busy:
        backend.in_flight += 1
    return busy


def turns(pool: Pool, busy: deque[Backend], picks: int) -> float:
    """Nanoseconds of processor time a turn."""
    balancer, before = pool.balancer, sum(b.picks for b in pool.backends)
    gc.collect()
    start = time.process_time()
    for i in range(picks):
        now = (before + i) / 1000  # a thousand requests a second
        backend = pool.pick(KEYS[i & 4095], now)
        busy.append(backend)
        done = busy.popleft()
        pool.release(done, now - 0.01, True, now)
        if balancer.wants_reports:
            balancer.on_report(done, load_of(done), now)
            for one in pool.probe_targets(backend, now):
                balancer.on_report(one, load_of(one), now, probed=True)
    return 1e9 * (time.process_time() - start) / picks


def load_of(backend: Backend) -> LoadReport:
    return LoadReport(backend.in_flight, backend.in_flight / 10, 100.0, latency=0.01)


def costs(
    name: str, count: int, weights: Sequence[float], picks: int, rounds: int, nothing: float
) -> tuple[float, float]:
    """Nanoseconds a pick, milliseconds a rebuild; of what is slow, fewer picks and one round."""
    balancer, members = make_balancer(name, random.Random(1)), backends(count, weights)
    busy = half_busy(members)
    rebuild = seconds(partial(balancer.rebuild, members))
    pool = Pool(members, balancer)
    few = turns(pool, busy, min(picks, 50))
    some = int(min(picks, max(50, 1e9 * ROUND / few)))
    again = rounds if some == picks else 1
    return max(0.0, best(partial(turns, pool, busy, some), again) - nothing), 1e3 * rebuild


def nothing_costs(count: int, picks: int) -> float:
    members = backends(count)
    busy = half_busy(members)
    return turns(Pool(members, _Nothing()), busy, picks)


def best(work: Callable[[], float], rounds: int) -> float:
    return min(work() for _ in range(rounds))


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def ring_ratio(rounds: int) -> tuple[float, float, float]:
    """uhashring's time to build a ring / ours, and both in milliseconds."""
    count, points = RING
    members = backends(count)
    names = [b.name for b in members]
    ours = best(
        lambda: seconds(lambda: make_balancer("consistent_hash", points=points).rebuild(members)), rounds
    )
    theirs = best(lambda: seconds(lambda: HashRing(nodes=names, vnodes=points, replicas=1)), rounds)
    return theirs / ours, 1e3 * ours, 1e3 * theirs


def by_size(found: dict[int, tuple[float, float]]) -> dict[str, object]:
    return {
        "ns_per_pick": {str(n): pick for n, (pick, _) in found.items()},
        "rebuild_ms": {str(n): rebuild for n, (_, rebuild) in found.items()},
    }


def measure(sizes: Sequence[int], picks: int, rounds: int) -> dict[str, Any]:
    found: dict[str, object] = {}
    nothing = {n: 0.0 if compiled() else best(partial(nothing_costs, n, picks), rounds) for n in sizes}
    for name, cls in algorithms().items():
        if not cls.__module__.startswith("lbkit."):
            continue
        equal, unequal = (
            {n: costs(name, n, weights, picks, rounds, nothing[n]) for n in sizes}
            for weights in ((1,), (1, 2, 3))
        )
        found[name] = by_size(equal) | {"weighted": by_size(unequal)}
    ratio, ours, theirs = ring_ratio(rounds)
    return {
        "algorithms": found,
        "own_ratio": own_ratio(picks, rounds),
        "ring_build_ratio_vs_uhashring": ratio,
        "ring_build_ms": ours,
        "uhashring_build_ms": theirs,
    }


def show(found: dict[str, Any]) -> None:
    print(
        f"ns a pick and ms a rebuild by size of the pool, Python {found['python']}; indented: weights 1, 2, 3"
    )
    first = next(iter(found["algorithms"].values()))
    sizes = "".join(f"{int(n):>10,}" for n in first["ns_per_pick"])
    print(f"{'':26}{sizes} |{sizes}")
    for name, cost in found["algorithms"].items():
        for title, row in ((name, cost), ("  " + name, cost["weighted"])):
            picks = "".join(f"{ns:10,.0f}" for ns in row["ns_per_pick"].values())
            rebuilds = "".join(f"{ms:10,.2f}" for ms in row["rebuild_ms"].values())
            print(f"{title:26}{picks} |{rebuilds}")
    print(f"A turn with five lines of one's own: {found['own_ratio']:.2f} times what these lines cost alone")
    print(
        f"A ring of {RING[0]} backends x {RING[1]} points: {found['ring_build_ms']:.0f} ms, "
        f"uhashring {found['uhashring_build_ms']:.0f} ms, "
        f"{found['ring_build_ratio_vs_uhashring']:.1f} times as long"
    )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--picks", type=int, default=10_000, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    report(parser, measure, show)


if __name__ == "__main__":
    main()
