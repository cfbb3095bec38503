"""A picture survives the way from the process of the checks to the report, as text and as HTML."""

from __future__ import annotations

import json

from lbkit.course import Shares
from lbkit.course.pictures import picture_from


def test_shares_have_a_bar_for_each_name_twice_and_the_longest_is_the_most() -> None:
    picture = Shares({"a": 4, "b": 2}, {"a": 1}, ("before", "after"))
    assert picture_from(json.loads(json.dumps(picture.data()))).text() == picture.text()
    bars = [line.count("█") for line in picture.text().splitlines()]
    assert bars == [30, 8, 15, 0]
    assert "<b>" not in Shares({"<b>": 1}, {}).html()


def test_shares_of_nothing_are_no_bars() -> None:
    assert "█" not in Shares({"a": 0}, {}).text()
