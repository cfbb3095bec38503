"""Laws of recorded attempts: they are what happened, and recording changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from math import inf, isnan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import possible

from lbkit import (
    Action,
    Admission,
    Caching,
    Closed,
    Constant,
    Event,
    Experiment,
    Exponential,
    Layer4,
    Poisson,
    Policy,
    RateLimit,
    Server,
    Sticky,
    Traffic,
    run,
    servers,
)
from lbkit.core import Balancer, forget
from lbkit.core.attempts import Kind
from lbkit.core.cache import CacheRules
from lbkit.core.drain import DrainRules
from lbkit.core.health import BreakerRules, CheckRules, HealthRules, MaxFailsRules, OutlierRules
from lbkit.core.retry import AttemptTimeouts, Backoff, Hedge, Retry
from lbkit.patience import Patience
from lbkit.recorded import RECORDED, Attempt
from lbkit.result import Result, good
from lbkit.server import DISCIPLINES, FIFO

NAMES = ("s1", "s2", "s3")
VALUES = {"slow": 0.4, "flap": 0.3, "lose": 0.5, "fail": 0.5, "delay": 0.2, "set_weight": 2.0}
ACTIONS = ("crash", "recover", "recover", "hang", "drain", "undrain", "remove", "add", *VALUES)

rules = st.builds(
    Retry,
    backoff=st.sampled_from([None, Backoff(0.01)]),
    hedge=st.sampled_from([None, Hedge(0.05), Hedge(0.02, 2)]),
    timeouts=st.sampled_from([None, AttemptTimeouts(first_byte=0.1)]),
    deadline=st.sampled_from([None, 0.2]),
    statuses=st.sampled_from([(), (500, 503)]),
)
healths = st.sampled_from(
    [
        None,
        HealthRules(checks=CheckRules(interval=0.5, timeout=0.3)),
        HealthRules(breaker=BreakerRules(minimum=3, open_for=0.5)),
        HealthRules(outliers=OutlierRules(consecutive=2, interval=0.2, base_ejection=0.3, max_ejected=0.7)),
        HealthRules(max_fails=MaxFailsRules(2, 0.4)),
    ]
)
patiences = st.builds(Patience, timeout=st.sampled_from([0.05, 0.3]), retries=st.integers(0, 2))


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    fleet = [
        Server(
            name,
            workers=draw(st.integers(1, 2)),
            service=draw(st.sampled_from([Constant(0.05), Exponential(0.05)])),
            delay=draw(st.sampled_from([0.0, 0.01, 0.15])),
            delay_jitter=draw(st.sampled_from([0.0, 0.01])),
            queue=draw(st.sampled_from([None, 0, 2])),
            error_rate=draw(st.sampled_from([0.0, 0.2])),
            discipline=draw(st.sampled_from(DISCIPLINES)),
            cancels=draw(st.booleans()),
        )
        for name in NAMES
    ]
    happens = st.builds(
        lambda at, action, server: Event(at, action, server, VALUES.get(action)),
        st.floats(0, 2),
        st.sampled_from(ACTIONS),
        st.sampled_from(NAMES),
    )
    events = possible(draw(st.lists(happens, max_size=6)))
    seed = draw(st.integers(0, 99))
    if draw(st.integers(0, 5)) == 0:
        how = draw(st.sampled_from(["shared", "client", "request"]))
        policy = Policy(draw(st.sampled_from(["round_robin", "least_connections"])))
        return Experiment(fleet, Traffic(Poisson(50), 2), policy, events, seed, layer4=Layer4(how))
    policy = Policy(
        draw(
            st.sampled_from(["round_robin", "least_connections", "power_of_two", "join_idle_queue", "maglev"])
        ),
        retries=draw(st.integers(0, 2)),
        balancers=draw(st.sampled_from([1, 3])),
        retry=draw(st.none() | rules),
        health=draw(healths),
        drain=draw(st.sampled_from([None, DrainRules(0.1)])),
        sticky=draw(st.sampled_from([None, Sticky()])),
    )
    limit = RateLimit({"kind": "token_bucket", "rate": 1, "burst": 3}, key="client")
    admission = Admission(limit={"kind": "aimd", "initial": 4}, timeout=0.2)
    return Experiment(
        fleet,
        Traffic(
            draw(st.sampled_from([Poisson(50), Closed(10, 0.1)])),
            2,
            paths=20,
            clients=8,
            patience=draw(st.none() | patiences),
        ),
        policy,
        events,
        seed,
        limits=draw(st.sampled_from([(), (limit,)])),
        admission=draw(st.sampled_from([None, admission])),
        cache=None if policy.sticky else draw(st.sampled_from([None, Caching("max-age=1")])),
    )


def known(time: float, otherwise: float = inf) -> float:
    return otherwise if isnan(time) else time


def of_request(result: Result) -> dict[int, list[Attempt]]:
    found = defaultdict(list)
    for attempt in result.extra["attempts"]:
        found[attempt.request].append(attempt)
    return found


def same(a: Any, b: Any) -> bool:
    return all(a.columns[name].tobytes() == b.columns[name].tobytes() for name in (*a.columns, *b.columns))


@settings(max_examples=15)
@given(experiments(), st.sampled_from([None, 0.0, 0.5]))
def test_recorded_attempts_are_what_happened(experiment: Experiment, grace: float | None) -> None:
    result = run(experiment, grace=grace, record=True)
    plain = run(experiment, grace=grace)
    assert same(plain, result)  # recording changes nothing
    assert repr(plain.extra) == repr({k: v for k, v in result.extra.items() if k not in RECORDED})
    times_are_in_order(result)
    requests_have_their_attempts(result)
    workers_serve_one_request_at_a_time(result)
    a_request_has_one_answer(result)
    attempts_are_counted(result)
    decisions_are_those_made(result)
    tallies_are_in_order_and_news(result)
    a_connection_of_each_request_leads_to_its_server(result)


def times_are_in_order(result: Result) -> None:
    made = result.extra["attempts"]
    assert all(a.at <= b.at for a, b in pairwise(made))
    # The cache goes on with a request that others wait for, after its client has left.
    goes_on = result.experiment.cache and result.experiment.traffic.patience
    for attempt in made:
        assert attempt.at <= known(attempt.start) <= known(attempt.end) or isnan(attempt.start)
        assert attempt.at <= known(attempt.end)
        assert attempt.outcome != "ok" or not isnan(attempt.start + attempt.end)
        if attempt.kind != "refresh" and not goes_on:  # that is the cache's own
            assert result.arrival[attempt.request] <= attempt.at <= result.end[attempt.request]


def requests_have_their_attempts(result: Result) -> None:
    made = of_request(result)
    for some in made.values():
        kinds = [attempt.kind for attempt in some if attempt.kind != "refresh"]
        assert not kinds or (kinds[0] == "first" and kinds.count("first") == 1)
    rows = zip(result.backend, result.status, result.start, result.end, strict=True)
    for row, (server, status, start, end) in enumerate(rows):
        if server >= 0:
            there = [attempt for attempt in made[row] if attempt.server == server]
            assert ("ok" if status == 200 else "failed") in [attempt.outcome for attempt in there]
        if status == 200 and server >= 0:
            assert start in [attempt.start for attempt in there if attempt.end <= end]


def workers_serve_one_request_at_a_time(result: Result) -> None:
    for number, server in enumerate(result.experiment.servers):
        if server.discipline != FIFO:
            continue
        served = [a for a in result.extra["attempts"] if a.server == number and not isnan(a.start)]
        changes = sorted([(known(a.end), -1) for a in served] + [(a.start, 1) for a in served])
        level = 0
        for _, change in changes:  # at the same moment, ends come first
            level += change
            assert level <= server.workers


def a_request_has_one_answer(result: Result) -> None:
    """An answer that comes after its client has left, or after another one, is none."""
    answered = Counter(
        attempt.request
        for attempt in result.extra["attempts"]
        if attempt.outcome == "ok" and attempt.kind != "refresh"
    )
    if not result.experiment.cache:
        assert set(answered.values()) <= {1}
        # 0: it was on its way back when the run ended.
        assert {result.status[row] for row in answered} <= {200, 0}


def attempts_are_counted(result: Result) -> None:
    experiment, made = result.experiment, result.extra["attempts"]
    if experiment.policy.retry and not experiment.cache:
        assert sum(attempt.kind == "hedge" for attempt in made) == result.attempt_counts["hedges"]
    joins = any(event.action is Action.ADD for event in experiment.events)
    if experiment.layer4 or experiment.cache or experiment.traffic.patience or joins:
        return
    of_row = of_request(result)
    for row, (count, status) in enumerate(zip(result.attempts, result.status, strict=True)):
        if status:  # once more to the same server is no other attempt
            assert len({attempt.server for attempt in of_row[row]}) == count


def decisions_are_those_made(result: Result) -> None:
    made, decisions = of_request(result), result.extra["decisions"]
    assert all(a.at <= b.at for a, b in pairwise(decisions))
    for decision in decisions:
        assert decision.why.rule
        if decision.server >= 0:
            assert (decision.server, decision.at) in [(a.server, a.at) for a in made[decision.request]]


def tallies_are_in_order_and_news(result: Result) -> None:
    last: dict[int, Any] = {}
    for tally in result.extra.get("tallies", ()):
        before = last.get(tally.server)
        assert before is None or (before.at <= tally.at and before[1:] != tally[1:])
        last[tally.server] = tally


def a_connection_of_each_request_leads_to_its_server(result: Result) -> None:
    servers_of = defaultdict(set)  # several, where one has refused it
    for connection in result.extra.get("relayed", ()):
        for row in connection.requests:
            servers_of[row].add(connection.server)
    if "relayed" in result.extra:
        assert all(backend in servers_of[row] for row, backend in enumerate(result.backend) if backend >= 0)


class Drawing(Balancer):
    """Draws a number also in its explanation."""

    def pick(self, backends: Any, key: str, now: float) -> Any:
        return backends[int(self.rng.random() * len(backends))]

    def explain(self, backends: Any, key: str, now: float) -> Any:
        self.rng.random()
        raise ZeroDivisionError("here")


def test_an_explanation_that_draws_or_raises_changes_no_pick() -> None:
    try:
        experiment = Experiment(servers(3), Traffic(duration=3), Drawing).at_load(0.5)
        plain, recorded = run(experiment), run(experiment, record=True)
        assert same(plain, recorded)
        assert "no explanation: " in recorded.extra["decisions"][0].why.rule
    finally:
        forget(Drawing)


def test_a_hedge_that_lost_is_cancelled_and_a_late_attempt_timed_out() -> None:
    fleet = [Server("slow", service=Constant(1.0)), Server("fast", service=Constant(0.1))]
    one = Experiment(
        fleet, Traffic(Poisson(0.2), 20, clients=1), Policy("round_robin", retry=Retry(hedge=Hedge(0.2)))
    )
    result = run(one, record=True)
    kinds = Counter((a.kind, a.outcome) for a in result.extra["attempts"] if a.server == 0)
    assert kinds[("first", "cancelled")] > 0  # the fast one had answered
    assert (
        sum(event.kind is Kind.HEDGE_WON for event in result.attempt_events) == kinds[("first", "cancelled")]
    )
    late = run(one.but(policy=Policy("round_robin", retry=Retry(deadline=0.5))), record=True)
    assert {a.outcome for a in late.extra["attempts"] if a.server == 0} == {"timeout"}
    assert all(a.end - a.at == pytest.approx(1.0) for a in late.extra["attempts"] if a.server == 0)


def test_clients_that_leave_and_try_again_are_recorded() -> None:
    fleet = [Server("s1", service=Constant(0.5))]
    patience = Patience(timeout=0.3, retries=1)
    result = run(Experiment(fleet, Traffic(Poisson(0.3), 20, patience=patience)), record=True)
    assert [attempt.outcome for attempt in result.extra["attempts"]] == ["left"] * (2 * len(result))
    assert Counter(attempt.kind for attempt in result.extra["attempts"]) == {
        "first": len(result),
        "retry": len(result),
    }
    tries = [t for t in result.extra["tries"] if t.request == 0]
    assert [t.ended - t.sent for t in tries] == pytest.approx([0.3, 0.3])
    assert tries[0].sent == result.arrival[0]


def test_an_answer_that_comes_after_its_client_has_left_is_none() -> None:
    """Ready after 0.2 s, it would be there after 0.3 s."""
    far = Server("far", workers=50, service=Constant(0.1), delay=0.1)
    traffic = Traffic(Poisson(10), 3, patience=Patience(timeout=0.25, retries=0))
    result = run(Experiment([far], traffic), record=True)
    assert {attempt.outcome for attempt in result.extra["attempts"]} == {"left"}


def test_what_a_hung_server_serves_for_nobody_is_no_other_attempt() -> None:
    hung = Server("hung", workers=50, service=Constant(0.1))
    events = [Event(0.0, "hang", "hung"), Event(2.0, "recover", "hung")]
    traffic = Traffic(Poisson(10), 1, patience=Patience(timeout=0.2, retries=0))
    result = run(Experiment([hung], traffic, events=events), record=True)
    attempts = result.extra["attempts"]
    assert len(attempts) == len(result)
    assert {(attempt.kind, attempt.outcome, attempt.start) for attempt in attempts} == {
        ("first", "left", 2.0)
    }


def test_a_request_that_a_crash_has_lost_shows_how_long_it_was_served() -> None:
    fleet = [Server("s1", service=Constant(2.0)), Server("s2", service=Constant(0.1))]
    events = [Event(1.0, "crash", "s1")]
    result = run(Experiment(fleet, Traffic(Poisson(2), 3), "round_robin", events, seed=1), record=True)
    lost = [a for a in result.extra["attempts"] if a.server == 0 and a.at < 1]
    assert lost
    assert all(attempt.outcome == "failed" and attempt.end == 1.0 for attempt in lost)
    assert lost[0].start < 1.0
    assert all(good(status) for status in result.status)  # the other one has answered


def test_a_part_of_the_rows_has_no_recording() -> None:
    result = run(Experiment(servers(2), Traffic(duration=2)), record=True)
    assert "attempts" in result.extra
    assert not set(result.where(backend="s1").extra) & set(RECORDED)


def test_the_members_of_the_balancer_and_the_keys_of_requests_are_recorded() -> None:
    events = [Event(0.5, "remove", "s2"), Event(1.0, "add", "s2"), Event(1.5, "set_weight", "s1", 2.0)]
    experiment = Experiment(servers(3), policy="consistent_hash", events=events).but(duration=2.0)
    result = run(experiment, record=True)
    told = [(one.at, one.members) for one in result.extra["memberships"]]
    assert told == [
        (0.0, ((0, 1.0), (1, 1.0), (2, 1.0))),
        (0.5, ((0, 1.0), (2, 1.0))),
        (1.0, ((0, 1.0), (2, 1.0), (1, 1.0))),
        (1.5, ((0, 2.0), (2, 1.0), (1, 1.0))),
    ]
    assert result.extra["keys"] == {row: f"/item/{path}" for row, path in enumerate(result.path)}
    assert run(experiment.but(policy="random"), record=True).extra["keys"] == {}


def test_what_a_cache_finds_and_keeps_is_recorded_and_changes_nothing() -> None:
    rules = CacheRules(max_bytes=20_000, stale_while_revalidate=0.5)
    caching = Caching("max-age=1", rules=rules)
    experiment = Experiment(servers(2), cache=caching).but(paths=8, duration=3.0).at_load(0.5)
    result, plain = run(experiment, record=True), run(experiment)
    assert [str(result.columns[name]) for name in result.columns] == [
        str(plain.columns[name]) for name in plain.columns
    ]
    assert len(result.extra["lookups"]) == len(result)
    assert {look.verdict for look in result.extra["lookups"]} >= {"hit", "miss"}
    kept = result.extra["kept"]
    assert len(kept) <= result.extra["fetched"]
    assert {one.why for one in kept} == {"", "evicted"}
    assert all(one.at < one.fresh < one.usable for one in kept)
