from __future__ import annotations

from operator import itemgetter

from lbkit.viz.theatre.props.rows import rows_of
from lbkit.viz.theatre.props.thin import still, with_states
from lbkit.viz.theatre.window import Window


def test_what_holds_at_the_start_is_kept() -> None:
    rows = [(0, "a"), (1, "a"), (1, "b"), (3, "a"), (9, "b")]
    part = Window(2.0, 5.0, [], [])
    assert still(rows, itemgetter(0), part, itemgetter(1)) == [(1, "a"), (1, "b"), (3, "a")]


def test_thinned_rows_keep_each_change_of_state() -> None:
    rows = [("a", 0)] * 5000 + [("a", 1)] + [("a", 2)] * 5000
    kept, every = with_states(rows, itemgetter(0), itemgetter(1))
    assert every == 6
    assert len(kept) < 2010
    assert ("a", 1) in kept
    assert with_states(rows[:9], itemgetter(0), itemgetter(1)) == (rows[:9], 1)
    assert with_states([], itemgetter(0), itemgetter(1)) == ([], 1)


def test_two_in_one_row_are_never_there_at_once() -> None:
    assert rows_of([(0, 5), (1, 2), (3, 4), (3, 9), (6, 7)]) == [0, 1, 1, 2, 0]
    assert rows_of([]) == []
