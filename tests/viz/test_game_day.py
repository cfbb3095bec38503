"""Figures and the panel of game days."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from lbkit import Constant, Experiment, Traffic, servers
from lbkit.gameday import MEASURES, Design, Incident, System, decision_table, scorecard, ticket_shop
from lbkit.viz import GameDayPanel, figures
from lbkit.viz.game_day import share_let_down

COMPANY = ticket_shop(incidents=[Incident("crash", 0.5, 1), Incident("region", 2, 3)], length=4.0)
ONE, TWO = Design({"europe": 3}), Design({"europe": 2, "america": 2})
CARD = scorecard(COMPANY, {"one": ONE, "two": TWO}, 2)
DAYS = {name: days[0] for name, days in CARD.days.items()}


def test_a_lane_for_each_design_and_a_band_for_each_incident() -> None:
    drawn = figures.game_day(DAYS)
    go.Figure(drawn.to_dict())  # plotly accepts it
    assert [lane.name for lane in drawn.data] == ["one", "two"]
    assert [(band.x0, band.x1) for band in drawn.layout.shapes] == [(0.5, 1), (2, 3)]
    texts = [note.text for note in drawn.layout.annotations]
    assert texts == ["<b>one</b>", "<b>two</b>", "a server crashes", "a region is down"]
    assert drawn.layout.yaxis2.domain[0] == pytest.approx(0, abs=1e-9)
    assert drawn.layout.title.text.startswith("Customers let down: one ")
    assert drawn.layout.xaxis.anchor == "y2"


def test_a_day_without_incidents_is_a_figure_too() -> None:
    calm = scorecard(COMPANY.but(incidents=[]), {"one": ONE}, 1)
    drawn = figures.game_day({"one": calm.days["one"][0]})
    go.Figure(drawn.to_dict())
    assert drawn.layout.shapes == ()
    go.Figure(figures.game_day({}).to_dict())


def test_the_shares_over_time_are_those_of_the_whole_day() -> None:
    day = DAYS["one"]
    times, shares = share_let_down(day, step=4.0)
    lost = [let_down for _, let_down in day.fates]
    assert times == [2.0]
    assert shares == [pytest.approx(sum(lost) / len(lost), abs=1e-4)]
    assert len(share_let_down(day, step=0.3)[0]) == 14


def test_the_scorecard_has_a_column_for_each_measure_and_a_line_for_each_promise() -> None:
    drawn = figures.scorecard(CARD)
    go.Figure(drawn.to_dict())
    assert len(drawn.data) == 3 * len(MEASURES)
    assert len(drawn.layout.shapes) == len(COMPANY.promises)
    assert drawn.layout.yaxis.categoryarray == ("one", "two")
    for measure, marks in zip(MEASURES, zip(*[iter(drawn.data)] * 3, strict=True), strict=True):
        for trace, kept in zip(marks, (True, False, None), strict=True):
            there = [name for name, x in zip(trace.y, trace.x, strict=True) if x is not None]
            assert there == [name for name in CARD if CARD.kept(name, measure) is kept]
    assert sum(bool(trace.showlegend) for trace in drawn.data) == 3


def test_where_it_hurts_has_a_cell_for_each_design_and_incident() -> None:
    (heat,) = figures.where_it_hurts(CARD).data
    assert heat.x == ("a server crashes", "a region is down", "calm")
    assert heat.y == ("one", "two")
    assert heat.z[0][1] == pytest.approx(CARD.let_down("one")["a region is down"].mean, abs=1e-4)


def test_the_decision_table_marks_the_best_of_each_system() -> None:
    even = Experiment(servers(3, service=Constant(0.05)), Traffic(duration=6, warmup=1)).at_load(0.8)
    table = decision_table({"even": System(even)}, ["round_robin", "random"], seeds=3)
    drawn = figures.decision_table(table)
    go.Figure(drawn.to_dict())
    ((best, other),) = drawn.data[0].text
    assert best == "<b>× 1 ✓</b>"
    assert "✓" not in other
    assert drawn.layout.title.text == "1 systems, 1 different winners"


def test_the_panel_plays_what_is_chosen_beside_the_others() -> None:
    panel = GameDayPanel(COMPANY, {"one": ONE}, seeds=1)
    assert list(panel.card) == ["yours", "one"]
    assert panel.design.servers == {"europe": 3, "america": 0}
    assert "30 of 80 € an hour" in panel.bill.value
    before = panel.view.number
    panel.controls["america"].value = 6
    for name in ("checks", "breaker", "retries", "limit", "cache"):
        panel.controls[name].value = True
    panel.controls["across"].value = "nearest"
    assert "over the budget" in panel.bill.value
    assert panel.view.number == before  # only the button plays
    panel.button.click()
    assert panel.view.number == before + 1
    assert panel.card.days["yours"][0].design == panel.design
    assert "Than &#x27;one&#x27;" in panel.summary.value or "Than 'one'" in panel.summary.value
    panel.reset.click()
    assert panel.design == Design({"europe": 3, "america": 0})


def test_the_panel_says_what_is_wrong_with_a_design() -> None:
    panel = GameDayPanel(COMPANY, {"one": ONE}, seeds=1)
    panel.controls["europe"].value = 0
    assert "there are none" in panel.bill.value
    panel.button.click()
    assert "there are none" in panel.summary.value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Curtain",), "company is 'Curtain': use a Company"),
        ((COMPANY, {}), "designs is {}"),
        ((COMPANY, {"one": ONE}, 0), "seeds"),
    ],
)
def test_a_panel_of_something_else_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GameDayPanel(*arguments)
