"""Experiments with a cache in virtual time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbkit import (
    Admission,
    AttemptTimeouts,
    CacheRules,
    Caching,
    Closed,
    Constant,
    Event,
    Experiment,
    FlightRules,
    Hedge,
    Patience,
    Poisson,
    Policy,
    RequestKind,
    Result,
    Retry,
    Trace,
    Traffic,
    run,
    servers,
)
from lbkit.caching import Served
from lbkit.sim import theory
from lbkit.sim.caching import play_cache
from lbkit.sim.runs import simulation

ONE, FOUR = ({"kind": "concurrency_limit", "limit": limit} for limit in (1, 4))
BASE = Experiment(
    servers(3, workers=4, service=Constant(0.02)),
    Traffic(Poisson(100), duration=60, paths=300, path_skew=0.9),
    cache=Caching("max-age=30"),
    seed=5,
)


def trace(*times: float, **fields: object) -> Experiment:
    """Requests for one path, to a server that takes 0.1 s."""
    traffic = Traffic(Trace(times), duration=100, paths=1)
    return Experiment(servers(1, workers=100, service=Constant(0.1)), traffic).but(**fields)


def how(result: Result) -> list[str]:
    return [Served(value).name.lower() for value in result.cache]


def test_hits_take_no_time_and_reach_no_server() -> None:
    result = run(trace(1, 2, 3, cache=Caching("max-age=60")))
    assert how(result) == ["miss", "hit", "hit"]
    assert list(result.latency) == pytest.approx([0.1, 0, 0])
    assert list(result.backend) == [0, -1, -1]
    assert list(result.attempts) == [1, 0, 0]
    assert result.error_rate == 0
    assert result.fetched == 1
    assert result.hit_rate == pytest.approx(2 / 3)
    assert sum(result.utilisation.values()) == pytest.approx(0.1 / 100 / 100)


def test_a_cache_takes_load_and_waiting_off_the_servers() -> None:
    for seed in range(1, 6):
        busy = BASE.but(seed=seed, duration=12).at_load(0.9)
        with_cache, without = run(busy), run(busy.but(cache=None))
        assert with_cache.hit_rate > 0.6
        assert with_cache.mean < without.mean / 3
        assert with_cache.fetched == sum(with_cache.counts.values()) < 0.4 * len(without)
        assert max(with_cache.utilisation.values()) < 0.5 * max(without.utilisation.values())


def test_the_hit_rate_is_that_of_the_closed_form() -> None:
    """Each path on its own: a hit within `max-age` of the last fetch (ttl_hit_rate)."""
    experiment = BASE.but(duration=600, warmup=60, cache=Caching("max-age=30", coalesce=False))
    rates = [(k + 1) ** -0.9 for k in range(300)]
    expected = theory.ttl_hit_rate([100 * rate / sum(rates) for rate in rates], 30)
    assert run(experiment).hit_rate == pytest.approx(expected, abs=0.015)


def test_the_simulation_and_the_cache_by_itself_agree() -> None:
    experiment = BASE.but(cache=Caching("max-age=10", rules=CacheRules(max_bytes=200_000)))
    result = run(experiment)
    arrivals = zip(result.arrival, result.path, strict=True)
    alone = play_cache(
        arrivals,
        rules=experiment.cache.rules,  # type: ignore[union-attr]
        flights=FlightRules(),
        fetch=0.02,
        control="max-age=10",
        size=lambda key: 1000,  # about what the fields of an answer take here
    )
    assert result.hit_rate == pytest.approx(alone.hit_rate, abs=0.03)


# -- coalescing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("coalesce", "fetched"), [(True, 1), (False, 50)])
def test_a_stampede_is_one_request_with_coalescing(coalesce: bool, fetched: int) -> None:
    times = [1 + i / 1000 for i in range(50)]  # while the first takes 0.1 s
    result = run(trace(*times, cache=Caching("max-age=60", coalesce=coalesce)))
    assert result.fetched == fetched
    assert Counter(how(result)) == ({"miss": 1, "collapsed": 49} if coalesce else {"miss": 50})
    assert set(result.status) == {200}
    assert max(result.end) == pytest.approx(1.1 if coalesce else 1.149)


def test_a_stampede_may_bring_servers_down_that_coalescing_keeps_up() -> None:
    """Every 10 s the popular path expires: without coalescing, all its requests go to the servers."""
    for seed in range(1, 6):
        traffic = Traffic(Poisson(200), duration=25, paths=1)
        busy = Experiment(servers(1, workers=2, service=Constant(0.3)), traffic, seed=seed)
        one, many = (run(busy.but(cache=Caching("max-age=10", coalesce=c))) for c in (True, False))
        assert one.fetched <= 3
        assert many.fetched > 50 * one.fetched
        assert one.percentile(99) < 0.4 < 2 < many.percentile(99)


def test_followers_wait_no_longer_than_their_patience() -> None:
    cache = Caching("max-age=60", flights=FlightRules(patience=0.03))
    result = run(trace(1, 1.01, cache=cache))
    assert how(result) == ["miss", "miss"]
    assert list(result.end) == pytest.approx([1.1, 1.14])


def test_after_a_failure_the_next_one_asks() -> None:
    events = [Event(1.05, "crash", "s1"), Event(1.05, "recover", "s1")]
    result = run(trace(1, 1.01, 1.02, cache=Caching("max-age=60"), policy=Policy(retries=0), events=events))
    assert sorted(result.status) == [200, 200, 200] or list(result.status) == [502, 200, 200]
    assert Counter(how(result))["collapsed"] >= 1


# -- stale answers ----------------------------------------------------------------------------------------


def test_a_stale_answer_is_fetched_again() -> None:
    assert how(run(trace(1, 5, 12, 13, cache=Caching("max-age=10")))) == ["miss", "hit", "miss", "hit"]


def test_stale_while_revalidate_hides_the_fetch() -> None:
    result = run(trace(1, 12, 12.05, 13, cache=Caching("max-age=10, stale-while-revalidate=60")))
    assert how(result) == ["miss", "stale", "stale", "hit"]
    assert max(result.latency[1:]) == 0
    assert result.fetched == 2
    assert len(result) == 4


def test_stale_if_error_hides_a_crash() -> None:
    events = [Event(5, "crash", "s1")]
    cached = trace(1, 12, 100 - 1, events=events, cache=Caching("max-age=10, stale-if-error=60"))
    result = run(cached)
    assert how(result)[:2] == ["miss", "stale"]
    assert list(result.status) == [200, 200, 502]
    assert result.backend[1] == -1


# -- with other parts -----------------------------------------------------------------------------------


def test_hits_are_not_admitted() -> None:
    times = [1, 2, 2, 2, 2]
    result = run(trace(*times, cache=Caching("max-age=60"), admission=Admission(limit=ONE, max_queue=0)))
    assert set(result.status) == {200}


def test_a_client_that_leaves_does_not_end_the_flight_of_others() -> None:
    """The first one leaves before the answer comes, the second waits long enough."""
    patient = trace(1, 1.06, 3, cache=Caching("max-age=60"), patience=Patience(0.08))
    result = run(patient)
    assert list(result.status) == [0, 200, 200]
    assert list(result.end) == pytest.approx([1.08, 1.1, 3])
    assert how(result)[1:] == ["collapsed", "hit"]
    assert result.fetched == 1


def test_a_client_that_leaves_alone_ends_its_request() -> None:
    result = run(trace(1, 3, cache=Caching("max-age=60"), patience=Patience(0.08)))
    assert list(result.status) == [0, 0]
    assert result.fetched == 2


POLICIES = {
    "plain": Policy(),
    "retrying": Policy(retry=Retry(timeouts=AttemptTimeouts(total=0.05), hedge=Hedge(0.03))),
}
CACHES = {
    "fresh": Caching("max-age=2"),
    "stale": Caching("max-age=1, stale-while-revalidate=2, stale-if-error=5"),
    "alone": Caching("max-age=2", coalesce=False),
    "small": Caching("max-age=60", rules=CacheRules(max_bytes=20_000)),
}


# The attempt for a client that has left fails at the crash.
@example("retrying", "small", Patience(0.03, retries=2), True, True, 1)
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(POLICIES)),
    st.sampled_from(sorted(CACHES)),
    st.sampled_from([None, Patience(0.04), Patience(0.03, retries=2)]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 1000),
)
def test_every_request_ends_and_no_lease_is_left(
    policy: str, cache: str, patience: Patience | None, closed: bool, gate: bool, seed: int
) -> None:
    events = [Event(2, "crash", "s1"), Event(2.5, "recover", "s1"), Event(3, "slow", "s2", 0.3)]
    experiment = Experiment(
        servers(2, workers=3),
        Traffic(Closed(12, think=0.05) if closed else Poisson(120), duration=5, paths=20, patience=patience),
        POLICIES[policy],
        events=events,
        cache=CACHES[cache],
        admission=Admission(limit=FOUR, max_queue=3, timeout=0.1) if gate else None,
        seed=seed,
    )
    made = simulation(experiment)
    result = made.run()
    assert all(end == end and end >= arrival for arrival, end in zip(result.arrival, result.end, strict=True))
    assert all(backend.in_flight == 0 for backend in made.pool.all_backends())
    assert not made.visits  # type: ignore[attr-defined]
    assert not made.orphans  # type: ignore[attr-defined]
    assert len(made.flights) == 0  # type: ignore[attr-defined]
    if not closed:
        assert len(result) == len(run(experiment.but(cache=None)))
        assert all(a <= b for a, b in pairwise(result.arrival))
    for row, status in enumerate(result.cache):
        if status in (Served.HIT, Served.STALE, Served.COLLAPSED):
            assert result.backend[row] == -1
            assert result.status[row] in (0, 200)


def test_the_same_experiment_gives_the_same_result() -> None:
    assert repr(run(BASE).to_dict()) == repr(run(BASE).to_dict())


def test_exports_have_the_word_and_rows_can_be_chosen_by_it() -> None:
    result = run(trace(1, 2, cache=Caching("max-age=60")))
    assert result.to_dict()["cache"] == ["miss", "hit"]
    assert len(result.where(cache=Served.HIT)) == 1
    with pytest.raises(ValueError, match="the experiment has no cache"):
        _ = run(trace(1)).hit_rate


def test_a_change_makes_what_is_stored_doubtful() -> None:
    """Of two kinds of requests, posts go to a server and drop what is stored."""
    mix = (RequestKind("page", share=0.9), RequestKind("change", share=0.1, method="POST"))
    traffic = Traffic(Poisson(50), duration=20, paths=1, mix=mix)
    experiment = Experiment(servers(1, workers=50, service=Constant(0.001)), traffic)
    result = run(experiment.but(cache=Caching("max-age=60")))
    counts = result.cache_counts
    assert counts["passed"] > 50
    assert counts["miss"] == pytest.approx(counts["passed"] * 0.9, rel=0.2)  # a page follows most of them
    assert result.counts["s1"] == counts["passed"] + counts["miss"]
