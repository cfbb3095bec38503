from __future__ import annotations

import plotly.graph_objects as go
import pytest

from lbkit.viz import figures


def test_detection_against_rate_has_means_with_ranges_and_lines_of_theory() -> None:
    measured = {"fall=3": [(0.5, 5.2), (0.5, 4.8), (5, 0.5)], "fall=1": [(0.5, 1.0), (5, 0.1)]}
    theory = {"fall=3": [(0.5, 5.0), (5, 0.5)], "fall=1": [(0.5, 1.0), (5, 0.1)]}
    drawn = figures.detection_curve(measured, theory, work=0.002)
    go.Figure(drawn.to_dict())  # plotly's own validation
    assert [(t.name, t.mode) for t in drawn.data] == [
        ("fall=3, theory", "lines"),
        ("fall=3", "markers"),
        ("fall=1, theory", "lines"),
        ("fall=1", "markers"),
    ]
    means = drawn.data[1]
    assert (list(means.x), list(means.y)) == ([0.5, 5], [5, 0.5])
    assert list(means.error_y.array) == list(means.error_y.arrayminus) == pytest.approx([0.2, 0])
    assert drawn.layout.xaxis.type == drawn.layout.yaxis.type == "log"
    assert list(drawn.layout.xaxis.tickvals) == [0.5, 1, 2, 5]
    assert drawn.layout.xaxis.ticktext[0] == "0.5<br>0.1 %"  # of its capacity
    assert drawn.layout.title.text.replace("\u00a0", " ").replace("<br>", " ") == (
        "Detection takes 5 s at 0.5/s and 500 ms at 5/s (fall=3)"
    )
    assert figures.detection_curve(measured, theory).layout.xaxis.ticktext is None


def test_detection_times_are_steps_beside_the_uniform_line() -> None:
    times = {"kill -9": [2.1, 2.9, 2.5], "SIGSTOP": [3.0, 3.4]}
    drawn = figures.detection_times(times, {"kill -9": (2, 3)})
    go.Figure(drawn.to_dict())
    assert [t.name for t in drawn.data] == ["kill -9", "kill -9, theory", "SIGSTOP"]
    assert list(drawn.data[0].x) == [0, 2.1, 2.5, 2.9]
    assert list(drawn.data[0].y) == [0, 1 / 3, 2 / 3, 1]
    assert list(drawn.data[1].x) == [2, 3]
    assert "2.9 s (kill -9) and 3.4 s (SIGSTOP)" in drawn.layout.title.text.replace("\u00a0", " ").replace(
        "<br>", " "
    )
    assert figures.detection_times({}, {}).layout.annotations[0].text == "no good answers"
