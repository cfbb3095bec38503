from __future__ import annotations

from lbkit import Experiment, Traffic, compare, servers
from lbkit.report import LEGEND, report
from lbkit.table import TABLE


def test_the_legend_explains_columns_that_there_are() -> None:
    assert set(LEGEND) <= set(TABLE)


def test_a_report_needs_no_figures() -> None:
    results = compare(Experiment(servers(2), Traffic(duration=2)), ["random", "round_robin"])
    page = report(results, "Two <servers>", figures=[])
    assert "<h1>Two &lt;servers&gt;</h1>" in page
    assert "-p random -p round_robin" in page
    assert "<script" not in page
