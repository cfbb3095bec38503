"""Rate limits in virtual time: the same decisions as the limiter alone."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lbkit import Closed, Constant, Experiment, Poisson, RateLimit, Traffic, run, servers
from lbkit.core.limit import make_limiter, play

LIMITERS = [
    {"kind": "token_bucket", "rate": 20, "burst": 5},
    {"kind": "gcra", "rate": 20, "burst": 5},
    {"kind": "leaky_queue", "rate": 20, "capacity": 5},
    {"kind": "nginx_limit", "rate": 20, "burst": 5, "delay": 2},
    {"kind": "fixed_window", "limit": 20},
    {"kind": "sliding_log", "limit": 20},
    {"kind": "sliding_counter", "limit": 20},
]
SHOP = Experiment(
    servers(2, service=Constant(0.001)),
    Traffic(Poisson(100), duration=5, clients=4, client_skew=1.5, paths=3),
    seed=2,
)


@pytest.mark.parametrize("limiter", LIMITERS, ids=lambda limiter: limiter["kind"])
def test_who_is_let_in(limiter: dict[str, object]) -> None:
    """Each client by itself, as if the limiter had been asked by hand."""
    result = run(SHOP.but(limits=[RateLimit(limiter)]))
    options = {name: value for name, value in limiter.items() if name != "kind"}
    for client in range(4):
        mine = result.where(client=client)
        said = [decision for _, decision in play(make_limiter(str(limiter["kind"]), **options), mine.arrival)]
        assert [s != 429 for s in mine.status] == [d.allowed for d in said]
        held = [d.delay for d in said if d.allowed]
        let_in = mine.where(status=200)
        waits = [start - arrival for start, arrival in zip(let_in.start, let_in.arrival, strict=True)]
        assert all(w > d - 1e-9 for w, d in zip(waits, held, strict=True))
    assert 0 < result.denied < 1


def test_what_is_held_leaves_evenly() -> None:
    limit = RateLimit({"kind": "leaky_queue", "rate": 50, "capacity": 20}, key="everybody")
    result = run(SHOP.but(limits=[limit]))
    starts = sorted(result.where(status=200).start)
    assert all(b - a > 0.02 - 0.0011 for a, b in pairwise(starts))  # one server may still be busy
    assert result.denied > 0


def test_who_is_turned_away_reaches_nobody() -> None:
    result = run(SHOP.but(limits=[RateLimit({"kind": "gcra", "rate": 1})]))
    away = result.where(status=429)
    assert len(away) > 100
    assert set(away.backend) == {-1}
    assert set(away.attempts) == {0}
    assert list(away.arrival) == list(away.end)
    assert sum(result.counts.values()) + len(away) == len(result)


def test_paths_have_rules_of_their_own() -> None:
    strict = RateLimit({"kind": "gcra", "rate": 0.001}, key="everybody", path="/item/1")
    result = run(SHOP.but(limits=[strict]))
    assert len(result.where(path=1, status=200)) == 1
    assert result.where(path=lambda path: path != 1).denied == 0


def test_a_crowd_that_is_turned_away_asks_again() -> None:
    crowd = SHOP.but(arrivals=Closed(users=5, think=0.05), limits=[RateLimit({"kind": "gcra", "rate": 5})])
    result = run(crowd)
    assert 0.3 < result.denied < 1
    assert len(result) > 300
    assert max(len(result.where(client=c, status=200)) for c in range(4)) <= 5 * 5 + 1
