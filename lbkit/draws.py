"""Random streams, and what is drawn from them: columns of numbers, evenly or by Zipf's law."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate, repeat, starmap
from math import floor
from typing import Final

from mypy_extensions import i32, i64

from lbkit.core.vectors import COMPILED, column_of, floats, uniform_at, vec, wholes, wholes_of

BLOCK: Final = 1024  # draws at a time


def stream(seed: int, name: str) -> random.Random:
    """Return the random stream called `name`, which is independent of every other name's."""
    return random.Random(f"{seed}/{name}")


def zipf_weights(n: int, skew: float) -> list[float]:
    """Return the weights 1 / k^skew of Zipf's law for k from 1 to n."""
    return [(k + 1) ** -skew for k in range(n)]


def zipf(n: int, skew: float, rng: random.Random) -> Callable[[int], list[int]]:
    """Return a function that draws `count` numbers from 0 .. n-1, k in proportion to 1 / (k+1)^skew."""
    if not skew:  # the same numbers as from `choices`, in less time
        draw = rng.random
        return lambda count: [floor(draw() * n) for _ in repeat(None, count)]
    upto = list(accumulate(zipf_weights(n, skew)))
    return lambda count: rng.choices(range(n), cum_weights=upto, k=count)


def uniforms(count: int, rng: random.Random) -> vec[float]:
    """Draw `count` numbers from [0, 1)."""
    if not COMPILED:
        return column_of(starmap(rng.random, repeat((), count)))
    column, drawn, rows = floats(count, 0.0), i64(0), i64(count)
    while drawn < rows:
        words = rng.randbytes(8 * min(BLOCK, int(rows - drawn)))  # the same as so many calls of random() use
        for place in range(i64(len(words) >> 3)):
            column[drawn + place] = uniform_at(words, place << 3)
        drawn += len(words) >> 3
    return column


def even(count: int, n: int, rng: random.Random) -> vec[i32]:
    """Draw `count` numbers from 0 .. n-1, all equally likely: the same as `zipf` without a skew."""
    if not COMPILED:
        return wholes_of(zipf(n, 0.0, rng)(count))
    column, drawn, numbers = wholes(count, 0), uniforms(count, rng), float(n)
    for row in range(i64(count)):
        column[row] = i32(drawn[row] * numbers)
    return column
