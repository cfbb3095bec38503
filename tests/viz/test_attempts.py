from __future__ import annotations

import pytest

from lbkit import Constant, Event, Experiment, Hedge, Policy, Result, Retry, run, servers
from lbkit.core.attempts import Kind
from lbkit.sim.runs import simulation
from lbkit.viz import figures


def slowed(keep: int = 10_000) -> Result:
    """One of three servers is fifty times slower for ten seconds, and requests to it are hedged."""
    policy = Policy("round_robin", retry=Retry(hedge=Hedge(0.1)))
    events = [Event(10, "slow", "s2", 0.02), Event(20, "recover", "s2")]
    fleet = servers(3, service=Constant(0.01), workers=50)
    running = simulation(Experiment(fleet, policy=policy, events=events).at_load(0.01).but(duration=30))
    running.attempt_policy.keep = keep
    return running.run()


def test_a_line_for_each_kind_shows_when_it_happened() -> None:
    result = slowed()
    figure = figures.attempts(result, step=1)
    assert [trace.name for trace in figure.data] == [Kind.HEDGE, Kind.HEDGE_WON]
    for trace, count in zip(figure.data, ("hedges", "hedges_won"), strict=True):
        assert sum(trace.y) == pytest.approx(result.attempt_counts[count])  # in steps of a second
        assert {x for x, y in zip(trace.x, trace.y, strict=True) if y} <= {10.5 + i for i in range(11)}
    hedges = result.attempt_counts["hedges"]
    assert figure.layout.title.text.replace("<br>", " ").startswith(f"{hedges} × hedge, ")
    assert [note.text for note in figure.layout.annotations] == ["0.02 × speed of s2", "recover s2"]


def test_the_title_says_where_the_events_of_a_long_run_end() -> None:
    result = slowed(keep=20)
    figure = figures.attempts(result)
    assert figure.data[0].y[-1] is None  # and not 0
    title = figure.layout.title.text.replace("\u00a0", " ")
    assert title.endswith(f"drawn up to {result.attempt_events[-1].at:.3g} s")


def test_a_run_without_failed_attempts_has_a_note_in_its_figure() -> None:
    figure = figures.attempts(run(Experiment(servers(2)).at_load(0.3).but(duration=5)))
    assert figure.layout.title.text == "No retries and no hedges (round robin)"
    assert set(figure.data[0].y) == {0}
