"""What a call costs, for checks that something does not grow with the number of servers or clients."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

ROUNDS = 15


def seconds_each(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Return the seconds of processor time of a call of `work` with one of these: the least of some rounds.

    Compare two of them by a factor of 5 or more: other processes lengthen a call, and never shorten it."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        for item in items:
            work(item)
        rounds.append(time.thread_time() - begun)
    return min(rounds) / len(items)
