from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import arrivals

from lbkit import (
    Burst,
    Closed,
    Constant,
    ConstantRate,
    Empirical,
    Experiment,
    OnOff,
    Poisson,
    Profile,
    Sessions,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.arrivals import Arrivals
from lbkit.workload import Clients, Workload, arrival_times, client_name, path_name, workload


def times(process: Arrivals, duration: float, seed: int = 1) -> list[float]:
    return list(arrival_times(process, duration, random.Random(seed)))


@given(
    arrivals.filter(lambda a: not isinstance(a, Closed | Sessions) and a.mean_rate(2.0) < 500),
    st.integers(0, 99),
)
def test_arrivals_rise_within_the_duration(process: Arrivals, seed: int) -> None:
    moments = times(process, 2.0, seed)
    assert all(0 <= a <= b < 2.0 for a, b in pairwise([0.0, *moments]))


def test_poisson() -> None:
    moments = times(Poisson(100), 200)
    gaps = [b - a for a, b in pairwise(moments)]
    assert len(moments) == pytest.approx(20_000, rel=0.03)  # 4 standard deviations
    assert pvariance(gaps) ** 0.5 / fmean(gaps) == pytest.approx(1, abs=0.05)  # exponential


def test_constant_rate_does_not_drift() -> None:
    moments = times(ConstantRate(10), 100_000)
    assert len(moments) == 1_000_000
    assert moments[-1] == 99_999.9
    assert times(ConstantRate(3), 1) == [0, 1 / 3, 2 / 3]
    assert times(ConstantRate(0.1), 10) == [0]


def test_on_and_off() -> None:
    process = OnOff(peak=1000, on=0.1, off=0.3)
    moments = times(process, 200)
    assert len(moments) / 200 == pytest.approx(process.rate, rel=0.1)
    in_step = Counter(int(t / 0.1) for t in moments)
    counts = [in_step[i] for i in range(2000)]
    assert pvariance(counts) / fmean(counts) > 10  # 1 for Poisson
    assert len(times(OnOff(peak=100, on=1, off=0), 100)) == pytest.approx(10_000, rel=0.05)


def test_a_trace_is_played_as_it_is() -> None:
    assert times(Trace([0.5, 0.5, 1.5, 2.0, 9]), 2) == [0.5, 0.5, 1.5]


def test_a_closed_loop_has_no_arrivals_of_its_own() -> None:
    with pytest.raises(TypeError, match="closed traffic has no arrival times"):
        workload(Experiment(servers(1), Traffic(Closed())))


def test_same_seed_same_requests_whatever_the_policy() -> None:
    one = Experiment(servers(2), Traffic(duration=5, client_skew=1, path_skew=0.5))
    other = one.but(servers=servers(7, speed=0.1), policy="random")
    assert workload(one) == workload(other)
    assert workload(one) != workload(one.but(seed=2))


def test_one_aspect_changes_and_the_others_stay() -> None:
    before = workload(Experiment(servers(2), Traffic(duration=5)))
    after = workload(Experiment(servers(2), Traffic(duration=5, clients=3, path_skew=1)))
    assert after.arrival == before.arrival
    assert after.demand == before.demand
    assert after.luck == before.luck
    assert after.client != before.client
    assert after.path != before.path


def test_a_longer_run_begins_like_the_short_one() -> None:
    short, long = (workload(Experiment(servers(2), Traffic(duration=d))) for d in (2, 4))
    n = len(short)
    assert 0 < n < len(long)
    assert (long.arrival[:n], long.client[:n], long.demand[:n]) == (short.arrival, short.client, short.demand)


def test_columns_have_one_length_and_their_ranges() -> None:
    load = workload(Experiment(servers(2), Traffic(duration=20, clients=7, paths=3, path_skew=2)))
    assert {len(load)} == {len(c) for c in (load.arrival, load.client, load.path, load.demand, load.luck)}
    assert set(load.client) == set(range(7))
    assert set(load.path) == set(range(3))
    for uniform in (load.demand, load.luck):
        assert 0 <= min(uniform) < max(uniform) < 1
        assert fmean(uniform) == pytest.approx(0.5, abs=0.03)


def test_clients_are_generated_without_end() -> None:
    experiment = Experiment(servers(1), Traffic(Closed(5), duration=1))
    draw = Clients(experiment)
    rows = [draw.one() for _ in range(500)]
    again = Clients(experiment)
    assert rows == [again.one() for _ in range(500)]


def test_names() -> None:
    assert [client_name(i) for i in range(3)] == ["10.55.121.177", "10.110.243.98", "10.166.109.19"]
    assert path_name(7) == "/item/7"


def test_clients_have_networks_of_their_own() -> None:
    addresses = [client_name(i) for i in range(50_000)]
    assert len(set(addresses)) == 50_000
    assert len({address.rpartition(".")[0] for address in addresses[:1000]}) == 1000  # of 256 addresses each


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_ip_hash_of_nginx_spreads_the_default_clients(count: int) -> None:
    """It hashes the first three numbers of an address; 10.0.0.x all went to one server."""
    even = Experiment(servers(count), Traffic(duration=60), policy="nginx_ip_hash").at_load(0.5)
    shares = run(even).shares
    assert 0.5 / count < min(shares.values()) <= max(shares.values()) < 1.6 / count


def test_bursts_are_stationary_from_the_start() -> None:
    """They began with a burst: 73.7 a second in the first ten seconds, where the rate is 50."""
    process = OnOff(peak=100, on=5, off=5)
    first = [len(times(process, 10, seed)) / 10 for seed in range(400)]
    assert fmean(first) == pytest.approx(process.rate, abs=4)
    begins = sum(any(t < 0.1 for t in times(process, 0.1, seed)) for seed in range(1000)) / 1000
    assert begins == pytest.approx(0.5, abs=0.05)


def test_the_mean_rate_is_that_of_the_duration() -> None:
    ramp = Profile([(0, 0), (100, 100)])
    assert [ramp.mean_rate(d) for d in (10, 100, 200)] == pytest.approx([5, 50, 75])
    step = Profile([(0, 10), (30, 10), (30, 50), (60, 50)])
    assert [step.mean_rate(d) for d in (30, 60)] == pytest.approx([10, 30])
    trace = Trace([0, 1, 2, 9])
    assert [trace.mean_rate(d) for d in (2, 10, 20)] == [1, 0.4, 0.2]


def test_the_load_is_that_of_the_duration() -> None:
    """It was that of the whole profile, however little of it a run plays."""
    ramp = Experiment(servers(1, service=Constant(0.01)), Traffic(Profile([(0, 0), (100, 100)]), duration=10))
    assert ramp.load == pytest.approx(0.05)
    assert ramp.but(duration=100).load == pytest.approx(0.5)
    assert ramp.but(arrivals=Trace([0.1, 0.2]), duration=4).load == pytest.approx(0.005)


def test_a_profile_has_its_rate_at_every_moment() -> None:
    """A ramp, a step and a spike in one."""
    profile = Profile([(0, 0), (100, 100), (100, 20), (199, 20), (200, 400), (201, 20), (300, 20)])
    assert profile.mean_rate(300) == pytest.approx((5000 + 99 * 20 + 2 * 210 + 99 * 20) / 300)
    assert profile.at(50) == 50
    assert profile.at(100) == 20
    assert profile.at(200.5) == 210
    assert profile.at(999) == 20
    moments = times(profile, 300, seed=3)
    for a, b, expected in (
        (0, 50, 1250),
        (50, 100, 3750),
        (100, 199, 1980),
        (199, 201, 420),
        (201, 300, 1980),
    ):
        assert sum(a <= t < b for t in moments) == pytest.approx(expected, abs=4 * expected**0.5)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([(0, 1)], "two or more"),
        ([(1, 1), (2, 1)], "from second 0 on"),
        ([(0, 1), (5, 1), (4, 1)], "never going back"),
        ([(0, -1), (1, 1)], "rates from 0"),
        ([(0, 0), (1, 0)], "not all of them 0"),
        ([(0, 1), (math.nan, 1)], "from second 0 on"),
        ([(0, 1), (math.nan, 1), (5, 1)], "from second 0 on"),
        ([(math.nan, 1), (5, 1)], "from second 0 on"),
        ([(0, 1), (math.inf, 1)], "from second 0 on"),
        ([(0, math.nan), (5, 1)], "rates from 0"),
        ([(0, 1), (5, math.inf)], "rates from 0"),
    ],
)
def test_a_profile_that_makes_no_sense(points: list[tuple[float, float]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Profile(points)


def test_what_a_trace_knows_is_not_drawn() -> None:
    trace = Trace([0.1, 0.2, 5.0], clients=[2, 0, 1], paths=[0, 0, 3], demands=[0.5, 0.25, 0.75])
    experiment = Experiment(servers(1), Traffic(trace, duration=1, clients=3, paths=4))
    requests = workload(experiment)
    assert list(requests.client) == [2, 0]
    assert list(requests.path) == [0, 0]
    assert list(requests.demand) == [0.5, 0.25]
    with pytest.raises(ValueError, match="clients has 1 values for 2 requests"):
        Trace([1, 2], clients=[0])
    with pytest.raises(ValueError, match="demands are quantiles"):
        Trace([1], demands=[1.0])
    with pytest.raises(ValueError, match="paths is 3: the trace has number 3"):
        Traffic(trace, paths=3)


def test_measured_times_come_back_as_they_were() -> None:
    measured = Empirical([0.3, 0.1, 0.2])
    assert measured.mean == pytest.approx(0.2)
    assert [measured.quantile(u) for u in (0, 0.34, 0.99)] == [0.1, 0.2, 0.3]
    with pytest.raises(ValueError, match=r"above 0 and at most 1e\+07, one at least"):
        Empirical([])


def test_bursts_are_requests_besides_and_leave_the_others_as_they_are() -> None:
    plain = Experiment(servers(2), Traffic(Poisson(50), 4, clients=10))
    usual = workload(plain)
    some = workload(plain.but(bursts=[Burst(1.0, 3, 20, 100.0)]))
    more = workload(plain.but(bursts=[Burst(1.0, 3, 20, 100.0), Burst(0.5, 4)]))
    assert list(some.arrival) == sorted(some.arrival)
    assert len(some) == len(usual) + 20
    assert len(more) == len(usual) + 21

    def rows(requests: Workload) -> set[tuple[float, ...]]:
        columns = (requests.arrival, requests.client, requests.path, requests.demand, requests.luck)
        return set(zip(*columns, strict=True))

    assert rows(usual) < rows(some) < rows(more)
    added = sorted(rows(some) - rows(usual))
    assert [at for at, *_ in added] == pytest.approx([1.0 + i / 100 for i in range(20)])
    assert {client for _, client, *_ in added} == {3}


def test_a_burst_ends_with_the_traffic() -> None:
    assert Burst(3.9, requests=20, rate=100.0).times(4.0) == pytest.approx([3.9 + i / 100 for i in range(10)])
