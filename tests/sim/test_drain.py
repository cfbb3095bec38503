"""Draining in the simulator: what runs finishes, or is cut off at the deadline."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need_readable

from lbkit import Event, Experiment, Policy, Server, Traffic, run, servers
from lbkit.arrivals import Poisson
from lbkit.core.drain import DrainRules, DrainState
from lbkit.distributions import Constant, Exponential
from lbkit.server import DISCIPLINES
from lbkit.sim.simulation import Simulation


def slow_one(policy: Policy, discipline: str = "fifo", delay: float = 0.0) -> Experiment:
    """s1 works for 5 s on each request, s2 for 0.01 s."""
    pair = (
        Server("s1", workers=4, service=Constant(5), discipline=discipline, delay=delay),
        Server("s2", workers=4, service=Constant(0.01)),
    )
    events = [Event(2, "drain", "s1")]
    return Experiment(pair, Traffic(Poisson(2), duration=4), policy, events)


def steps(result) -> list[tuple[float, str]]:
    return [(round(c.at, 6), c.after) for c in result.changes if c.kind == "drain"]


def test_without_a_deadline_what_runs_finishes() -> None:
    result = run(slow_one(Policy("round_robin")))
    last = max(end for end, b in zip(result.end, result.backend, strict=True) if b == 0)
    assert last > 5
    assert steps(result) == [(2, "draining"), (round(last, 6), "drained")]
    assert set(result.status) == {200}


@pytest.mark.parametrize("discipline", DISCIPLINES)
@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_at_the_deadline_requests_that_are_safe_to_repeat_go_elsewhere(discipline: str, delay: float) -> None:
    policy = Policy("round_robin", drain=DrainRules(timeout=1))
    result = run(slow_one(policy, discipline, delay))
    assert steps(result) == [(2, "draining"), (3, "drained")]
    assert set(result.status) == {200}
    assert set(result.backend) == {1}  # nothing of s1 was finished
    assert 2 in result.attempts
    late = [end for end, n in zip(result.end, result.attempts, strict=True) if n == 2]
    assert all(3 < end < 3.1 for end in late)


def test_at_the_deadline_requests_without_a_retry_fail() -> None:
    result = run(slow_one(Policy("round_robin", retries=0, drain=DrainRules(timeout=1))))
    assert set(result.status) == {200, 502}
    assert {round(e, 6) for e, s in zip(result.end, result.status, strict=True) if s == 502} == {3}


def test_workers_freed_by_a_cut_serve_requests_of_other_balancers() -> None:
    """Each balancer cuts off its own requests; an undrained server serves as before."""
    policy = Policy("round_robin", balancers=2, drain=DrainRules(timeout=1))
    experiment = slow_one(policy)
    result = run(experiment.but(events=[*experiment.events, Event(3.5, "undrain", "s1")], duration=6))
    assert set(result.status) == {200}
    again = [a for a, b in zip(result.arrival, result.backend, strict=True) if b == 0]
    assert again
    assert min(again) > 3.5
    assert [after for _, after in steps(result)].count("ready") == 2


def test_a_drain_without_load_ends_at_once() -> None:
    experiment = slow_one(Policy("round_robin", drain=DrainRules(timeout=1)))
    result = run(experiment.but(events=[Event(0, "drain", "s1")]))
    assert steps(result) == [(0, "draining"), (0, "drained")]


# -- whatever happens --------------------------------------------------------------------------------


happenings = st.lists(
    st.tuples(
        st.floats(0, 8),
        st.sampled_from(["drain", "undrain", "crash", "recover"]),
        st.sampled_from(["s1", "s2"]),
    ),
    max_size=12,
)


@given(
    happenings,
    st.sampled_from([None, DrainRules(timeout=0.2), DrainRules(timeout=3)]),
    st.sampled_from(DISCIPLINES),
    st.sampled_from([0.0, 0.1]),
    st.integers(0, 2),
    st.integers(1, 2),
    st.integers(0, 1000),
)
@settings(max_examples=60)
def test_whatever_happens_a_drained_backend_has_no_request_and_each_request_one_end(
    events, drain: DrainRules | None, discipline: str, delay: float, retries: int, balancers: int, seed: int
) -> None:
    need_readable()
    there = servers(3, workers=2, service=Exponential(0.5), discipline=discipline, delay=delay)
    policy = Policy("least_connections", retries=retries, drain=drain, balancers=balancers)
    experiment = Experiment(there, policy=policy, events=[Event(*event) for event in events], seed=seed)
    simulation = Simulation(experiment.at_load(0.8).but(duration=8))
    drained = depth = 0

    def check() -> None:
        nonlocal drained
        for pool in simulation.pool.pools:
            for backend in pool.backends:
                state = pool.drains.state(backend.name)
                assert backend.in_flight >= 0
                assert (backend.in_flight > 0) or state is not DrainState.DRAINING
                if state is DrainState.DRAINED:
                    drained += 1
                    assert backend.in_flight == 0
                    assert backend not in pool.eligible

    def checked(handle):
        def handler(row: int) -> None:
            nonlocal depth
            depth += 1
            handle(row)
            depth -= 1
            if not depth:  # one event's handler may call another's
                check()

        return handler

    simulation.handlers[:] = [checked(handler) for handler in simulation.handlers]
    result = simulation.run()
    assert not any(isnan(end) for end in result.end)
    assert 0 not in result.status
    assert all(server.free == server.spec.workers for server in simulation.servers)
    assert all(not server.queue for server in simulation.servers)
    for name in result.backends:
        mine = [c for c in result.changes if c.backend == name]
        if balancers == 1:  # else the changes of two machines are mixed
            chain = ["ready", *(c.after for c in mine)]
            assert [c.before for c in mine] == chain[:-1]
        assert drained or not any(c.after == "drained" for c in mine)
