from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.laws import share_for_pages, slower_pages

CALLS = st.integers(1, 1000)
SHARES = st.floats(0, 1)


def test_a_hundred_calls_make_two_pages_of_three_slow() -> None:
    assert slower_pages(1) == pytest.approx(0.01)
    assert slower_pages(100) == pytest.approx(0.634, abs=5e-4)  # Dean and Barroso: 63 %
    assert share_for_pages(100) == pytest.approx(0.9999, abs=1e-6)


@given(calls=CALLS, pages=st.floats(0.01, 1))
def test_each_answers_the_others_question(calls: int, pages: float) -> None:
    assert slower_pages(calls, share_for_pages(calls, pages)) == pytest.approx(1 - pages, abs=1e-9)


@given(calls=CALLS, share=SHARES)
def test_one_call_more_makes_no_page_faster(calls: int, share: float) -> None:
    assert 0 <= slower_pages(calls, share) <= slower_pages(calls + 1, share) <= 1


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="calls is 0"):
        slower_pages(0)
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        slower_pages(1, 1.5)
    with pytest.raises(ValueError, match="pages is -1"):
        share_for_pages(1, -1)
