"""The cache in virtual time: hit rates as the theory says, and the stampede with and without coalescing."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from lbkit.core.cache import OVERHEAD, Cache, CacheRules, Fields, FlightRules, Request, Response
from lbkit.draws import zipf
from lbkit.sim.caching import CacheRun, play_cache
from lbkit.sim.theory import lru_hit_rate, ttl_hit_rate

KEYS, RATE = 2_000, 500.0
WEIGHTS = [(k + 1) ** -0.9 for k in range(KEYS)]


def poisson(seed: int, n: int) -> list[tuple[float, int]]:
    rng = random.Random(seed)
    times = accumulate(rng.expovariate(RATE) for _ in range(n))
    return list(zip(times, zipf(KEYS, 0.9, rng)(n), strict=True))


def room(entries: int, body: int, control: str) -> CacheRules:
    """Return rules with room for so many of the model's entries."""
    cache: Cache[bytes] = Cache()
    head = Fields([("cache-control", control), ("etag", '"1000"')])
    stored, _ = cache.store(Request("GET", "http://origin/1000"), Response(200, head), b"", 0, 0)
    assert stored
    assert stored.size > OVERHEAD
    return CacheRules(max_bytes=entries * (stored.size + body))


@pytest.mark.parametrize("capacity", [50, 200, 800])
def test_the_hit_rate_of_a_full_cache_is_what_che_found(capacity: int) -> None:
    always = "max-age=1000000"
    rules = room(capacity, 10_000, always)
    hits = 0
    for seed in range(3):
        arrivals = poisson(seed, 12_000)
        whole, begin = (
            play_cache(arrivals[:n], rules=rules, control=always, fetch=0.0).hits for n in (12_000, 6_000)
        )
        hits += whole - begin  # without the beginning, when the cache is empty
    assert hits / 18_000 == pytest.approx(lru_hit_rate(WEIGHTS, capacity), abs=0.015)


@pytest.mark.parametrize("lifetime", [1, 5])
def test_the_hit_rate_of_lifetimes_is_that_of_a_renewal_process(lifetime: int) -> None:
    rates = [RATE * w / sum(WEIGHTS) for w in WEIGHTS]
    runs = [play_cache(poisson(s, 12_000), control=f"max-age={lifetime}", fetch=0.0) for s in range(3)]
    assert sum(r.hit_rate for r in runs) / 3 == pytest.approx(ttl_hit_rate(rates, lifetime), abs=0.02)
    assert all(r.fetched == r.requests - r.hits for r in runs)
    assert all(0 < r.not_modified < r.fetched for r in runs)


def stampede(control: str = "max-age=5", flights: FlightRules | None = None) -> CacheRun:
    """One popular key, 1000 requests a second, and an origin that takes half a second."""
    return play_cache(((n / 1000, 7) for n in range(20_000)), control=control, fetch=0.5, flights=flights)


def test_without_coalescing_each_expiry_is_a_stampede() -> None:
    run = stampede()
    assert run.peak == 500
    assert run.fetched == 4 * 500  # one stampede at the start, and after each 5 seconds


def test_with_coalescing_the_origin_gets_one_request_at_a_time() -> None:
    run = stampede(flights=FlightRules())
    assert (run.peak, run.fetched) == (1, 4)
    assert run.hits + run.followed + run.fetched == run.requests
    assert run.waited / run.followed == pytest.approx(0.25, abs=0.01)
    assert run.origin_load == 4 / 20_000


def test_with_stale_while_revalidate_requests_wait_only_at_the_start() -> None:
    run = stampede("max-age=5, stale-while-revalidate=5", FlightRules())
    assert run.fetched == 4
    assert run.followed == 499
    assert run.stale == 3 * 500


def test_what_cannot_be_shared_is_not_waited_for_a_second_time() -> None:
    run = stampede("no-cache", FlightRules())
    assert run.followed == 0
    assert run.fetched == run.requests
    assert run.waited == pytest.approx(sum(n / 1000 for n in range(500)), rel=0.01)  # before the first answer


def test_followers_of_a_slow_origin_go_alone_after_their_patience() -> None:
    run = stampede(flights=FlightRules(patience=0.1))
    assert 4 * 400 <= run.fetched < 4 * 500
    assert run.followed + run.hits + run.fetched == run.requests


def test_a_run_without_requests_has_rates_of_zero() -> None:
    run = play_cache([])
    assert (run.hit_rate, run.origin_load) == (0, 0)


@pytest.mark.parametrize("capacity", [0, KEYS, KEYS + 1])
def test_closed_forms_refuse_a_capacity_without_evictions(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity is"):
        lru_hit_rate(WEIGHTS, capacity)
