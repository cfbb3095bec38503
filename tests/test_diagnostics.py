from __future__ import annotations

import random

from lbkit import Admission, Event, Experiment, Poisson, Profile, Traffic, run, servers
from lbkit.diagnostics import warnings

CALM = Experiment(servers(4), Traffic(duration=120, warmup=20), policy="random").at_load(0.6)


def test_a_calm_long_run_has_no_warnings() -> None:
    result = run(CALM)
    assert result.warnings == ()
    assert "warning" not in repr(result)
    assert "<p" not in result._repr_html_()
    assert result.settled


def test_a_load_of_one_and_more() -> None:
    (warning,) = run(CALM.at_load(1.2)).warnings
    assert warning.startswith("load is 1.2: more work arrives than the servers can do")
    assert warning in repr(run(CALM.at_load(1.2)))
    assert warning in run(CALM.at_load(1.2))._repr_html_()
    assert not run(CALM.at_load(1.2)).settled


def test_what_bounds_the_queues_makes_a_high_load_no_warning() -> None:
    short = CALM.but(servers=servers(4, queue=5), admission=None).at_load(1.2)
    guarded = CALM.but(admission=Admission(rate=200, max_queue=10)).at_load(1.2)
    for experiment in (short, guarded):
        assert not [w for w in run(experiment).warnings if "load is" in w]


def test_percentiles_of_few_answers() -> None:
    (warning,) = run(CALM.but(duration=30, warmup=5, seed=3)).warnings
    assert warning.startswith("p99.9 rests on fewer than 10 slower answers: ")
    assert warning.endswith("p99.9 needs 10,000")
    warning = run(CALM.but(duration=0.1, warmup=0)).warnings[0]
    assert warning.startswith("p50, p90, p95, p99 and p99.9 rest on")


def test_no_answer_at_all() -> None:
    dead = CALM.but(events=[Event(0, "crash", s.name) for s in CALM.servers], duration=30)
    assert run(dead).warnings == ("no good answers: there is no latency and no fairness to judge",)


def test_an_overloaded_server_is_reported() -> None:
    """The load of all is 0.8, that of the slow server under round robin 1.6."""
    unequal = Experiment(servers(2, speed=[3, 1]), Traffic(duration=120), policy="round_robin").at_load(0.8)
    assert any("has not settled (MSER)" in warning for warning in run(unequal).warnings)
    assert run(unequal.but(policy="least_connections")).warnings == ()


def test_a_warmup_that_is_too_short() -> None:
    """The first third of the answers come from empty queues."""
    rng = random.Random(1)
    latencies = [(0.1 if i < 5000 else 1.0) * (1 + rng.random()) for i in range(15_000)]
    (warning,) = warnings(CALM, latencies)
    # A third of the 100 s that follow the warm-up of 20 s, in whole batches.
    assert warning == "latency settles only after about 54 s (MSER): use a warmup of that, instead of 20 s"


def test_changes_on_purpose_are_no_transient() -> None:
    ramp = CALM.but(arrivals=Profile([(0, 50), (120, 150)]))
    assert run(ramp).warnings == ()
    slow = CALM.but(events=[Event(60, "slow", "s1", 0.3)])
    assert run(slow).warnings == ()


def test_steady_runs_rarely_look_unsettled() -> None:
    """MSER alone doubts a fifth of such runs (195 of 1000): it takes an early burst for a transient."""
    steady = Experiment(servers(1), Traffic(Poisson(25), duration=60, warmup=5))
    doubted = sum(not run(steady.but(seed=seed)).settled for seed in range(100))
    assert doubted <= 10
    unsteady = Experiment(servers(4), Traffic(duration=30)).at_load(0.99)
    assert sum(not run(unsteady.but(seed=seed)).settled for seed in range(20)) >= 10
