"""Random streams, and columns of numbers that are drawn from them."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.vectors import uniform_at
from lbkit.draws import BLOCK, even, stream, uniforms, zipf


@pytest.mark.parametrize("skew", [0, 0.5, 1, 2])
def test_zipf(skew: float) -> None:
    n, draws = 20, 40_000
    draw = zipf(n, skew, random.Random(1))
    counts = Counter(draw(draws))
    total = sum((k + 1) ** -skew for k in range(n))
    expected = [draws * (k + 1) ** -skew / total for k in range(n)]
    assert sum((counts[k] - e) ** 2 / e for k, e in enumerate(expected)) < 43.8  # 19 degrees: 1 in 1000
    assert counts.keys() <= set(range(n))


def test_streams_are_independent() -> None:
    assert stream(1, "a").random() == stream(1, "a").random()
    assert len({stream(seed, name).random() for seed in range(9) for name in "abc"}) == 27


@given(st.integers(0, 2**32), st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1]), st.integers(1, 2**31 - 1))
def test_draws_in_blocks_are_those_of_single_calls(seed: int, count: int, n: int) -> None:
    single, blocks, words = random.Random(seed), random.Random(seed), random.Random(seed)
    drawn = [single.random() for _ in range(count)]
    assert list(uniforms(count, blocks)) == drawn
    assert [uniform_at(words.randbytes(8), 0) for _ in range(count)] == drawn
    assert list(even(count, n, blocks)) == [int(single.random() * n) for _ in range(count)]
    assert blocks.random() == single.random()  # none was drawn in vain
