"""Delays on the network that are another for each message."""

from __future__ import annotations

import random

from mypy_extensions import mypyc_attr


@mypyc_attr(native_class=False)
class Delay(float):
    """A delay that is drawn anew each time it is added to a moment: `now + delay`.

    As a number it is its mean. A constant delay is a plain float: what does not vary draws nothing."""

    least: float  # seconds
    rate: float  # of the exponential part
    rng: random.Random

    def __radd__(self, now: float) -> float:
        return now + self.least + self.rng.expovariate(self.rate)


def varying(least: float, jitter: float, rng: random.Random) -> Delay:
    """Return a delay of `least` seconds and an exponential part of mean `jitter`."""
    delay = Delay(least + jitter)
    delay.least, delay.rate, delay.rng = least, 1 / jitter, rng
    return delay
