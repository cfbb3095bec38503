"""The time that a failover by DNS takes: against clients that are drawn one by one."""

from __future__ import annotations

import random
from itertools import pairwise
from math import inf
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.geo.failover import DnsFailover, Resolvers

# The share is measured (PAM 2023); by how much they extend it is not: half an hour is an example.
AS_MEASURED = (Resolvers(0.9126), Resolvers(0.0874, least=1800))


def test_a_ttl_of_a_minute_is_not_a_minute() -> None:
    """What everybody expects, and what follows when a check takes 15 s and some resolvers extend the TTL."""
    expected = DnsFailover(60)
    assert (expected.share_left(30), expected.share_left(60), expected.last) == (0.5, 0.0, 60)
    found = DnsFailover(60, notice=15, resolvers=AS_MEASURED, hold=60)
    assert found.share_left(60) > 0.6
    assert found.share_left(135) == pytest.approx(0.0874 * (1 - 90 / 1800))
    assert found.time_until(0.01) == pytest.approx(15 + 60 / 2 + 1800 * (1 - 0.01 / 0.0874))
    assert found.last == 15 + 1800 + 60


def test_resolvers_that_ask_more_often_than_they_need() -> None:
    capped = DnsFailover(3600, resolvers=[Resolvers(most=60)])
    assert (capped.last, capped.mean) == (60, 30)
    at_once = DnsFailover(0)
    assert (at_once.share_left(0), at_once.last, at_once.time_until(0.5)) == (0.0, 0.0, 0.0)


def test_an_idle_resolver_has_nothing_old_to_tell() -> None:
    assert Resolvers(rate=1 / 60).has_answer(60) == 0.5
    assert Resolvers(rate=1e-9).has_answer(60) < 1e-6
    idle, busy = DnsFailover(60, resolvers=[Resolvers(rate=1 / 60)]), DnsFailover(60)
    assert idle.share_left(0) == 0.5 == busy.share_left(0) / 2
    assert idle.share_left(30) == busy.share_left(30) / 2
    assert idle.mean == busy.mean / 2
    assert idle.last == busy.last
    with pytest.raises(ValueError, match="rate is 0"):
        Resolvers(rate=0)


def moments(failover: DnsFailover, count: int) -> list[float]:
    """Draw clients: each asks again when it forgets, and moves at its first question after its resolver's."""
    rng = random.Random(7)
    found = []
    for _ in range(count):
        drawn = rng.random()
        for kind in failover.resolvers:
            drawn -= kind.share
            if drawn < 0:
                break
        forgets = rng.random() * kind.keep(failover.ttl)
        if rng.random() >= kind.has_answer(failover.ttl):
            forgets = 0.0
        asks = rng.random() * failover.hold
        while asks < forgets and failover.hold:
            asks += failover.hold
        found.append(failover.notice + (asks if failover.hold else forgets))
    return found


@pytest.mark.parametrize("hold", [0, 20, 60, 200])
def test_as_if_clients_were_drawn(hold: float) -> None:
    kinds = (Resolvers(0.5), Resolvers(0.2, rate=1 / 60), Resolvers(0.3, least=300, rate=0.01))
    failover = DnsFailover(60, 10, kinds, hold)
    drawn = moments(failover, 20_000)
    assert fmean(drawn) == pytest.approx(failover.mean, rel=0.02)
    assert max(drawn) <= failover.last
    for at in (5, 20, 50, 100, 250, 400):
        assert sum(t > at for t in drawn) / 20_000 == pytest.approx(failover.share_left(at), abs=0.012)


times = st.just(0.0) | st.floats(1e-3, 1e4)
failovers = st.builds(
    lambda ttl, notice, share, least, hold: DnsFailover(
        ttl, notice, (Resolvers(share), Resolvers(1 - share, least)), hold
    ),
    times,
    times,
    st.floats(0, 1),
    times,
    times,
)


@given(failovers, st.lists(st.floats(0, 5e4), min_size=2), st.floats(0, 1))
def test_the_share_only_falls_from_all_to_none(
    failover: DnsFailover, moments: list[float], share: float
) -> None:
    left = [failover.share_left(at) for at in sorted(moments)]
    assert all(0 <= later <= earlier + 1e-9 <= 1 + 2e-9 for earlier, later in pairwise(left))
    assert failover.share_left(failover.last + 1e-6) == pytest.approx(0, abs=1e-9)
    at = failover.time_until(share)
    assert failover.share_left(at) <= share + 1e-9
    assert failover.mean <= failover.last


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resolvers(2), "share is 2"),
        (lambda: Resolvers(1, 60, 30), "most is 30"),
        (lambda: Resolvers(1, -1), "least is -1"),
        (lambda: DnsFailover(-1), "ttl is -1"),
        (lambda: DnsFailover(inf), "ttl is inf"),
        (lambda: DnsFailover(resolvers=[Resolvers(0.5)]), "add up to 0.5"),
        (lambda: DnsFailover().time_until(2), "share is 2: use a number"),
    ],
)
def test_wrong_settings_are_named(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()
