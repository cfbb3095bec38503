"""An interrupted run gives what it has, and says so."""

from __future__ import annotations

import pytest

from lbkit import Balancer, Event, Experiment, Traffic, compare, run, servers
from lbkit import run as run_function
from lbkit.interrupted import InOneLine
from lbkit.sim import simulate

EXPERIMENT = Experiment(
    servers(2), Traffic(duration=20, warmup=2), events=[Event(15, "crash", "s1")], seed=4
).at_load(0.5)


class InterruptedAt(Balancer):
    """Raises KeyboardInterrupt, as Ctrl-C does, at a time."""

    at = 8.0

    def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
        if now >= self.at:
            raise KeyboardInterrupt
        return backends[0]


@pytest.fixture(autouse=True)
def no_interrupt_before(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules["lbkit.run"], "_interrupts", [])


def test_an_interrupted_simulation_has_the_requests_that_ended() -> None:
    assert run_function is run
    cut, whole = run(EXPERIMENT.but(policy=InterruptedAt)), run(EXPERIMENT)
    assert cut.interrupted
    assert not whole.interrupted
    assert 0 < len(cut) < len(whole)
    assert all(end <= 8.1 for end in cut.end)
    assert cut.experiment.traffic.duration == pytest.approx(8, abs=0.1)
    assert cut.experiment.events == ()
    # The rate counts the time that there was.
    assert cut.throughput == pytest.approx(EXPERIMENT.capacity * 0.5, rel=0.15)


def test_its_warnings_say_that_it_was_interrupted() -> None:
    cut = run(EXPERIMENT.but(policy=InterruptedAt))
    assert cut.faults[0].startswith("interrupted after 8")
    assert "of 20 s" in cut.faults[0]
    assert cut.warnings[0] == cut.faults[0]
    assert "interrupted after 8" in repr(cut)
    assert "interrupted after 8" in cut._repr_html_()


def test_within_the_warm_up_the_statistics_include_it_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InterruptedAt, "at", 1.0)
    cut = run(EXPERIMENT.but(policy=InterruptedAt))
    assert sum(cut.counted) == len(cut) > 0
    assert cut.faults[0].endswith("the statistics include the warm-up")


def test_a_second_interrupt_is_raised_so_that_a_loop_of_runs_ends() -> None:
    interrupted = EXPERIMENT.but(policy=InterruptedAt)
    assert run(interrupted).interrupted
    with pytest.raises(KeyboardInterrupt, match="interrupted after 8"):
        run(interrupted)
    assert run(interrupted).interrupted  # and the one after that is a first one again


def test_an_interrupt_is_one_line_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while processes start, when nothing has been measured."""

    def starting(_: Experiment) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(run.__globals__, "engine", lambda _: starting)
    with pytest.raises(InOneLine) as caught:
        run(EXPERIMENT)
    assert caught.value._render_traceback_() == [
        "interrupted before anything was measured; nothing is left running"
    ]


def test_a_comparison_ends_with_what_it_has() -> None:
    results = compare(EXPERIMENT, ["round_robin", InterruptedAt, "random"])
    assert [r.policy for r in results] == ["round_robin", "interrupted_at"]
    assert results[-1].interrupted


def test_the_engine_itself_raises_so_that_a_sweep_does_not_take_a_part_for_the_whole() -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate(EXPERIMENT.but(policy=InterruptedAt))


def test_a_comparison_is_a_table_in_a_notebook() -> None:
    results = compare(EXPERIMENT, ["round_robin", "random"])
    assert isinstance(results, list)
    assert results._repr_html_().count("<tr>") == 3
    assert "round_robin" in results._repr_html_()
