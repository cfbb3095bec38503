"""Traffic is multiplied, and servers are copied, with everything else as it was."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import (
    Burst,
    Closed,
    ConstantRate,
    Event,
    Experiment,
    OnOff,
    Poisson,
    Policy,
    Profile,
    Server,
    Sessions,
    Trace,
    Traffic,
    servers,
)
from lbkit.arrivals import Arrivals
from lbkit.capacity import scaled, with_servers
from lbkit.capacity.scaled import STRETCHES

OPEN = [
    Poisson(50),
    ConstantRate(50),
    OnOff(peak=80, on=1, off=1),
    Sessions(rate=2, requests=5),
    Profile([(0, 10), (20, 60)]),
    Trace(tuple(i / 10 for i in range(200))),
]


def experiment(arrivals: Arrivals, **fields: object) -> Experiment:
    return Experiment(servers(3), Traffic(arrivals, duration=20, clients=10, **fields))


@pytest.mark.parametrize("arrivals", OPEN, ids=lambda arrivals: arrivals.kind)
@pytest.mark.parametrize("scale", [0.5, 1, 2, 3])
def test_the_rate_is_multiplied(arrivals: Arrivals, scale: float) -> None:
    usual = experiment(arrivals)
    planned = scaled(usual, scale)
    assert planned.load == pytest.approx(usual.load * scale, rel=0.2 if arrivals.kind == "trace" else 1e-9)
    assert type(planned.traffic.arrivals) is type(arrivals)


def test_there_are_more_clients_users_and_bursts() -> None:
    assert scaled(experiment(Poisson(5)), 2.5).traffic.clients == 25
    assert scaled(experiment(Closed(users=7)), 2).traffic.arrivals == Closed(users=14)
    (burst,) = scaled(experiment(Poisson(5), bursts=Burst(at=3, client=9, requests=20)), 0.5).traffic.bursts
    assert (burst.requests, burst.rate) == (10, 50)


times = st.lists(st.floats(0, 19.99), min_size=1, max_size=60).map(lambda found: tuple(sorted(found)))


@given(times, st.integers(1, 4), st.integers(0, 5))
def test_copies_of_a_trace_keep_what_each_stretch_has(
    times: tuple[float, ...], scale: int, seed: int
) -> None:
    clients = tuple(i % 10 for i in range(len(times)))
    usual = experiment(Trace(times, clients, clients)).but(seed=seed)
    trace = scaled(usual, scale).traffic.arrivals
    assert isinstance(trace, Trace)
    assert len(trace.times) == scale * len(times)
    stretch = 20 / STRETCHES

    def by_stretch(moments: tuple[float, ...]) -> list[int]:
        counts = [0] * (STRETCHES + 1)
        for at in moments:
            counts[int(at / stretch + 1e-9)] += 1  # rounding may bring a moment to an edge
        return counts

    pairs = zip(by_stretch(trace.times), by_stretch(times), strict=True)
    moved = sum(abs(found - scale * before) for found, before in pairs)
    assert moved <= sum(min(at % stretch, stretch - at % stretch) < 1e-6 for at in (*trace.times, *times))
    assert sorted(client % 10 for client in trace.clients) == sorted(scale * clients)
    assert trace.paths == tuple(client % 10 for client in trace.clients)  # what belongs together stays so


def test_a_copy_has_clients_and_moments_of_its_own() -> None:
    usual = experiment(Trace((1.0, 1.1, 1.2), clients=(0, 1, 2)))
    trace = scaled(usual, 2).traffic.arrivals
    assert isinstance(trace, Trace)
    assert sorted(trace.clients) == [0, 1, 2, 10, 11, 12]
    first, second = (
        [at for at, client in zip(trace.times, trace.clients, strict=True) if client // 10 == copy]
        for copy in (0, 1)
    )
    gaps = [[round(b - a, 6) % 1 for a, b in pairwise(copy)] for copy in (first, second)]
    assert first != second
    assert scaled(usual, 2) == scaled(usual, 2) != scaled(usual.but(seed=9), 2)
    assert all(gap == pytest.approx(0.1) or gap == pytest.approx(0.8) for copy in gaps for gap in copy)


def test_servers_are_copies_of_the_present_ones_in_turn() -> None:
    usual = experiment(Poisson(5)).but(servers=[Server("a", speed=2), Server("b"), Server("b-2")])
    assert [s.name for s in with_servers(usual, 2).servers] == ["a", "b"]
    more = with_servers(usual, 5).servers
    assert [s.name for s in more] == ["a", "b", "b-2", "a-2", "b-2x"]
    assert [s.speed for s in more] == [2, 1, 1, 2, 1]


def test_only_servers_that_get_traffic_are_counted() -> None:
    fleet = [Server("a"), Server("off", weight=0), Server("reserve", priority=1), Server("later")]
    usual = Experiment(
        fleet,
        policy=Policy("priority_levels", {"inner": "round_robin"}),
        events=[Event(5, "add", "later"), Event(6, "slow", "a", 0.5)],
    )
    planned = with_servers(usual, 2)
    assert [s.name for s in planned.servers] == ["a", "a-2"]
    assert planned.events == ()


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="scale is 0: use a number above 0"):
        scaled(experiment(Poisson(5)), 0)
    with pytest.raises(ValueError, match="count is 0"):
        with_servers(experiment(Poisson(5)), 0)
    with pytest.raises(ValueError, match="none is in use"):
        with_servers(experiment(Poisson(5)).but(servers=servers(2, weight=0)), 1)
