"""The figure of a state machine has every state and every transition of its table."""

from __future__ import annotations

from itertools import pairwise

import pytest
from needs import need_module

need_module("plotly")

from lbkit.core import drain
from lbkit.core.health import breaker
from lbkit.viz import figures


@pytest.mark.parametrize("table", [drain.TRANSITIONS, breaker.TRANSITIONS], ids=["drain", "breaker"])
def test_it_has_each_state_once_and_each_transition_with_its_events(table) -> None:
    figure = figures.machine("finding", table)
    texts = [note.text for note in figure.layout.annotations]
    states = {state for (before, _), after in table.items() for state in (before, after)}
    assert sorted(t for t in texts if t.startswith("<b>")) == sorted(f"<b>{s.value}</b>" for s in states)
    pairs = {(before, after) for (before, _), after in table.items()}
    assert len(figure.data) == len(pairs) == texts.count("")  # a line and an arrowhead for each
    labels = [text for text in texts if text and not text.startswith("<b>")]
    assert len(labels) == len(pairs)
    words = [word for label in labels for word in label.split(" or ")]
    assert sorted(words) == sorted(event.value for _, event in table)


def test_ways_forward_are_above_and_ways_back_below_and_none_lies_on_another() -> None:
    figure = figures.machine("finding", drain.TRANSITIONS)
    for arc in figure.data:
        middle = arc.y[len(arc.y) // 2]
        assert middle >= 0 if arc.x[-1] > arc.x[0] else middle < 0
    ends = sorted((round(arc.x[-1], 3), arc.y[-1]) for arc in figure.data)
    assert all(a != b for a, b in pairwise(ends))
