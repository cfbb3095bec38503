"""Tails of many calls: a page is as slow as its slowest call.

(Dean and Barroso, The Tail at Scale, Communications of the ACM 56(2), 2013.)
"""

from __future__ import annotations

from lbkit.core.options import number, whole


def slower_pages(calls: int, share: float = 0.99) -> float:
    """Return the share of pages that wait for at least one slow call: 1 - share^calls.

    A page makes `calls` independent calls at once and needs them all. `share` of the calls are quick: with
    0.99, slow is what is slower than the p99. 100 calls give 63 %.

    Raises ValueError for fewer than one call, or a share outside 0..1."""
    whole(1, calls=calls)
    number(0, 1, share=share)
    return float(1 - share**calls)


def share_for_pages(calls: int, pages: float = 0.99) -> float:
    """Return the share of the calls that have to be quick, so that a share of the `pages` is: its root.

    With 100 calls and 0.99 it is 0.9999: the p99 of pages is a p99.99 of calls.

    Raises ValueError for fewer than one call, or a share outside 0..1."""
    whole(1, calls=calls)
    number(0, 1, pages=pages)
    return float(pages ** (1 / calls))
