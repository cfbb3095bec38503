"""What a pick costs, and a rebuild, by algorithm and size of the pool; the ring next to uhashring.

`python -m benchmarks.pick` prints a table, `--json` one object with, by algorithm, `ns_per_pick` by size and
`rebuild_ms`, and `ring_build_ratio_vs_uhashring`. A pick here is a whole turn: take a backend with some in
flight, and give it back, less what the same turn costs with an algorithm that does nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from uhashring import HashRing

from lbkit.core import Backend, Balancer, Pool, algorithms, make_balancer

SIZES = (10, 100, 1000, 10_000)
RING = (1000, 160)  # backends, points each
KEYS = [f"10.{i >> 8 & 255}.{i & 255}.7" for i in range(4096)]


class _Nothing(Balancer):
    """Always the first: what the pool itself costs."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[0]


def backends(count: int) -> list[Backend]:
    return [Backend(f"10.1.{i >> 8}.{i & 255}:80") for i in range(count)]


def turns(balancer: Balancer, count: int, picks: int) -> float:
    """Nanoseconds of processor time a turn, with half of the pool busy on average."""
    pool = Pool(backends(count), balancer)
    live = deque(pool.take(KEYS[i % len(KEYS)], 0.0) for i in range(max(1, count // 2)))
    gc.collect()
    start = time.process_time()
    for i in range(picks):
        now = i / 1000  # a thousand requests a second
        live.append(pool.take(KEYS[i & 4095], now))
        pool.give_back(live.popleft(), now - 0.01, True, now)
    return 1e9 * (time.process_time() - start) / picks


def seeded(name: str, count: int, picks: int) -> float:
    return turns(make_balancer(name, random.Random(1)), count, picks)


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


def measure(sizes: Sequence[int], picks: int, rounds: int) -> dict[str, object]:
    found: dict[str, object] = {}
    nothing = {n: best(partial(turns, _Nothing(), n, picks), rounds) for n in sizes}
    for name, cls in algorithms().items():
        if not cls.__module__.startswith("lbkit."):
            continue
        cost = {}
        for n in sizes:
            # A scan over ten thousand is slow enough to need fewer picks.
            some = picks if n <= 1000 else max(200, picks // 100)
            cost[str(n)] = max(0.0, best(partial(seeded, name, n, some), rounds) - nothing[n])
        balancer, members = make_balancer(name), backends(max(sizes))
        rebuild = seconds(partial(balancer.rebuild, members))
        found[name] = {"ns_per_pick": cost, "rebuild_ms": 1e3 * rebuild}
    ratio, ours, theirs = ring_ratio(rounds)
    return {
        "algorithms": found,
        "ring_build_ratio_vs_uhashring": ratio,
        "ring_build_ms": ours,
        "uhashring_build_ms": theirs,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a pick costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--picks", type=int, default=10_000, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    found = measure(options.sizes, options.picks, options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    print(f"ns a pick by size of the pool, Python {found['python']}")
    print(f"{'':26}" + "".join(f"{n:>10,}" for n in options.sizes) + f"{'rebuild ms':>14}")
    costs = found["algorithms"]
    assert isinstance(costs, dict)
    for name, cost in costs.items():
        picks = "".join(f"{ns:10,.0f}" for ns in cost["ns_per_pick"].values())
        print(f"{name:26}{picks}{cost['rebuild_ms']:14.1f}")
    print(
        f"A ring of {RING[0]} backends x {RING[1]} points: {found['ring_build_ms']:.0f} ms, "
        f"uhashring {found['uhashring_build_ms']:.0f} ms, "
        f"{found['ring_build_ratio_vs_uhashring']:.1f} times as long"
    )


if __name__ == "__main__":
    main()
