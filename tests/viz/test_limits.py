from __future__ import annotations

import math

import plotly.graph_objects as go
import pytest

from lbkit import Admission, Constant, Experiment, OnOff, Traffic, run, servers
from lbkit.core.limit import FixedWindow, LeakyQueue, TokenBucket, play
from lbkit.viz import LimiterPanel, limits
from lbkit.viz.limiter_panel import PATTERNS, SECONDS
from lbkit.viz.limits import ADMITTED, DENIED, HELD

ARRIVALS = [0.1 * i for i in range(20)]


def traces(figure: go.Figure) -> dict[str, go.Scatter]:
    go.Figure(figure.to_dict())  # plotly's own validation
    return {trace.name: trace for trace in figure.data if trace.name}


def test_marks() -> None:
    played = {
        "token_bucket": play(TokenBucket(2, 3), ARRIVALS),
        "leaky_queue": play(LeakyQueue(2, 3), ARRIVALS),
    }
    drawn = traces(limits.marks(played))
    assert drawn.keys() == {ADMITTED, HELD, DENIED}
    told = [said for answers in played.values() for _, said in answers]
    assert len(drawn[DENIED].x) == sum(not said.allowed for said in told)
    assert set(drawn[HELD].y) == {"leaky queue"}
    late = sorted(now + said.delay for now, said in played["leaky_queue"] if said.delay)
    assert sorted(drawn[HELD].x) == late


def test_what_is_left() -> None:
    drawn = traces(limits.left({"bucket": TokenBucket(2, 3), "window": FixedWindow(3, 1)}, ARRIVALS))
    assert drawn.keys() == {"bucket", "window", "requests"}
    assert max(drawn["bucket"].y) == 3
    assert min(drawn["bucket"].y) == pytest.approx(0, abs=1e-6)
    assert len(drawn["requests"].x) == len(ARRIVALS)


def test_flow() -> None:
    bursts = Experiment(
        servers(1, service=Constant(0.01), queue=3), Traffic(OnOff(peak=200, on=0.2, off=0.5), duration=4)
    )
    bare = run(bursts.but(name="bare"))
    smooth = run(bursts.but(name="smooth", admission=Admission(rate=90, max_queue=999, timeout=99)))
    drawn = traces(limits.flow([bare, smooth], step=0.1))
    assert drawn.keys() == {"sent", "round robin, bare: served", "round robin, smooth: served"}
    assert sum(drawn["sent"].y) * 0.1 == pytest.approx(len(bare))
    assert max(drawn["round robin, smooth: served"].y) <= 110


def test_counts_a_second() -> None:
    assert limits.per_second([0.0, 0.05, 0.15, math.nan], 0.1) == ([0.0, 0.1], [20.0, 10.0])
    assert limits.per_second([], 0.1) == ([0.0], [0.0])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_panel(pattern: str) -> None:
    panel = LimiterPanel(pattern=pattern)
    for kind, answers in panel.played.items():
        times = [now for now, _ in answers]
        assert len(times) == 40
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= SECONDS
        assert any(said.allowed for _, said in answers), kind


def test_its_sliders_redraw_it() -> None:
    panel = LimiterPanel(rate=5, burst=5, pattern="a burst")
    before, number = panel.summary.value, panel.view.number
    panel.controls["burst"].value = 20
    assert panel.view.number == number + 1
    assert panel.summary.value != before
    panel.controls["pattern"].value = "around a boundary"
    fixed, log = (sum(said.allowed for _, said in panel.played[k]) for k in ("fixed_window", "sliding_log"))
    assert (fixed, log) == (10, 5)


def test_the_panels_reset_button_puts_its_controls_back() -> None:
    panel = LimiterPanel(rate=5, burst=5, pattern="a burst")
    before = panel.summary.value
    panel.controls["burst"].value = 12
    panel.controls["pattern"].value = "around a boundary"
    assert panel.summary.value != before
    panel.reset.click()
    assert (panel.controls["burst"].value, panel.controls["pattern"].value) == (5, "a burst")
    assert panel.summary.value == before


def test_titles_say_how_many_are_admitted() -> None:
    equal = {name: play(TokenBucket(2, 3), ARRIVALS) for name in ("one", "other")}
    admitted = sum(decision.allowed for _, decision in equal["one"])
    assert limits.marks(equal).layout.title.text == f"Of 20 requests, every limiter admits {admitted}"
    fewest = limits.left({"bucket": TokenBucket(2, 3)}, ARRIVALS).layout.title.text
    assert fewest == "Fewest requests left: 0 (bucket)"
