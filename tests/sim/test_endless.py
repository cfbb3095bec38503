"""Closed loops in which time could stand still: users without a pause, and answers that take no time."""

from __future__ import annotations

import pytest

from lbkit import (
    Admission,
    Closed,
    Constant,
    Event,
    Experiment,
    Policy,
    RateLimit,
    Server,
    Traffic,
    run,
    servers,
)
from lbkit.core.vectors import column_of
from lbkit.sim import TooManyEvents
from lbkit.sim.engine import Engine
from lbkit.sim.users import TURNAROUND

USERS, DURATION = 3, 0.5
CROWD = Traffic(Closed(users=USERS, think=0), duration=DURATION, clients=1)
ONE = {"kind": "token_bucket", "rate": 1, "burst": 1}

IMMEDIATE = {
    "all crashed": Experiment(servers(2), CROWD, events=[Event(0, "crash", "s1"), Event(0, "crash", "s2")]),
    "weight 0": Experiment(servers(2, weight=0), CROWD),
    "every answer an error": Experiment(servers(2, error_rate=1.0, service=Constant(1e-3)), CROWD),
    "rate limited": Experiment(servers(2), CROWD, limits=RateLimit(ONE)),
    "admission full": Experiment(servers(2), CROWD, admission=Admission(rate=1, max_queue=0)),
}


@pytest.mark.parametrize("name", IMMEDIATE)
def test_users_pause_when_the_answer_takes_no_time(name: str) -> None:
    result = run(IMMEDIATE[name], max_events=20_000)
    assert result.error_rate > 0.5
    assert len(result) <= USERS * (DURATION / TURNAROUND + 1)


def test_a_server_without_a_queue_refuses_and_the_clock_advances() -> None:
    one = Experiment([Server("s", queue=0, service=Constant(0.02))], CROWD, Policy(retries=0))
    result = run(one, max_events=20_000)
    assert result.throughput == pytest.approx(50, rel=0.1)  # as much as it can do
    assert 0.7 < result.error_rate < 1


def test_answers_that_take_time_are_followed_at_once() -> None:
    """The turnaround changes nothing where the clock goes on by itself."""
    busy = Experiment([Server("s", service=Constant(0.01))], Traffic(Closed(users=1, think=0), duration=1))
    result = run(busy)
    assert [round(t, 9) for t in result.arrival] == [round(i * 0.01, 9) for i in range(len(result))]


def test_an_endless_run_ends_with_an_error() -> None:
    tiny = Experiment([Server("s", service=Constant(1e-9))], CROWD)
    with pytest.raises(
        TooManyEvents, match=r"10,000 events have come to \d.\d+e-06 s only: use a shorter duration"
    ):
        run(tiny, max_events=10_000)


def test_the_bound_counts_events_that_are_planned() -> None:
    engine = Engine(max_events=2)
    engine.feed(column_of([1.0, 2.0, 3.0]), 0)
    engine.plan(0.0, 0)
    engine.plan(0.0, 0)
    with pytest.raises(TooManyEvents):
        engine.plan(0.0, 0)
    rows: list[int] = []
    engine.run([rows.append])
    assert rows == [0, 0, 0, 1, 2]
