from __future__ import annotations

from lbkit import Experiment, Traffic, run, servers
from lbkit.table import cautions, html, table

SHORT = Experiment(servers(2), Traffic(duration=2))


def test_a_warning_that_all_share_stands_once() -> None:
    both = [run(SHORT.but(policy=p).at_load(0.5)) for p in ("random", "round_robin")]
    (shared,) = [text for text in cautions(both) if "slower answers" in text]
    assert shared not in cautions(both, but={shared})
    assert shared.startswith("p90, p95, p99 and p99.9 rest on fewer")
    assert table(both).count(shared) == 1


def test_a_warning_names_the_policies_it_is_about() -> None:
    results = [run(SHORT.but(policy="random").at_load(load)) for load in (0.5, 1.5)]
    results.append(run(SHORT.at_load(1.5)))
    assert [text for text in cautions(results) if text.startswith("random, round_robin: load is 1.5")]


def test_cells_are_escaped() -> None:
    text = html(["<a>"], [["<b>"]], notes=["<c>"])
    assert "&lt;a&gt;" in text
    assert "&lt;b&gt;" in text
    assert "&lt;c&gt;" in text
