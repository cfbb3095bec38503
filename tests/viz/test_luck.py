from __future__ import annotations

from math import nan

import plotly.graph_objects as go
import pytest

from lbkit.replicate import Comparison, Replication
from lbkit.viz.luck import luck
from lbkit.viz.style import policy_look


def seeds(**p99: list[float]) -> Comparison:
    return Comparison(
        Replication(name, {seed: {"p99": v, "error_rate": 0.0} for seed, v in enumerate(values)})
        for name, values in p99.items()
    )


def title_of(figure: go.Figure) -> str:
    return str(figure.layout.title.text).replace("<br>", " ").replace("\u00a0", " ")


def test_a_difference_in_every_seed_is_not_luck() -> None:
    figure = luck(seeds(random=[2.0, 2.1, 2.2, 1.9], least_connections=[1.0, 1.1, 1.2, 0.9]))
    assert title_of(figure) == "Not luck: least connections has the lowest p99 in 4 of 4 seeds"
    assert go.Figure(figure.to_dict())  # plotly finds nothing wrong with it
    assert {trace.marker.color for trace in figure.data} == {
        policy_look("random").colour,
        policy_look("least_connections").colour,
    }


def test_a_difference_that_changes_its_sign_may_be_luck() -> None:
    figure = luck(seeds(random=[2.0, 1.0, 2.0, 1.0], least_connections=[1.0, 2.0, 1.0, 2.1]))
    assert title_of(figure).startswith("It may be luck: 4 seeds cannot tell ")


def test_a_wide_interval_stays_on_the_logarithmic_axis() -> None:
    figure = luck(seeds(random=[0.001, 0.001, 9.0], least_connections=[1.0, 1.1, 1.2]))
    assert min(figure.data[1].x) > 0


def test_seeds_without_an_answer_are_left_out() -> None:
    figure = luck(seeds(random=[1.0, nan, 1.2], least_connections=[nan, nan, nan]))
    assert list(figure.data[0].x) == [1.0, 1.2]
    assert list(figure.layout.yaxis.ticktext) == ["random"]


def test_where_requests_are_lost_their_share_decides() -> None:
    found = Comparison(
        Replication(name, {s: {"p99": 1.0 - rate, "error_rate": rate + s / 1000} for s in range(4)})
        for name, rate in {"random": 0.1, "least_connections": 0.4}.items()
    )
    figure = luck(found)
    assert title_of(figure) == "Not luck: random has the lowest share of errors in 4 of 4 seeds"
    assert figure.layout.xaxis.tickformat == ".1%"
    assert max(figure.data[0].x) == pytest.approx(0.103)
