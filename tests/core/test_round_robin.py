from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, Pool, make_balancer
from lbkit.core.balance import RoundRobin, StaticRoundRobin, WeightedRoundRobin


def picks(pool: Pool, n: int) -> str:
    return " ".join(pool.acquire("k", i).backend.name for i in range(n))


def weighted(*weights: float) -> Pool:
    names = "abcdefghij"
    return Pool([Backend(n, weight=w) for n, w in zip(names, weights, strict=False)], WeightedRoundRobin())


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ((5, 1, 1), "a a b a c a a"),  # the example in nginx's commit that brought it
        ((3, 2, 1), "a b a c b a"),
        ((1, 1, 1), "a b c"),
        ((2, 1), "a b a"),
        ((0.5, 0.25, 0.25), "a b c a"),
    ],
)
def test_smooth_turns(weights: tuple[float, ...], turns: str) -> None:
    assert picks(weighted(*weights), 2 * len(turns.split())) == f"{turns} {turns}"


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(0, 3))
def test_each_full_cycle_is_exactly_proportional(weights: list[int], before: int) -> None:
    pool, cycle = weighted(*weights), sum(weights)
    picks(pool, before * cycle)
    picks(pool, cycle)
    assert [b.picks for b in pool.backends] == [w * (before + 1) for w in weights]


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_no_backend_is_ever_far_from_its_share(weights: list[int]) -> None:
    """Not only after whole cycles: that is what is smooth about it."""
    pool = weighted(*weights)
    total = sum(weights)
    for n in range(1, 2 * total + 1):
        pool.acquire("k", n)
        for backend in pool.backends:
            assert abs(backend.picks - n * backend.weight / total) <= len(weights)


def test_other_weights_in_mid_cycle() -> None:
    pool = weighted(1, 1)
    picks(pool, 5)
    pool.set_weight("a", 3)
    before = Counter({b.name: b.picks for b in pool.backends})
    picks(pool, 400)
    gained = Counter({b.name: b.picks for b in pool.backends}) - before
    assert gained == {"a": 300, "b": 100}


@given(st.integers(1, 9), st.integers(0, 200))
def test_equal_within_one(n: int, requests: int) -> None:
    pool = Pool([Backend(f"b{i}") for i in range(n)], RoundRobin())
    picks(pool, requests)
    counts = [b.picks for b in pool.backends]
    assert max(counts) - min(counts) <= 1


def test_a_new_backend_is_next() -> None:
    pool = Pool([Backend(name) for name in "abc"], RoundRobin())
    assert picks(pool, 3) == "a b c"
    pool.add(Backend("d"))
    assert picks(pool, 5) == "d a b c d"


@pytest.mark.parametrize("algorithm", ["round_robin", "weighted_round_robin"])
def test_retries_after_a_dead_backend_are_shared(algorithm: str) -> None:
    """Turning among the remaining ones by the same counter would leave b with nothing at all."""
    pool = Pool([Backend(name) for name in "abc"], make_balancer(algorithm))
    served: Counter[str] = Counter()
    for i in range(300):
        lease = pool.acquire("k", i)
        if lease.backend.name == "a":
            lease = pool.acquire("k", i, exclude=[lease.backend])
        served[lease.backend.name] += 1
    assert abs(served["b"] - served["c"]) <= 1
    assert served.total() == 300


# -- other kinds of turns ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "weights", "order"),
    [
        ("interleaved_round_robin", (3, 2, 1), "aababc"),
        ("interleaved_round_robin", (1.5, 1, 0.5), "aababc"),
        ("consecutive_round_robin", (3, 2, 1), "aaabbc"),
        ("earliest_deadline", (1, 1, 1), "abc"),
        ("earliest_deadline", (2, 1, 1), "aabcaabc"),
    ],
)
def test_the_order_of_turns(algorithm: str, weights: tuple[float, ...], order: str) -> None:
    pool = Pool([Backend(n, weight=w) for n, w in zip("abc", weights, strict=True)], make_balancer(algorithm))
    for _ in range(3):
        picked = "".join(pool.acquire("k", 0.0).backend.name for _ in order)
        assert sorted(picked) == sorted(order)
    if algorithm != "earliest_deadline":  # the order of those that are due together is not promised
        assert picked == order


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_every_weighted_rotation_is_in_proportion(weights: list[int]) -> None:
    """After a whole cycle each has had exactly its turns."""
    for algorithm in ("weighted_round_robin", "interleaved_round_robin", "consecutive_round_robin"):
        backends = [Backend(str(i), weight=w) for i, w in enumerate(weights)]
        pool = Pool(backends, make_balancer(algorithm))
        for _ in range(3 * sum(weights)):
            pool.acquire("k", 0.0)
        assert [b.picks for b in backends] == [3 * w for w in weights]


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=8))
def test_deadlines_take_any_weights(weights: list[float]) -> None:
    backends = [Backend(str(i), weight=w) for i, w in enumerate(weights)]
    pool = Pool(backends, make_balancer("earliest_deadline"))
    for picks in range(1, 301):
        pool.acquire("k", 0.0)
        for backend in backends:
            share = backend.weight / sum(weights)
            # At any virtual time t each has had floor(t x weight) turns: from that the bound.
            assert abs(backend.picks - picks * share) < 1 + len(weights) * share + 1e-6


def as_haproxy_makes_it(turns: list[int]) -> list[int]:
    """lb_map.c, with a scan of all servers for every slot."""
    total = sum(turns)
    saved = [0] * len(turns)
    table = []
    for _ in range(total):
        saved = [s + weight for s, weight in zip(saved, turns, strict=True)]
        best = max(range(len(turns)), key=lambda i: (saved[i] + total) // total)  # the first wins ties
        saved[best] -= total
        table.append(best)
    return table


@given(st.lists(st.integers(1, 30), max_size=9))
def test_the_table_of_turns_is_haproxys(turns: list[int]) -> None:
    cycle = StaticRoundRobin().cycle({Backend(str(i)): turn for i, turn in enumerate(turns)})
    assert [int(b.name) for b in cycle] == as_haproxy_makes_it(turns)


def test_a_table_of_turns_is_made_quickly() -> None:
    """Eight times as many slots, not 64 times the work."""

    def cost(count: int) -> float:
        turns = {Backend(str(i)): 1 + i % 9 for i in range(count)}
        rounds = []
        for _ in range(3):
            start = time.thread_time()
            StaticRoundRobin().cycle(turns)
            rounds.append(time.thread_time() - start)
        return min(rounds)

    assert cost(800) < 25 * cost(100)


def test_the_first_fills_up_first() -> None:
    pool = Pool(
        [Backend("a"), Backend("b", weight=2), Backend("c")], make_balancer("first_available", limit=3)
    )
    names = "".join(pool.acquire("k", 0.0).backend.name for _ in range(14))
    assert names == "aaa" + "bbbbbb" + "ccccc"  # the last takes what is left
    with pytest.raises(ValueError, match="limit is 0"):
        make_balancer("first_available", limit=0)
