"""Resolvers one by one, against the closed forms of failover and skew."""

from __future__ import annotations

from random import Random
from statistics import pstdev

import pytest

from lbkit.core.geo import DnsFailover, Resolvers
from lbkit.sim.resolvers import Crowd, visit
from lbkit.sim.theory import dns_spread

HABITS = (Resolvers(0.8), Resolvers(0.2, least=200))
FAILS, TTL = 400.0, 60.0


def failing(resolver: int, now: float) -> str:
    return "old" if now < FAILS else "new"


@pytest.mark.parametrize("resolvers", [20, 4000])
def test_a_failover_takes_what_the_formula_says(resolvers: int) -> None:
    crowd = Crowd(resolvers, rate=100.0, habits=HABITS)
    visits = visit(crowd, failing, TTL, FAILS + 300)
    each = 100.0 / resolvers  # questions a second of one
    known = [Resolvers(h.share, h.least, h.most, each) for h in HABITS]
    model = DnsFailover(TTL, resolvers=known)
    shares = visits.shares("old", 20.0, FAILS + 300)
    assert shares[:20] == [1.0] * 20
    if resolvers > 1000:
        for step, found in enumerate(shares[20:]):
            assert found == pytest.approx(model.share_left(20.0 * step + 10), abs=0.03)
    assert visits.share("old", FAILS + 200) == 0.0
    assert len(visits) == pytest.approx(70_000, rel=0.02)


def test_the_server_gets_a_question_for_each_answer_that_expired() -> None:
    crowd = Crowd(10, rate=100.0)
    visits = visit(crowd, failing, 50.0, 1000.0)
    assert visits.questions == pytest.approx(10 * 1000 / 50.1, rel=0.03)
    assert visit(crowd, failing, 0.0, 10.0).questions == pytest.approx(1000, rel=0.1)


def lot(seed: int):  # type: ignore[no-untyped-def]
    return lambda resolver, now: Random(f"{seed} {resolver}").choice("ab")


@pytest.mark.parametrize("skew", [0.0, 1.2])
def test_few_large_resolvers_make_an_uneven_load(skew: float) -> None:
    crowd = Crowd(100, skew, rate=300.0)
    shares = [visit(crowd, lot(seed), 60.0, 10.0, seed).share("a") for seed in range(200)]
    assert pstdev(shares) == pytest.approx(dns_spread(crowd.weights()), rel=0.2)
    assert sum(shares) / 200 == pytest.approx(0.5, abs=0.06)


def test_faults() -> None:
    with pytest.raises(ValueError, match="resolvers is 0"):
        Crowd(resolvers=0)
    with pytest.raises(ValueError, match="add up to 1"):
        Crowd(habits=[Resolvers(0.5)])
    with pytest.raises(ValueError, match="ttl is -1"):
        visit(Crowd(), failing, -1, 1)
    with pytest.raises(ValueError, match="share is 2"):
        dns_spread([1.0], 2)


def test_wrong_crowds_and_endless_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="habits has 5: use a Resolvers each"):
        Crowd(habits=[5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="duration is 1e\\+09: at most 200000, so 20,000,000 requests"):
        visit(Crowd(rate=100), lambda resolver, now: "a", 60, 1e9)
