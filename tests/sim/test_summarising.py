"""A summary answers as the Result with rows does, within its stated error."""

from __future__ import annotations

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import arrivals, services

from lbkit import (
    Closed,
    Event,
    Experiment,
    Exponential,
    Patience,
    Policy,
    RateLimit,
    Sessions,
    Traffic,
    run,
    servers,
)
from lbkit.sim.totals import BUCKETS, ERROR, LEAST, bucket_of, seconds_of
from lbkit.summary import SummaryResult


@given(st.floats(2 * LEAST, 1e7))
def test_a_bucket_is_within_the_error_of_all_its_times(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert 0 < bucket < BUCKETS
    assert abs(seconds_of(bucket) - seconds) <= ERROR * 1.0001 * seconds


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Open loops of some thousand requests at most, with a crash in some, errors, delays and limits."""
    fleet = servers(
        draw(st.integers(1, 4)),
        workers=draw(st.integers(1, 3)),
        service=draw(services),
        queue=draw(st.none() | st.integers(0, 50)),
        error_rate=draw(st.sampled_from([0.0, 0.1])),
        delay=draw(st.sampled_from([0.0, 0.01])),
    )
    events = [Event(2.0, "crash", "s1"), Event(4.0, "recover", "s1")] if draw(st.booleans()) else []
    limits = [RateLimit({"kind": "token_bucket", "rate": 50, "burst": 5})] if draw(st.booleans()) else []
    open_loops = arrivals.filter(lambda one: not isinstance(one, Closed | Sessions))
    traffic = draw(open_loops.filter(lambda one: one.mean_rate(10.0) < 300))
    return Experiment(
        fleet,
        Traffic(traffic, duration=10.0, warmup=draw(st.sampled_from([0.0, 3.0])), clients=20),
        Policy(draw(st.sampled_from(["round_robin", "least_connections", "random"])), retries=1),
        events,
        seed=draw(st.integers(0, 1000)),
        limits=limits,
    )


def same(one: float, other: float, error: float) -> bool:
    return (isnan(one) and isnan(other)) or other == pytest.approx(one, rel=error, abs=2 * LEAST)


@given(experiments())
def test_it_answers_as_the_result_with_rows(experiment: Experiment) -> None:
    rows, summary = run(experiment, keep="all"), run(experiment, keep="summary")
    assert isinstance(summary, SummaryResult)
    assert len(rows) == len(summary)
    assert rows.counts == summary.counts
    exact = rows.summary()
    for name, value in summary.summary().items():
        if isinstance(value, str):
            assert value == exact[name]
        else:
            quantile = name[0] == "p" and name[1:2].isdigit()
            assert same(exact[name], value, 1.001 * ERROR if quantile else 1e-9), name
    for name, share in summary.utilisation.items():
        assert same(rows.utilisation[name], share, 1e-9)
        assert same(rows.percentile(90, name), summary.percentile(90, name), 1.001 * ERROR)
    for one, other in zip(rows.littles_law(), summary.littles_law(), strict=True):
        assert same(one, other, 1e-9)
    assert sum(summary.client_counts.values()) == summary.requests
    assert sum(summary.status_counts.values()) == summary.requests
    assert sum(summary.series["good"]) + sum(summary.series["failed"]) == len(rows)


BASE = Experiment(servers(3, service=Exponential(0.02)), Traffic(duration=5.0)).at_load(0.7)


def test_rows_are_used_again() -> None:
    """There are as many as requests were under way at a time."""
    from lbkit.sim.summarising import SummarisingSimulation

    simulation = SummarisingSimulation(BASE.but(duration=100.0))
    assert len(simulation.run()) > 5_000
    assert len(simulation.requests.arrival) < 200


@pytest.mark.parametrize("column", ["arrival", "status", "latency"])
def test_what_needs_rows_says_so(column: str) -> None:
    summary = run(BASE, keep="summary")
    with pytest.raises(ValueError, match=r'use run\(\.\.\., keep="all"\)'):
        getattr(summary, column)


def test_a_curve_needs_rows() -> None:
    with pytest.raises(ValueError, match='keep="all"'):
        run(BASE, keep="summary").over_time(1.0, max)


def test_what_cannot_be_summarised_says_so() -> None:
    patient = BASE.but(patience=Patience(timeout=1.0))
    with pytest.raises(
        ValueError, match=r'keep="summary" does not go with traffic\.patience: use keep="all"'
    ):
        run(patient, keep="summary")
    with pytest.raises(ValueError, match="keep is 'some'"):
        run(BASE, keep="some")


def test_many_requests_are_summarised_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.sim.runs.MOST_ROWS", 100)
    result = run(BASE)
    assert isinstance(result, SummaryResult)
    assert any('keep="all" keeps their rows' in note for note in result.extra["notes"])
    assert not isinstance(run(BASE, keep="all"), SummaryResult)
