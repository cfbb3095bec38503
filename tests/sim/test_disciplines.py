"""Processor sharing: by hand, against closed forms, and beside first come first served."""

from __future__ import annotations

import pytest

from lbkit import (
    Bimodal,
    Constant,
    Event,
    Experiment,
    Exponential,
    LogNormal,
    Poisson,
    Result,
    Server,
    Trace,
    Traffic,
    compare,
    run,
    servers,
)
from lbkit.distributions import Service
from lbkit.sim import theory

SEEDS = 8


def sharing(times: list[float], *events: Event, **server: object) -> Result:
    """Requests at `times`, each with 1 s of work, for one server."""
    fields = {"service": Constant(1.0), "discipline": "processor_sharing"} | server
    return run(Experiment([Server("s", **fields)], Traffic(Trace(times), 20), events=events))


def test_two_requests_slow_each_other_down() -> None:
    result = sharing([0.0, 0.5])
    assert list(result.start) == [0.0, 0.5]
    assert list(result.end) == [1.5, 2.0]
    assert list(result.service) == [1.0, 1.0]
    assert result.utilisation["s"] == pytest.approx(2 / 20)


def test_requests_that_end_at_the_same_moment_all_end() -> None:
    assert list(sharing([0.0] * 4).end) == pytest.approx([4.0] * 4)
    assert list(sharing([0.0] * 4, workers=4).end) == [1.0] * 4
    assert list(sharing([0.0] * 4, workers=2).end) == pytest.approx([2.0] * 4)


def test_the_queue_limits_how_many_requests_share() -> None:
    assert sorted(sharing([0.0] * 5, queue=2).status) == [200, 200, 200, 503, 503]


def test_speed_and_slow_count_from_the_start_of_a_request() -> None:
    result = sharing([0.0, 5.0], Event(4.0, "slow", "s", 0.5), speed=2.0)
    assert list(result.end) == [0.5, 6.0]


def test_delays_are_felt_by_the_client_only() -> None:
    assert list(sharing([0.0, 0.5], delay=0.25).end) == [2.0, 2.5]


def test_a_crash_loses_all_requests_that_share() -> None:
    two = servers(2, service=Constant(1.0), discipline="processor_sharing")
    crash = [Event(0.75, "crash", "s1"), Event(2.0, "recover", "s1")]
    traffic = Traffic(Trace([0.0, 0.5, 4.0]), 10)
    result = run(Experiment(two, traffic, "first_available", crash))
    assert list(result.start) == [0.75, 0.75, 4.0]
    assert list(result.end) == [2.75, 2.75, 5.0]
    assert list(result.backend) == [1, 1, 0]
    assert list(result.attempts) == [2, 2, 1]


@pytest.mark.parametrize(
    "service",
    [Exponential(1.0), Constant(1.0), Bimodal(0.5, 5.5, 0.1), LogNormal(1.0, 2.0)],
    ids=["exponential", "constant", "bimodal", "log-normal"],
)
def test_the_mean_time_does_not_depend_on_the_distribution_of_service(service: Service) -> None:
    """M/G/1-PS. First come first served, constant service takes 1.5 s, and this log-normal one 3.5 s.

    The tolerance is three standard errors of the log-normal one, which varies most."""
    one = Experiment(
        [Server("s", service=service, discipline="processor_sharing")],
        Traffic(Poisson(0.5), duration=30_000, warmup=500),
    )
    means = [run(one.but(seed=seed)).mean for seed in range(SEEDS)]
    assert sum(means) / SEEDS == pytest.approx(theory.mg1_ps_time(0.5), rel=0.04)


def test_each_request_is_slowed_down_alike_whatever_its_work() -> None:
    """M/G/1-PS: x seconds of work take x / (1 - rho) on average. (Kleinrock, Queueing Systems II, 4.4.)"""
    mixed = Bimodal(0.5, 5.5, 0.1)
    one = Experiment(
        [Server("s", service=mixed, discipline="processor_sharing")],
        Traffic(Poisson(0.7), duration=60_000, warmup=500),
    )
    result = run(one)
    for work in (mixed.fast, mixed.slow):
        alike = result.where(service=work)
        assert alike.mean / work == pytest.approx(1 / 0.3, rel=0.06)


def test_with_several_workers_the_mean_is_that_of_erlang() -> None:
    """With exponential service, which of the requests are served makes no difference to their number."""
    four = Experiment(
        [Server("s", workers=4, service=Exponential(1.0), discipline="processor_sharing")],
        Traffic(Poisson(3.2), duration=8_000, warmup=200),
    )
    means = [run(four.but(seed=seed)).mean for seed in range(SEEDS)]
    assert sum(means) / SEEDS == pytest.approx(1 + theory.mmc_wait(4, 0.8), rel=0.03)


def test_small_requests_do_not_wait_behind_large_ones() -> None:
    """The reason to share: with highly variable work, the median falls far below first come first served."""
    traffic = Traffic(Poisson(0.7), duration=20_000, warmup=500)
    work = LogNormal(1.0, 4.0)
    fifo, shared = (
        run(Experiment([Server("s", service=work, discipline=discipline)], traffic))
        for discipline in ("fifo", "processor_sharing")
    )
    assert shared.percentile(50) < 0.3 * fifo.percentile(50)
    assert shared.mean < 0.5 * fifo.mean


def test_balancing_helps_servers_that_share_as_well() -> None:
    traffic = Traffic(duration=2_000, warmup=100)
    for service in (Exponential(1.0), LogNormal(1.0, 3.0)):
        fleet = servers(8, service=service, discipline="processor_sharing")
        random, two, full = compare(
            Experiment(fleet, traffic).at_load(0.8), ["random", "power_of_two", "least_connections"]
        )
        assert random.mean > 1.5 * two.mean
        assert two.mean > full.mean
