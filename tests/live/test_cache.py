"""A cache on real sockets, next to the simulator: the same hit rate, and no stampede."""

from __future__ import annotations

import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import (
    CacheRules,
    Caching,
    Constant,
    EngineError,
    Experiment,
    Poisson,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.caching import Served

pytestmark = pytest.mark.live

BASE = Experiment(
    servers(3, workers=4, service=Constant(0.02)),
    Traffic(Poisson(80), duration=5, paths=100, path_skew=0.9),
    cache=Caching("max-age=600"),
    seed=5,
)


def test_the_hit_rate_is_the_simulators() -> None:
    live, simulated = run(BASE, "live"), run(BASE)
    assert live.error_rate == 0
    # Not quite equal: of requests a moment apart, one may be a hit here and wait for the other there.
    assert live.hit_rate == pytest.approx(simulated.hit_rate, abs=0.03)
    assert live.fetched == simulated.fetched == len(set(simulated.path))
    assert sum(live.counts.values()) == live.fetched  # hits are no server's
    hits = live.where(cache=Served.HIT)
    assert set(hits.backend) == {-1}
    assert hits.mean < 0.5 * live.where(cache=Served.MISS).mean


@pytest.mark.parametrize("coalesce", [True, False])
def test_a_stampede_is_one_request_with_coalescing(coalesce: bool) -> None:
    traffic = Traffic(Trace([0.5 + i / 100 for i in range(30)]), duration=3, paths=1)
    slow = servers(1, workers=50, service=Constant(0.8))
    experiment = Experiment(slow, traffic, cache=Caching("max-age=600", coalesce=coalesce))
    live, simulated = run(experiment, "live"), run(experiment)
    assert simulated.fetched == (1 if coalesce else 30)
    assert live.fetched == 1 if coalesce else live.fetched > 20  # a late request may find it stored
    assert live.error_rate == 0


def test_nginx_serves_as_many_from_its_cache() -> None:
    need("nginx")
    nginx, simulated = run(BASE, "nginx"), run(BASE)
    assert nginx.error_rate == 0
    counts, expected = nginx.cache_counts, simulated.cache_counts
    served = counts["hit"] + counts["collapsed"]
    assert served == pytest.approx(expected["hit"] + expected["collapsed"], abs=5)
    assert sum(nginx.counts.values()) == counts["miss"]
    assert any("hits" in note for note in nginx.notes)


@pytest.mark.parametrize(
    ("on", "cache", "why"),
    [
        ("haproxy", Caching("max-age=60"), "haproxy has no cache here"),
        ("caddy", Caching("max-age=60"), "caddy has no cache here"),
        ("nginx", Caching("max-age=60, stale-while-revalidate=5"), "use max-age=60 alone"),
        ("nginx", Caching("max-age=60", rules=CacheRules(max_bytes=9999)), "leave the rest as it is"),
    ],
)
def test_a_program_refuses_what_it_does_not_have(on: str, cache: Caching, why: str) -> None:
    need({"haproxy": "haproxy", "caddy": "caddy", "nginx": "nginx"}[on])
    with pytest.raises(EngineError, match=why):
        run(BASE.but(cache=cache), on)
