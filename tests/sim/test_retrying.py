"""The rules of Policy.retry in the simulator: timeouts, hedges, budget, deadlines, fallback answers."""

from __future__ import annotations

from collections import Counter
from math import inf, isnan
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import (
    Admission,
    AttemptTimeouts,
    Backoff,
    Closed,
    Constant,
    DrainRules,
    Event,
    Experiment,
    Exponential,
    Fallback,
    Hedge,
    Patience,
    Poisson,
    Policy,
    Result,
    Retry,
    RetryBudgetRules,
    Server,
    Sticky,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.core.attempts import COUNTS, MOST_EVENTS, AttemptEvent, Kind
from lbkit.server import DISCIPLINES
from lbkit.sim.runs import simulation

FLEET = (Server("slow", service=Constant(8.0)), Server("s2", service=Constant(1.0), workers=2))


def one_request(
    fleet: tuple[Server, ...] = FLEET, *events: Event, retries: int = 1, **rules: object
) -> Result:
    """A request at 1 s, which goes to the first server."""
    policy = Policy("first_available", retries=retries, retry=Retry(**rules))  # type: ignore[arg-type]
    return run(Experiment(fleet, Traffic(Trace([1.0]), 20), policy, events))


def row(result: Result) -> dict[str, float]:
    (only,) = zip(*result.to_dict().values(), strict=True)
    return dict(zip(result.to_dict(), only, strict=True))


@pytest.mark.parametrize("timeouts", [AttemptTimeouts(first_byte=1.5), AttemptTimeouts(total=1.5)])
def test_an_attempt_that_takes_too_long_is_repeated_elsewhere(timeouts: AttemptTimeouts) -> None:
    result = one_request(timeouts=timeouts)
    found = row(result)
    assert (found["backend"], found["status"], found["attempts"]) == ("s2", 200, 2)
    assert (found["start"], found["end"], found["service"]) == (2.5, 3.5, 1.0)
    assert result.attempt_counts["attempt_timeouts"] == result.attempt_counts["retries"] == 1


def test_without_another_attempt_a_timeout_is_504() -> None:
    found = row(one_request(retries=0, timeouts=AttemptTimeouts(first_byte=0.5)))
    assert (found["backend"], found["status"], found["end"]) == (None, 504, 1.5)
    assert isnan(found["start"])


def test_a_server_continues_with_an_abandoned_attempt() -> None:
    """The second request waits for the worker that is busy with the first, which nobody waits for."""
    fleet = (Server("s1", service=Constant(2.0)),)
    policy = Policy("round_robin", retries=0, retry=Retry(timeouts=AttemptTimeouts(total=1.0)))
    result = run(Experiment(fleet, Traffic(Trace([0.0, 1.5]), 10), policy))
    assert list(result.status) == [504, 504]
    longer = Policy("round_robin", retries=0, retry=Retry(timeouts=AttemptTimeouts(total=2.6)))
    result = run(Experiment(fleet, Traffic(Trace([0.0, 1.5]), 10), longer))
    assert list(result.end) == [2.0, 4.0]


def test_wasted_work_is_in_the_result() -> None:
    (lost,) = one_request(hedge=Hedge(0.5)).extra["wasted"]
    assert lost == ("slow", 1.0, 8.0, True)
    watchful = (evolve(FLEET[0], cancels=True), FLEET[1])
    (lost,) = one_request(watchful, hedge=Hedge(0.5)).extra["wasted"]
    assert lost == ("slow", 1.0, 1.5, False)


def test_the_pause_before_a_retry_is_the_backoff() -> None:
    fleet = (*servers(3, service=Constant(1.0)),)
    crashes = [Event(0.5, "crash", "s1"), Event(0.5, "crash", "s2")]
    found = row(one_request(fleet, *crashes, retries=2, backoff=Backoff(base=0.25, cap=1, jitter="none")))
    assert (found["backend"], found["attempts"], found["start"]) == ("s3", 3, 1.0 + 0.25 + 0.5)


def test_a_hedge_gives_the_answer_and_the_loser_s_lease_is_given_back() -> None:
    result = one_request(hedge=Hedge(0.5))
    found = row(result)
    assert (found["backend"], found["status"], found["attempts"]) == ("s2", 200, 2)
    assert (found["start"], found["end"]) == (1.5, 2.5)
    assert result.attempt_counts["hedges"] == result.attempt_counts["hedges_won"] == 1
    assert result.attempt_counts["retries"] == 0


def test_each_step_is_an_event_with_its_time_and_its_backend() -> None:
    late = one_request(timeouts=AttemptTimeouts(total=1.5), backoff=Backoff(0.5, 0.5, jitter="none"))
    assert late.attempt_events == (
        AttemptEvent(2.5, Kind.TIMEOUT, "slow"),
        AttemptEvent(2.5, Kind.RETRY, "slow", "attempt timeout"),
    )
    hedged = one_request(hedge=Hedge(2.0))
    assert hedged.attempt_events == (
        AttemptEvent(3.0, Kind.HEDGE, "slow"),
        AttemptEvent(4.0, Kind.HEDGE_WON, "s2"),
    )
    refused = one_request(hedge=Hedge(2.0), budget=RetryBudgetRules(0.0, 10.0, 0.0))
    assert refused.attempt_events == (AttemptEvent(3.0, Kind.OVER_BUDGET, "slow", "hedge"),)
    ended = one_request(deadline=3.0, fallback=Fallback("x"))
    assert ended.attempt_events == (
        AttemptEvent(4.0, Kind.DEADLINE, "slow"),
        AttemptEvent(4.0, Kind.FALLBACK),
    )
    assert ended.attempt_counts["deadlines"] == ended.attempt_counts["fallbacks"] == 1
    assert "1 deadlines, 1 fallbacks>" in repr(ended).splitlines()[0]


def test_retries_without_rules_are_events_too_and_a_run_without_failures_has_none() -> None:
    fleet = servers(2, service=Constant(0.01))
    plain = Experiment(fleet, Traffic(Trace([1.0, 2.0, 3.0]), 5), Policy("first_available"))
    assert run(plain).attempt_events == ()
    assert run(plain).attempt_counts == {}
    crashed = run(plain.but(events=[Event(1.5, "crash", "s1")]))
    assert crashed.attempt_events == (
        AttemptEvent(2.0, Kind.RETRY, "s1", "refused"),
        AttemptEvent(3.0, Kind.RETRY, "s1", "refused"),
    )
    assert crashed.where(backend="s2").attempt_events == ()  # they are of the whole run


def test_a_run_keeps_a_bounded_number_of_events_and_counts_all() -> None:
    assert 10_000 <= MOST_EVENTS <= 1_000_000
    policy = Policy("first_available", retry=Retry(hedge=Hedge(0.001)))
    experiment = Experiment(servers(2, service=Constant(0.01)), Traffic(Poisson(20), 5), policy)
    running = simulation(experiment)
    running.attempt_policy.keep = 10
    result = running.run()
    assert len(result.attempt_events) == 10 < sum(result.attempt_counts.values())


def test_a_hedge_that_fails_leaves_the_first_attempt_alone() -> None:
    result = one_request(FLEET, Event(0.5, "crash", "s2"), hedge=Hedge(0.5))
    found = row(result)
    assert (found["backend"], found["status"], found["end"], found["attempts"]) == ("slow", 200, 9.0, 2)
    assert result.attempt_counts["hedges_won"] == 0


def test_a_hedge_replaces_a_first_attempt_that_fails() -> None:
    found = row(one_request(FLEET, Event(2.0, "crash", "slow"), retries=0, hedge=Hedge(0.5)))
    assert (found["backend"], found["status"], found["end"]) == ("s2", 200, 2.5)


@pytest.mark.parametrize("copies", [1, 2])
def test_hedges_are_bounded_and_each_goes_to_another_backend(copies: int) -> None:
    fleet = tuple(Server(f"s{i}", service=Constant(8.0)) for i in range(4))
    found = one_request(fleet, hedge=Hedge(0.5, copies))
    assert list(found.attempts) == [1 + copies]
    assert found.attempt_counts["hedges"] == copies


def test_without_another_backend_there_is_no_hedge() -> None:
    result = one_request(FLEET[:1], hedge=Hedge(0.5))
    assert list(result.attempts) == [1]
    assert result.attempt_counts["hedges"] == 0


def test_a_status_of_the_rules_is_a_failure_and_the_last_one_is_passed_on() -> None:
    bad = Server("bad", error_rate=1.0)
    found = row(one_request((bad, FLEET[1]), statuses=[500]))
    assert (found["backend"], found["status"], found["attempts"]) == ("s2", 200, 2)
    found = row(one_request((bad, Server("worse", error_rate=1.0)), statuses=[500]))
    assert (found["backend"], found["status"], found["attempts"]) == ("worse", 500, 2)
    found = row(one_request((bad, FLEET[1]), statuses=[503]))
    assert (found["backend"], found["status"], found["attempts"]) == ("bad", 500, 1)


def test_the_budget_bounds_retries() -> None:
    fleet = tuple(Server(f"s{i}", error_rate=1.0) for i in range(3))
    budget = RetryBudgetRules(ratio=0.2, window=100.0, minimum=0.0)
    policy = Policy(retries=2, retry=Retry(budget=budget, statuses=[500]))
    result = run(Experiment(fleet, Traffic(Trace([i / 10 for i in range(100)]), 10), policy))
    assert result.attempt_counts["retries"] == 20 == sum(result.attempts) - 100
    # Each request whose failure met an empty budget ends there.
    assert result.attempt_counts["over_budget"] >= 80
    assert set(result.status) == {500}


def test_a_deadline_ends_a_request_and_no_retry_is_planned_beyond_it() -> None:
    result = one_request(deadline=2.0)
    assert (row(result)["status"], row(result)["end"]) == (504, 3.0)
    assert result.attempt_counts["deadlines"] == 1
    down = [Event(0.5, "crash", "slow")]
    found = row(one_request(FLEET, *down, deadline=2.0, backoff=Backoff(base=3, cap=3, jitter="none")))
    assert (found["status"], found["end"], found["attempts"]) == (502, 1.0, 1)


def test_a_request_that_comes_too_late_from_the_gate_is_never_sent() -> None:
    fleet = servers(1, service=Constant(2.0))
    policy = Policy(retry=Retry(deadline=1.0))
    admission = Admission(rate=0.5, burst=1, max_queue=10, timeout=10)
    result = run(Experiment(fleet, Traffic(Trace([0.0, 0.1]), 10), policy, admission=admission))
    assert (result.status[1], result.attempts[1]) == (504, 0)


def test_a_fallback_takes_the_place_of_the_balancer_s_own_errors() -> None:
    down = [Event(0.5, "crash", "slow"), Event(0.5, "crash", "s2")]
    result = one_request(FLEET, *down, fallback=Fallback("later"))
    assert (row(result)["status"], row(result)["backend"]) == (200, None)
    assert result.attempt_counts["fallbacks"] == 1
    bad = Server("bad", error_rate=1.0)  # its own answer stays
    assert row(one_request((bad,), fallback=Fallback("later")))["status"] == 500


def test_requests_of_a_session_are_not_hedged() -> None:
    """The first request of each of 20 clients may be: nothing is known of its session yet."""
    fleet = tuple(Server(f"s{i}", service=Constant(0.2), workers=50) for i in range(3))
    traffic = Traffic(Poisson(100), 10, clients=20)
    policy = Policy(retry=Retry(hedge=Hedge(0.1)))
    assert run(Experiment(fleet, traffic, policy)).attempt_counts["hedges"] > 900
    sticky = run(Experiment(fleet, traffic, evolve(policy, sticky=Sticky())))
    assert 20 <= sticky.attempt_counts["hedges"] < 120


def test_hedges_cut_the_tail() -> None:
    """The Tail at Scale: a few more requests, a far shorter tail."""
    fleet = servers(20, service=Constant(0.01), workers=20)
    slow = [Event(0.0, "slow", "s1", 0.01)]
    plain = Experiment(fleet, Traffic(Poisson(100), 20), "random", slow)
    hedged = plain.but(policy=Policy("random", retry=Retry(hedge=Hedge(0.05))))
    for seed in range(5):
        before, after = run(plain.but(seed=seed)), run(hedged.but(seed=seed))
        assert after.percentile(99) < 0.1 < before.percentile(99)
        assert sum(after.attempts) < 1.1 * len(after)


def test_the_same_experiment_gives_the_same_result() -> None:
    policy = Policy(retry=Retry(backoff=Backoff(), hedge=Hedge(0.5), statuses=[500]))
    experiment = Experiment(servers(3, error_rate=0.3), Traffic(Poisson(2), 20), policy)
    assert repr(run(experiment).to_dict()) == repr(run(experiment).to_dict())


@st.composite
def rules(draw: st.DrawFn) -> Retry:
    maybe = st.none() | st.floats(0.05, 3)
    pauses = st.builds(Backoff, base=st.floats(0, 0.25), jitter=st.sampled_from(["full", "none"]))
    return Retry(
        backoff=draw(st.none() | pauses),
        budget=draw(st.none() | st.builds(RetryBudgetRules, st.floats(0, 1), minimum=st.floats(0, 1))),
        hedge=draw(st.none() | st.builds(Hedge, st.floats(0.05, 2), st.integers(1, 3))),
        timeouts=draw(st.none() | st.builds(AttemptTimeouts, maybe, maybe, maybe)),
        deadline=draw(maybe),
        statuses=draw(st.sampled_from([(), (500,), (500, 503)])),
        fallback=draw(st.none() | st.just(Fallback("x", 299))),
    )


@settings(max_examples=100, deadline=None)
@given(
    rules=rules(),
    retries=st.integers(0, 3),
    closed=st.booleans(),
    patience=st.none() | st.builds(Patience, st.floats(0.1, 3), st.integers(0, 2)),
    cancels=st.booleans(),
    seed=st.integers(0, 1000),
    happens=st.dictionaries(
        st.sampled_from(["s1", "s2", "s3"]),
        st.tuples(st.floats(0, 4), st.sampled_from(["crash", "crash", "drain", "remove", "hang"])),
    ),
    sticky=st.sampled_from([None, None, Sticky()]),
    drain=st.sampled_from([None, DrainRules(0.3)]),
    discipline=st.sampled_from(DISCIPLINES),
    delay=st.sampled_from([0.0, 0.1]),
)
def test_laws(
    rules: Retry,
    retries: int,
    closed: bool,
    patience: Patience | None,
    cancels: bool,
    seed: int,
    happens: dict[str, tuple[float, str]],
    sticky: Sticky | None,
    drain: DrainRules | None,
    discipline: str,
    delay: float,
) -> None:
    """Every request ends once; all leases are given back; attempts and the budget are never exceeded."""
    fleet = servers(
        3,
        service=Exponential(0.5),
        error_rate=0.2,
        queue=2,
        delay=delay,
        discipline=discipline,
        cancels=cancels,
    )
    arrivals = Closed(4, 0.2) if closed else Poisson(4)
    events = [Event(at, action, name) for name, (at, action) in happens.items()]
    traffic = Traffic(arrivals, 5, patience=patience)
    policy = Policy(retries=retries, retry=rules, sticky=sticky, drain=drain)
    experiment = Experiment(fleet, traffic, policy, events, seed)
    ends: Counter[int] = Counter()
    kind: Any = type(simulation(experiment))

    class Counting(kind):
        def ended(self, row: int, ok: bool) -> None:
            ends[row] += 1
            super().ended(row, ok)

    running = Counting(experiment)
    running.followed = True  # so that `ended` is called
    backends = running.pool.backends
    result = running.run()
    tries = len(ends)
    assert set(ends.values()) <= {1}
    bounded = rules.deadline or patience or (rules.timeouts and rules.timeouts.until_answer < inf)
    if bounded or "hang" not in {action for _, action in happens.values()}:
        assert tries == len(result) if patience is None else tries >= len(result)
        assert {b.in_flight for b in backends} == {0}
    begun = max(tries, len(result))  # some may hang for ever
    counts = result.attempt_counts
    events = result.attempt_events
    assert Counter(COUNTS[event.kind] for event in events) == Counter(counts)
    assert [event.at for event in events] == sorted(event.at for event in events)
    most = 1 + retries + (rules.hedge.max_copies if rules.hedge else 0)
    tries_each = 1 + (patience.retries if patience else 0)
    assert max(result.attempts, default=0) <= most * tries_each
    assert sum(result.attempts) <= begun + counts["retries"] + counts["hedges"]
    if rules.budget:
        last = max(result.end, default=0.0)
        windows = 1 + last / (0.9 * rules.budget.window)
        allowed = rules.budget.ratio * begun + rules.budget.minimum * rules.budget.window * windows
        assert counts["retries"] + counts["hedges"] <= allowed + 1e-9
    if rules.deadline and patience is None:
        assert all(e - a <= rules.deadline + 1e-9 for a, e in zip(result.arrival, result.end, strict=True))
    assert set(result.status) <= {0, 200, 299, 500, 502, 503, 504}


# -- the retry storm -------------------------------------------------------------------------------


def goodput_after_a_fault(load: float, seed: int, budget: RetryBudgetRules | None) -> tuple[float, float]:
    """Return the share of good answers before a fault and long after it.

    For three seconds all servers are ten times slower; an attempt may take half a second, and there are
    up to three retries."""
    fleet = servers(4, service=Constant(0.05), workers=2)
    names = [server.name for server in fleet]
    fault = [Event(10, "slow", name, 0.1) for name in names] + [Event(13, "recover", name) for name in names]
    rules = Retry(timeouts=AttemptTimeouts(first_byte=0.5), budget=budget)
    policy = Policy("least_connections", retries=3, retry=rules)
    result = run(Experiment(fleet, policy=policy, events=fault, seed=seed).at_load(load).but(duration=45))

    def share(start: float, stop: float) -> float:
        good = [ok for ok, at in zip(result.ok, result.arrival, strict=True) if start <= at < stop]
        return sum(good) / len(good)

    return share(0, 9), share(35, 45)


@pytest.mark.parametrize("seed", range(4))
def test_a_retry_storm_outlives_its_cause_and_a_budget_ends_it(seed: int) -> None:
    """Every request that waits too long is sent four times, and the servers serve all four.

    So the storm goes on by itself where load x (1 + retries) is above 1, and a budget of a tenth bears
    load x 1.1 < 1. (Bronson et al., Metastable Failures in Distributed Systems, HotOS 2021.)"""
    assert goodput_after_a_fault(0.35, seed, None) == (1, 0)
    assert goodput_after_a_fault(0.2, seed, None) == (1, 1)
    assert goodput_after_a_fault(0.7, seed, RetryBudgetRules(0.1, 10.0, 0.0)) == (1, 1)


def test_no_retry_or_hedge_is_counted_where_no_other_server_is_left() -> None:
    alone = (Server("s1", service=Constant(8.0)),)
    result = one_request(
        alone,
        retries=3,
        timeouts=AttemptTimeouts(total=2.0),
        hedge=Hedge(1.0),
        budget=RetryBudgetRules(0.0, 10.0, 0.1),  # one in ten seconds
    )
    counts = result.attempt_counts
    assert (counts["retries"], counts["hedges"], counts["over_budget"]) == (0, 0, 0)
    assert row(result)["status"] == 504
