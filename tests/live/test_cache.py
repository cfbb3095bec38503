"""A cache on real sockets, next to the simulator: the same hit rate, and no stampede."""

from __future__ import annotations

import pytest
from needs import need_feature

need_feature("live")

from lbkit import Caching, Constant, Experiment, Poisson, Trace, Traffic, run, servers
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
