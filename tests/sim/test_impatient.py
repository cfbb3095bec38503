"""Clients that leave, try again and give up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lbkit import Closed, Constant, Event, Experiment, Poisson, Policy, Server, Trace, Traffic, run
from lbkit.patience import Backoff, Patience, Wasted


def alone(patience: Patience, arrivals=(0.0,), events=(), duration: float = 10, **fields) -> Experiment:
    """A server that takes 1 s for a request, and one request at 0 s."""
    server = Server("s", **{"service": Constant(1.0), **fields})
    traffic = Traffic(Trace(list(arrivals)), duration, patience=patience)
    return Experiment([server], traffic, Policy(retries=0), events)


def outcomes(result) -> list[tuple[float, float, int]]:
    return list(zip(result.arrival, result.end, result.status, strict=True))


def test_a_client_that_gets_its_answer_in_time_is_like_one_that_waits_for_ever() -> None:
    patient = Experiment([Server("a", workers=4), Server("b", delay=0.1)], seed=3).at_load(0.6)
    hurried = patient.but(patience=Patience(timeout=1000, retries=3))
    assert run(hurried).columns == run(patient).columns
    assert run(hurried).goodput == run(patient).throughput


def test_a_client_leaves_and_its_server_works_on() -> None:
    result = run(alone(Patience(timeout=0.4)))
    assert outcomes(result) == [(0.0, 0.4, 0)]
    assert result.wasted == (Wasted("s", 0.0, 1.0),)
    assert (result.goodput, result.throughput) == (0.0, 0.1)
    assert result.utilisation == {"s": pytest.approx(0.1)}


def test_a_server_that_cancels_stops_when_the_client_leaves() -> None:
    result = run(alone(Patience(timeout=0.4), arrivals=(0.0, 0.1), cancels=True))
    # The second client's request begins when the first one has left, and is left itself at 0.5 s.
    assert result.wasted == (Wasted("s", 0.0, 0.4, False), Wasted("s", 0.4, pytest.approx(0.1), False))
    assert result.throughput == 0
    assert result.utilisation == {"s": pytest.approx(0.05)}


@pytest.mark.parametrize("discipline", ["fifo", "processor_sharing"])
@pytest.mark.parametrize("cancels", [True, False])
def test_a_server_that_cancels_is_free_for_the_next_request(discipline: str, cancels: bool) -> None:
    """One client leaves at 0.5 s, and another one comes then, that would wait for 1.2 s."""
    fast = Patience(timeout=0.5)
    experiment = alone(fast, arrivals=(0.0, 0.5), cancels=cancels, discipline=discipline)
    result = run(experiment)
    assert [status for _, _, status in outcomes(result)] == [0, 0]
    # Cancelled, each has had half a second of work; else both get their second.
    assert sum(work.service for work in result.wasted) == pytest.approx(1.0 if cancels else 2.0)
    assert max(work.end for work in result.wasted) == pytest.approx(
        1.0 if cancels else {"fifo": 2.0, "processor_sharing": 1.5}[discipline]
    )


def test_tries_are_sent_at_once_or_after_a_pause_until_there_are_none_left() -> None:
    result = run(alone(Patience(timeout=0.25, retries=2)))
    assert outcomes(result) == [(0.0, 0.75, 0)]
    assert result.resent == (0.25, 0.5)
    assert list(result.attempts) == [3]
    paused = Patience(timeout=0.25, retries=2, backoff=Backoff(base=0.5, cap=8, jitter="none"))
    result = run(alone(paused))
    assert result.resent == (0.75, 2.0)
    # The first two tries keep the server busy until 2 s: the third begins then, and has no time either.
    assert outcomes(result) == [(0.0, 2.25, 0)]


def test_a_client_gives_up_in_the_middle_of_a_try() -> None:
    result = run(alone(Patience(timeout=0.4, retries=9, gives_up=0.5)))
    assert outcomes(result) == [(0.0, 0.5, 0)]
    assert result.resent == (0.4,)


def test_a_bad_answer_is_tried_again_with_other_luck() -> None:
    impatient = Patience(timeout=100, retries=20)
    experiment = Experiment([Server("s", workers=9, error_rate=0.5)]).at_load(0.2)
    assert run(experiment).error_rate == pytest.approx(0.5, abs=0.1)
    result = run(experiment.but(patience=impatient))
    assert result.error_rate == 0
    assert len(result.resent) == pytest.approx(len(result), rel=0.2)  # as many again, of a chance of a half


def test_users_of_a_closed_loop_wait_for_the_outcome_of_their_last_try() -> None:
    experiment = alone(Patience(timeout=0.4, retries=1)).but(arrivals=Closed(1, 0), duration=3)
    result = run(experiment)
    assert [round(end - arrival, 9) for arrival, end, _ in outcomes(result)] == [0.8] * len(result)
    assert all(b - a >= 0.8 - 1e-9 for a, b in pairwise(result.arrival))


def storm(load: float, patience: Patience, seed: int = 1, **fields) -> Experiment:
    """A server of ten workers that is ten times slower from 20 s to 30 s, and then as it was before."""
    server = Server("s", workers=10, service=Constant(0.1), **fields)
    events = [Event(20, "slow", "s", 0.1), Event(30, "recover", "s")]
    traffic = Traffic(Poisson(load * 100), 120, patience=patience)
    return Experiment([server], traffic, Policy(retries=0), events, seed=seed)


def goodput_after(result, start: float, end: float) -> float:
    """Good answers a second in a part of the run, as a share of the requests that were sent first in it."""
    rows = zip(result.end, result.status, strict=True)
    return sum(start <= at < end and status == 200 for at, status in rows) / sum(
        start <= arrival < end for arrival in result.arrival
    )


IMPATIENT = Patience(timeout=1.0, retries=3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_retry_storm_outlives_its_cause(seed: int) -> None:
    """A metastable failure: at 80 % of the capacity all is well until a fault of ten seconds. A minute after
    it the server works as hard as it can, and no answer comes in time: each request is sent four times, which
    is more than three times what the server can do. (Bronson et al., HotOS 2021.)"""
    result = run(storm(0.8, IMPATIENT, seed))
    assert goodput_after(result, 5, 20) > 0.99
    assert goodput_after(result, 90, 120) < 0.05
    late = [work for work in result.wasted if 90 <= work.end < 120]
    assert len(late) / 30 == pytest.approx(100, rel=0.05)  # a second: the whole capacity, in vain


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_retries_or_with_little_load_the_storm_ends_with_its_cause(seed: int) -> None:
    assert goodput_after(run(storm(0.2, IMPATIENT, seed)), 90, 120) > 0.99
    once = Patience(timeout=1.0)
    cancelling = run(storm(0.8, once, seed, cancels=True))
    assert goodput_after(cancelling, 60, 90) > 0.99


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_storm_begins_where_all_tries_together_are_more_than_the_capacity(seed: int) -> None:
    """With three retries each request is sent four times while nothing is answered in time: the load that can
    get out of it is below a quarter, and a storm begins above. So a sweep says, and the arithmetic."""
    recovers = {
        load: goodput_after(run(storm(load, IMPATIENT, seed).but(duration=150)), 120, 150) > 0.99
        for load in (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
    }
    assert recovers == {load: load < 1 / (1 + IMPATIENT.retries) for load in recovers}


def test_a_backoff_alone_does_not_end_the_storm() -> None:
    """A backoff spreads the tries over time; there are as many of them, and at this load too many."""
    paused = Patience(timeout=1.0, retries=3, backoff=Backoff(base=0.5, cap=4.0))
    assert goodput_after(run(storm(0.8, paused)), 90, 120) < 0.05
