"""What a decision costs, by kind of limiter and number of keys, next to `limits`; and the memory of a key.

`python -m benchmarks.limit` prints a table, `--json` one object:
- `ns_per_decision` by kind and number of keys: yes or no, as `limits` answers;
- `ns_with_details` by kind: besides, how much is left and when to come again;
- `ratio_vs_limits` by the kinds that both have, for so many requests that are all admitted (so their log,
  which is written at its front, gets long), and `ratio_vs_limits_denied`, when hardly any is;
- `bytes_per_key` by kind;
- `redis`, with a redis-server on the machine: decisions a second, and microseconds of processor time each,
  for a fixed window in one process that asks 50 at once, of lbkit, `limits` and throttled-py.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from limits import RateLimitItemPerSecond, aio, storage, strategies
from throttled.asyncio import Throttled, rate_limiter, store

from benchmarks.harness import options, report
from lbkit.core.limit import FixedWindow, make_limiter
from lbkit.live.redis_server import RedisServer
from lbkit.needs import find_program
from lbkit.net.shared_store import Question, SharedLimits, SharedStore

RATE = 500  # a second; requests come twice as fast, so half of them are denied
KINDS: dict[str, dict[str, Any]] = {
    "token_bucket": {"rate": RATE, "burst": 20},
    "leaky_bucket": {"rate": RATE, "capacity": 20},
    "leaky_queue": {"rate": RATE, "capacity": 20},
    "gcra": {"rate": RATE, "burst": 20},
    "nginx_limit": {"rate": RATE, "burst": 20},
    "fixed_window": {"limit": RATE},
    "sliding_counter": {"limit": RATE},
    "sliding_log": {"limit": 20, "window": 20 / RATE},
    "concurrency_limit": {"limit": 1e9},
}
THEIRS = {
    "fixed_window": strategies.FixedWindowRateLimiter,
    "sliding_counter": strategies.SlidingWindowCounterRateLimiter,
    "sliding_log": strategies.MovingWindowRateLimiter,
}
PEER = {"admitted": 1_000_000, "denied": 20}  # limits a second, one that nobody reaches and one that all do
GAP = 1e-5  # seconds between requests there: as fast as a processor asks
SIZES = (1, 1000, 1_000_000)


def nanoseconds(work: Callable[[], object], count: int) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return 1e9 * (time.process_time() - start) / count


def ours(
    kind: str, keys: int, decisions: int, details: bool = False, gap: float = 0.5 / RATE, **options: Any
) -> float:
    """A decision, with so many keys known, asked in turn, so that each key is asked every `gap` seconds."""
    limiter = make_limiter(kind, **(options or KINDS[kind]))
    names = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(keys)]
    for name in names:
        limiter.admit(name, 0.0)
    asked = [names[i % keys] for i in range(decisions)]
    moments = [i * gap / keys for i in range(decisions)]
    decide: Callable[[str, float], object] = limiter.admit if details else limiter.allows

    def work() -> None:
        for name, now in zip(asked, moments, strict=True):
            decide(name, now)

    return nanoseconds(work, decisions)


def theirs(kind: str, decisions: int, limit: int) -> float:
    hit, item = THEIRS[kind](storage.MemoryStorage()).hit, RateLimitItemPerSecond(limit)

    def work() -> None:
        for _ in range(decisions):
            hit(item, "10.0.0.1")

    return nanoseconds(work, decisions)


def bytes_per_key(kind: str, keys: int = 50_000) -> float:
    """Of the table, the state and the list of keys; not the key's own text, which the caller has."""
    limiter = make_limiter(kind, **KINDS[kind])
    names = [f"10.0.{i >> 8}.{i & 255}" for i in range(keys)]
    gc.collect()
    tracemalloc.start()
    for i, name in enumerate(names):
        limiter.admit(name, i / 1e6)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return taken / keys


REDIS_AT_ONCE = 50


def redis_decisions(decisions: int) -> dict[str, dict[str, float]]:
    """On one server, one after the other; empty where there is none."""
    if find_program(("redis-server",)) is None:
        return {}
    with RedisServer() as server:
        return asyncio.run(_ask_redis(server.url, decisions))


async def _ask_redis(url: str, decisions: int) -> dict[str, dict[str, float]]:
    ours = SharedLimits(SharedStore(url, timeout=30))
    window = FixedWindow(1_000_000)
    limits = aio.strategies.FixedWindowRateLimiter(
        aio.storage.RedisStorage(f"async+{url}", implementation="redispy")
    )
    item = RateLimitItemPerSecond(1_000_000)
    throttled = Throttled(
        using="fixed_window", quota=rate_limiter.per_sec(1_000_000), store=store.RedisStore(server=url)
    )
    askers: dict[str, Callable[[str], Awaitable[object]]] = {
        "lbkit": lambda key: ours.decide([Question(window, key)]),
        "limits": lambda key: limits.hit(item, key),
        "throttled-py": lambda key: throttled.limit(key),
    }

    async def one(ask: Callable[[str], Awaitable[object]], number: int) -> None:
        for i in range(decisions // REDIS_AT_ONCE):
            assert await ask(f"10.0.{number}.{i % 20}") is not None

    found = {}
    for name, ask in askers.items():
        await one(ask, 0)  # connected, and scripts are loaded
        began, worked = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one(ask, number) for number in range(REDIS_AT_ONCE)))
        took, cpu = time.perf_counter() - began, time.process_time() - worked
        count = decisions // REDIS_AT_ONCE * REDIS_AT_ONCE
        found[name] = {"per_second": count / took, "cpu_us": 1e6 * cpu / count}
    await ours.close()
    return found


def measure(sizes: Sequence[int], decisions: int, rounds: int) -> dict[str, Any]:
    def least(function: Callable[..., float], *args: Any, **options: Any) -> float:
        return min(function(*args, **options) for _ in range(rounds))

    limits = {name: {k: least(theirs, k, decisions, limit) for k in THEIRS} for name, limit in PEER.items()}
    same = {
        name: {k: least(ours, k, 1, decisions, gap=GAP, limit=limit) for k in THEIRS}
        for name, limit in PEER.items()
    }
    ratio = {name: {k: limits[name][k] / same[name][k] for k in THEIRS} for name in PEER}
    return {
        "ns_per_decision": {k: {str(n): least(ours, k, n, decisions) for n in sizes} for k in KINDS},
        "ns_with_details": {k: least(ours, k, 1, decisions, details=True) for k in KINDS},
        "ns_per_decision_of_limits": limits["admitted"],
        "ratio_vs_limits": ratio["admitted"],
        "ratio_vs_limits_denied": ratio["denied"],
        "bytes_per_key": {kind: bytes_per_key(kind) for kind in KINDS},
        "redis": redis_decisions(max(REDIS_AT_ONCE, decisions // 10)),
    }


def show(found: dict[str, Any]) -> None:
    heads = "".join(f"{int(n):>12,}" for n in found["ns_per_decision"]["gcra"])
    print(f"ns a decision by number of keys, Python {found['python']}")
    print(f"{'':20}{heads}{'with details':>14}{'bytes a key':>13}{'limits':>9}{'ratio':>7}{'denied':>8}")
    for kind, cost in found["ns_per_decision"].items():
        line = "".join(f"{ns:12,.0f}" for ns in cost.values())
        line += f"{found['ns_with_details'][kind]:14,.0f}{found['bytes_per_key'][kind]:13,.0f}"
        if kind in THEIRS:
            line += f"{found['ns_per_decision_of_limits'][kind]:9,.0f}{found['ratio_vs_limits'][kind]:7.1f}"
            line += f"{found['ratio_vs_limits_denied'][kind]:8.1f}"
        print(f"{kind:20}{line}")
    for name, one in found["redis"].items():
        rates = f"{one['per_second']:8,.0f} decisions/s {one['cpu_us']:6.0f} us of processor time"
        print(f"in Redis, {name:12} {rates}")
    if not found["redis"]:
        print("no redis-server here: apt-get install redis-server (macOS: brew install redis)")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--decisions", type=int, default=200_000, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of keys")
    report(parser, measure, show)


if __name__ == "__main__":
    main()
