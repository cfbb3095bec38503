"""Laws of every algorithm that is not keyed, without chance: some requests are always in flight."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any

import pytest
from variants import NAMES

from lbkit.core import Backend, Pool, algorithms, make_balancer
from lbkit.core.meter import LoadMeter

# They fill their first servers, use a part of the pool, have an uneven ring, draw the first server rarely.
UNEVEN = ("first_available", "subset", "haproxy_random", "caddy_random_choose")
SPREADING = [name for name in NAMES if not algorithms()[name].keyed and name not in UNEVEN]
every_algorithm = pytest.mark.parametrize("algorithm", SPREADING)

Answers = Callable[[str, float], tuple[float, bool]]  # name and time -> latency and success


def alike(name: str, now: float) -> tuple[float, bool]:
    return 0.01, True


def picks(
    algorithm: str,
    answers: Answers,
    users: int = 1,
    until: float = 10.0,
    since: float = 0.0,
    reports: bool = True,
    **options: Any,
) -> Counter[str]:
    """Return the picks since then of `users`, each of which sends its next request when it has its answer."""
    pool = Pool([Backend(name) for name in "abcde"], make_balancer(algorithm, random.Random(1), **options))
    meters = {backend: LoadMeter() for backend in pool.backends}
    number = count()
    ends: list[tuple[float, int, float, Backend | None, bool]] = []
    for user in range(users):
        heappush(ends, (0.001 * user, next(number), 0.0, None, True))
    picked: Counter[str] = Counter()
    while (entry := heappop(ends))[0] < until:
        now, _, start, backend, ok = entry
        if backend:
            meters[backend].ended(now, now - start, ok)
            if pool.wants_reports and reports:
                pool.balancer.on_report(backend, meters[backend].report(now), now)
            pool.release(backend, start, ok, now)
        backend = pool.pick("k", now)
        meters[backend].started(now)
        if pool.wants_reports and reports:
            for target in pool.probe_targets(backend, now):
                pool.balancer.on_report(target, meters[target].report(now), now, probed=True)
        picked[backend.name] += now >= since
        latency, ok = answers(backend.name, now)
        heappush(ends, (now + latency, next(number), now, backend, ok))
    return picked


@every_algorithm
@pytest.mark.parametrize("reports", [True, False])
def test_equal_idle_backends_share_alike(algorithm: str, reports: bool) -> None:
    """One request after the other: nothing differs but the last digits of measured times."""
    found = picks(algorithm, alike, reports=reports)
    assert len(found) == 5
    assert 0.8 * 200 < min(found.values()) <= max(found.values()) < 1.2 * 200, found


FAULTS: dict[str, tuple[float, bool]] = {
    "slow": (0.5, True),  # ten times
    "errors": (0.05, False),
    "errors at once": (0.001, False),
}


def with_fault(kind: str) -> Answers:
    """Return answers of 50 ms on average; those of `a` have a fault from 20 to 40 s."""
    rng = random.Random(2)

    def answers(name: str, now: float) -> tuple[float, bool]:
        usual = rng.uniform(0.04, 0.06)
        return FAULTS[kind] if name == "a" and 20 <= now < 40 else (usual, True)

    return answers


@every_algorithm
@pytest.mark.parametrize("users", [1, 4])  # loads of 0.2 and 0.8
@pytest.mark.parametrize("fault", FAULTS)
def test_a_recovered_backend_is_back_at_its_fair_share(algorithm: str, users: int, fault: str) -> None:
    """35 seconds later."""
    found = picks(algorithm, with_fault(fault), users, until=175.0, since=75.0)
    assert 0.7 < 5 * found["a"] / found.total() < 1.4, found


# -- the faults that options with other values show ------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "fault", "options"),
    [
        ("least_response_time", "slow", {"decay": inf}),
        ("prequal", "slow", {"decay": inf}),
        ("choice_of_two", "errors", {"stale": inf}),
    ],
)
def test_without_fading_a_recovered_backend_starves(
    algorithm: str, fault: str, options: dict[str, float]
) -> None:
    reports = algorithm == "prequal"
    found = picks(algorithm, with_fault(fault), until=175.0, since=75.0, reports=reports, **options)
    assert found["a"] < 0.02 * found.total()


def test_without_fading_the_last_digits_decide() -> None:
    assert max(picks("least_response_time", alike, decay=inf).values()) > 600
