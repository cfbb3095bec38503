from __future__ import annotations

from lbkit import Event, Experiment, Traffic, compare, servers
from lbkit.report import LEGEND, own_figures, report
from lbkit.table import TABLE


def test_the_legend_explains_columns_that_there_are() -> None:
    assert set(LEGEND) <= set(TABLE)


def test_a_report_needs_no_figures() -> None:
    results = compare(Experiment(servers(2), Traffic(duration=2)), ["random", "round_robin"])
    page = report(results, "Two <servers>", figures=[])
    assert "<h1>Two &lt;servers&gt;</h1>" in page
    assert "-p random -p round_robin" in page
    assert "<script" not in page


def test_attempts_are_drawn_where_some_were_made_again() -> None:
    calm = Experiment(servers(2), Traffic(duration=5)).at_load(0.5)
    crashed = calm.but(events=[Event(1, "crash", "s1"), Event(2, "recover", "s1")])
    before, after = (own_figures(compare(e, ["random", "round_robin"])) for e in (calm, crashed))
    assert len(after) == len(before) + 2  # one for each result
    assert "retry for" in after[-1].layout.title.text.replace("\u00a0", " ")
