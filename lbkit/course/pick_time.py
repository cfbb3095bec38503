"""The time of a pick, as a multiple of round robin's: a ratio says little about the machine."""

from __future__ import annotations

import random
import time
from collections import deque
from statistics import median

from lbkit.core import AnyPool, Backend
from lbkit.policy import Policy

ROUNDS = 15  # of which the median counts: in between, the machine does other things
PICKS = 200  # of each of the two in a round
IN_FLIGHT = 2  # requests for each backend
USUAL = Policy("round_robin")

# Of this thread only, as a notebook has others. A browser's Python has no threads.
processor_time = getattr(time, "thread_time", time.process_time)


def pick_time(policy: Policy, backends: int = 8) -> float:
    """Return the processor time of a request's decision as a multiple of round robin's, in the same run.

    The decision is what a balancer does for a request: the pick, and what follows when it is done.
    Raises AlgorithmError."""
    own, usual = (_Stream(each, backends) for each in (policy, USUAL))
    return median(own.seconds() / usual.seconds() for _ in range(ROUNDS))


class _Stream:
    """Requests through a pool, each of which ends while later ones are under way."""

    def __init__(self, policy: Policy, backends: int) -> None:
        members = [Backend(f"s{i}") for i in range(1, backends + 1)]
        self._pool: AnyPool = policy.pool(members, lambda name: random.Random(name))
        self._now = 0.0
        self._running = deque(self._pool.acquire("client", 0.0) for _ in range(IN_FLIGHT * backends))
        self.seconds()  # tables are made, and caches are warm

    def seconds(self) -> float:
        """Return the processor time of PICKS requests."""
        begun = processor_time()
        for number in range(PICKS):
            self._now += 0.001
            self._running.append(self._pool.acquire(f"client {number % 50}", self._now))
            self._running.popleft().release(True, self._now)
        return max(processor_time() - begun, 1e-9)
