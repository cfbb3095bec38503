from __future__ import annotations

import random
from math import inf

import pytest

from lbkit.core import Backend, Pool, make_balancer
from lbkit.core.meter import LoadReport


def report(
    pool: Pool, name: str, now: float, in_flight: int = 0, latency: float = 0.1, **more: float
) -> None:
    values = {"utilisation": 0.5, "rate": 10.0, **more}
    pool.balancer.on_report(pool[name], LoadReport(in_flight, latency=latency, **values), now, probed=True)


def pool_of(algorithm: str, names: str = "abc", **options: object) -> Pool:
    return Pool([Backend(n) for n in names], make_balancer(algorithm, random.Random(1), **options))


def picked(pool: Pool, now: float) -> str:
    lease = pool.acquire("k", now)
    lease.release(None, now)
    return lease.backend.name


# -- Prequal --------------------------------------------------------------------------------------


def test_the_fastest_of_the_cold_ones() -> None:
    pool = pool_of("prequal", hot=0.6)
    report(pool, "a", 0.0, in_flight=9, latency=0.01)  # quick, but hot
    report(pool, "b", 0.0, in_flight=2, latency=0.3)
    report(pool, "c", 0.0, in_flight=3, latency=0.1)
    assert "hot-cold: c" in str(pool.acquire("k", 0.0, explain=True).why)
    assert pool["c"].picks == 1


def test_all_hot_takes_the_least_loaded() -> None:
    pool = pool_of("prequal", hot=0.0)
    for i in range(20):  # usual is nothing at all
        report(pool, "a", i / 100, in_flight=0)
    for name, load in (("a", 8), ("b", 5), ("c", 7)):
        report(pool, name, 2.0, in_flight=load, latency=0.01 * load)
    assert picked(pool, 2.0) == "b"


def test_old_probes_are_not_used() -> None:
    pool = pool_of("prequal", age=1.0)
    for name in "ab":
        report(pool, name, 0.0)
    assert {picked(pool, 5.0) for _ in range(60)} == {"a", "b", "c"}  # chance


def test_a_probe_is_used_up() -> None:
    """One good report must not draw all requests: each use adds to its count, and then it is dropped."""
    pool = pool_of("prequal")
    for name in "abc":
        report(pool, name, 0.0, in_flight=0, latency=0.1 if name == "a" else 0.2)
    names = [picked(pool, 0.0) for _ in range(30)]
    assert names[0] == "a"
    assert len(pool.balancer._pool) <= 2
    assert set(names) == {"a", "b", "c"}


def test_prequal_probes_a_few_at_random_and_keeps_a_bounded_pool() -> None:
    pool = pool_of("prequal", "abcdefgh", probes=3, size=4)
    probed = pool.probe_targets(pool["a"], 0.0)
    assert len(set(probed)) == 3
    for i in range(500):
        report(pool, "abcdefgh"[i % 8], i / 1000, in_flight=i % 7)
    assert len(pool.balancer._pool) == 4
    assert len(pool.balancer._loads) == len(pool.balancer._recent) == 128
    assert pool.balancer._loads == sorted(pool.balancer._recent)


def test_reports_of_backends_outside_the_pool_change_nothing() -> None:
    for algorithm in ("prequal", "choice_of_two", "client_side_weighted"):
        pool = pool_of(algorithm)
        pool.balancer.on_report(Backend("a"), LoadReport(1, 0.5, 1.0, 0.1), 0.0, probed=True)
        assert picked(pool, 0.0) in "abc"


# -- Netflix's choice of two ----------------------------------------------------------------------


def test_utilisation_decides_and_fades() -> None:
    pool = pool_of("choice_of_two", "ab", stale=30.0, warmup=1.0)
    for name in "ab":
        pool.balancer.done(pool[name], 0.1, True, 0.0)
    report(pool, "a", 10.0, utilisation=0.9)
    report(pool, "b", 10.0, utilisation=0.1)
    assert {picked(pool, 10.0) for _ in range(20)} == {"b"}
    score = pool.balancer.score
    assert score(pool["a"], 25.0) == pytest.approx(0.45)  # half as old as it may be: counts half
    assert score(pool["a"], 41.0) == 0.0


def test_a_new_backend_gets_one_request_until_it_answers() -> None:
    pool = pool_of("choice_of_two", "ab", warmup=90.0)
    first = [pool.acquire("k", 0.0) for _ in range(2)]
    assert {lease.backend.name for lease in first} == {"a", "b"}
    pool.balancer.done(pool["a"], 0.1, True, 0.0)
    assert {pool.acquire("k", 0.0).backend.name for _ in range(10)} == {"a"}  # b is on probation


def test_failures_count() -> None:
    pool = pool_of("choice_of_two", "ab", warmup=1.0)
    for i in range(40):
        pool.balancer.done(pool["a"], 0.1, i % 2 == 0, 10.0)
        pool.balancer.done(pool["b"], 0.1, True, 10.0)
    assert {picked(pool, 20.0) for _ in range(20)} == {"b"}


@pytest.mark.parametrize("bad", ["failing", "busy"])
def test_where_most_are_bad_a_pair_is_drawn_again(bad: str) -> None:
    def share_of_good(draws: int) -> float:
        pool = pool_of("choice_of_two", "abcdefgh", warmup=0, draws=draws, stale=inf)
        for backend in pool.backends:
            pool.balancer.done(backend, 0.1, True, 0.0)
            if backend.name != "a":
                report(pool, backend.name, 0.0, utilisation=1.0 if bad == "busy" else 0.0)
            for _ in range(20):
                pool.balancer.done(backend, 0.1, bad == "busy" or backend.name == "a", 0.0)
        return sum(picked(pool, 1.0) == "a" for _ in range(400)) / 400

    # a is in one pair of four: found once with 1 - 0.75^1, and in four draws with 1 - 0.75^4.
    assert share_of_good(1) == pytest.approx(0.25, abs=0.08)
    assert share_of_good(4) == pytest.approx(0.684, abs=0.08)


def test_a_bad_backend_is_not_compared_with_a_busy_good_one() -> None:
    pool = pool_of("choice_of_two", "ab", warmup=0)
    for backend in pool.backends:
        for _ in range(20):
            pool.balancer.done(backend, 0.1, backend.name == "a", 0.0)
    for _ in range(200):  # so much in flight that its score is worse than failing always
        assert pool.acquire("k", 1.0).backend.name == "a"
    assert "failures" in pool.explain("k", 1.0).rule


def test_if_all_are_bad_the_better_of_two_gets_it() -> None:
    pool = pool_of("choice_of_two", "ab", warmup=0, failing=0, busy=0)
    for backend, failures in zip(pool.backends, (20, 5), strict=True):
        for _ in range(failures):
            pool.balancer.done(backend, 0.1, False, 0.0)
    assert {picked(pool, 1.0) for _ in range(20)} == {"b"}


# -- client-side weighted round robin ---------------------------------------------------------------


def share(pool: Pool, name: str, now: float, picks: int = 300) -> float:
    return sum(picked(pool, now) == name for _ in range(picks)) / picks


def test_weights_are_rate_by_utilisation() -> None:
    pool = pool_of("client_side_weighted", "ab")
    for now in (0.0, 11.0):
        report(pool, "a", now, rate=30.0, utilisation=0.5)
        report(pool, "b", now, rate=10.0, utilisation=0.5)
    assert share(pool, "a", 5.0) == pytest.approx(0.5, abs=0.02)  # blackout: 10 s
    assert share(pool, "a", 12.0) == pytest.approx(0.75, abs=0.02)
    assert share(pool, "a", 300.0) == pytest.approx(0.5, abs=0.02)  # silent for 180 s


def test_a_backend_that_gains_weight_does_not_wait_for_its_old_turn() -> None:
    pool = pool_of("client_side_weighted", "ab", blackout=0.0)
    report(pool, "b", 0.0, rate=1000.0)
    report(pool, "a", 0.0, rate=1.0)
    assert share(pool, "a", 1.0) < 0.02
    report(pool, "a", 2.0, rate=1000.0)
    assert share(pool, "a", 3.0) == pytest.approx(0.5, abs=0.02)


def test_errors_cost_weight() -> None:
    pool = pool_of("client_side_weighted", "ab", blackout=0.0)
    report(pool, "a", 0.0, rate=10.0, utilisation=0.5, errors=5.0)  # 10 / (0.5 + 0.5)
    report(pool, "b", 0.0, rate=10.0, utilisation=0.5)  # 10 / 0.5
    assert share(pool, "a", 1.0) == pytest.approx(1 / 3, abs=0.02)


def test_a_backend_without_a_weight_gets_the_mean() -> None:
    pool = pool_of("client_side_weighted", "abc", blackout=0.0)
    report(pool, "a", 0.0, rate=30.0, utilisation=0.5)
    report(pool, "b", 0.0, rate=10.0, utilisation=0.5)
    assert share(pool, "c", 1.0) == pytest.approx(1 / 3, abs=0.02)
