"""The figure of a server that joins: its share of the requests over time."""

from __future__ import annotations

import pytest
from needs import need_feature

need_feature("figures")

from lbkit import Event, Experiment, Policy, Sessions, Sticky, Traffic, run, servers
from lbkit.viz import figures
from lbkit.viz.newcomer import joined, share

TRAFFIC = Traffic(Sessions(rate=2, requests=20, think=1.0), duration=60)
BASE = Experiment(servers(3), TRAFFIC, events=[Event(40, "add", "s3")])


def test_shares_over_time_and_in_the_first_ten_seconds() -> None:
    free = run(BASE.but(policy=Policy("round_robin"), name="free"))
    stuck = run(BASE.but(policy=Policy("round_robin", sticky=Sticky()), name="sticky"))
    assert joined(free, "s3") == 40
    assert joined(free, "s1") == 0
    assert share(free, "s3", 40, 50) == pytest.approx(1 / 3, abs=0.02)
    assert share(stuck, "s3", 40, 50) < 0.25
    figure = figures.newcomer([free, stuck], "s3", step=5)
    assert [trace.name for trace in figure.data] == ["round robin, free", "round robin, sticky"]
    assert all(len(trace.y) == 12 for trace in figure.data)
    assert all(value == 0 for trace in figure.data for value in trace.y[:8])
    title = figure.layout.title.text.replace("<br>", " ").replace("\N{NO-BREAK SPACE}", " ")
    assert title.startswith("In its first 10 s s3 answers 33% (round robin, free), ")


def test_without_results_there_is_an_empty_figure() -> None:
    assert figures.newcomer([], "s3").layout.title.text == ""


def test_a_server_that_answers_nothing_has_no_share() -> None:
    result = run(BASE.but(policy="round_robin"))
    assert share(result, "s3", 0, 30) == 0
    assert share(result, "s3", 99, 100) == 0
