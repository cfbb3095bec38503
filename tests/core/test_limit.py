"""One suite for all limiters, and what is special about each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import nan
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit.core.laws import burst_of, busiest_window, denials_change_nothing
from lbkit.core.limit import (
    AIMD,
    GCRA,
    ConcurrencyLimit,
    FixedWindow,
    Gradient,
    Hierarchy,
    LeakyBucket,
    LeakyQueue,
    Limiter,
    NginxLimit,
    Several,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
    limiters,
    make_limiter,
)
from lbkit.core.limit.base import STRANGERS

# Options that let 4 in at once and 2 a second in the long run, as far as each can.
OPTIONS: dict[str, dict[str, Any]] = {
    "token_bucket": {"rate": 2, "burst": 4},
    "leaky_bucket": {"rate": 2, "capacity": 4},
    "leaky_queue": {"rate": 2, "capacity": 4},
    "gcra": {"rate": 2, "burst": 4},
    "nginx_limit": {"rate": 2, "burst": 3},
    "fixed_window": {"limit": 4, "window": 2},
    "sliding_log": {"limit": 4, "window": 2},
    "sliding_counter": {"limit": 4, "window": 2},
    "several": {"limits": [{"kind": "gcra", "rate": 2, "burst": 4}, {"kind": "sliding_log", "limit": 9}]},
}
RUNNING = {
    "concurrency_limit": {"limit": 4},
    "aimd": {"initial": 4, "max_limit": 4},
    "gradient": {"initial": 4, "max_limit": 4},
}
BUCKETS = ("token_bucket", "leaky_bucket", "leaky_queue", "gcra", "nginx_limit", "several")

by_rate = pytest.mark.parametrize("kind", OPTIONS)
every_limiter = pytest.mark.parametrize("kind", OPTIONS | RUNNING)

# Gaps in eighths of a second, which floats hold exactly.
gaps = st.lists(st.integers(0, 24).map(lambda n: n / 8), min_size=1, max_size=60)


def made(kind: str, **more: Any) -> Limiter:
    return make_limiter(kind, **{**(OPTIONS | RUNNING)[kind], **more})


def times(gaps: Sequence[float], start: float = 0.0) -> list[float]:
    moments, now = [], start
    for gap in gaps:
        now += gap
        moments.append(now)
    return moments


def test_every_kind_is_tested() -> None:
    assert {k for k, c in limiters().items() if c.__module__.startswith("lbkit.")} == (
        OPTIONS | RUNNING
    ).keys()


# -- laws --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUCKETS)
@given(gaps=gaps)
def test_on_every_interval_no_more_than_burst_and_rate(kind: str, gaps: list[float]) -> None:
    limiter = made(kind)
    admitted = [(t, 1.0) for t in times(gaps) if limiter.admit("k", t).allowed]
    assert burst_of(admitted, rate=2) <= 4 + 1e-6


@given(gaps=gaps, window=st.sampled_from([0.5, 1.0, 3.0]), limit=st.integers(1, 5))
def test_windows_admit_at_most_their_limit(gaps: list[float], window: float, limit: int) -> None:
    """The log is exact in any window; fixed windows let up to twice as much through across a boundary."""
    for make, factor in ((SlidingLog, 1), (SlidingCounter, 2), (FixedWindow, 2)):
        limiter = make(limit, window)
        admitted = [t for t in times(gaps) if limiter.admit("k", t).allowed]
        assert busiest_window(admitted, window)[1] <= factor * limit


@every_limiter
@given(gaps=gaps, costs=st.lists(st.integers(0, 3), min_size=60, max_size=60))
def test_allows_is_admit_without_the_details(kind: str, gaps: list[float], costs: list[int]) -> None:
    one, other = made(kind), made(kind)
    for now, cost in zip(times(gaps), costs, strict=False):
        expected = other.would("k", now, cost)
        assert other.admit("k", now, cost) == expected
        assert one.allows("k", now, cost) == expected.allowed
    with pytest.raises(ValueError, match="could never be admitted"):
        one.allows("k", now, 50)
    with pytest.raises(ValueError, match="cost is -1"):
        one.allows("k", now, -1)
    assert one.admit("k", now + 100, 1) == other.admit("k", now + 100, 1)


@every_limiter
@given(gaps=gaps)
def test_a_denial_changes_nothing(kind: str, gaps: list[float]) -> None:
    """A client that asks a hundred times is admitted as soon as one that asks once."""
    denials_change_nothing(lambda: partial(made(kind).admit, "k"), times(gaps), attrgetter("allowed"))


@by_rate
@given(gaps=gaps, seed=st.integers(0, 99))
def test_retry_after_is_when_it_is_admitted(kind: str, gaps: list[float], seed: int) -> None:
    limiter = made(kind)
    for now in times(gaps, start=seed / 8):
        decision = limiter.admit("k", now)
    while limiter.would("k", now).allowed:
        limiter.admit("k", now)
    decision = limiter.would("k", now)
    assert not decision.allowed
    assert decision.retry_after > 0
    assert limiter.would("k", now + decision.retry_after).allowed
    assert not limiter.would("k", now + decision.retry_after - 0.002).allowed


# From the start of a process, of the computer, and of 1970, and to the last second that is promised.
STARTS = st.sampled_from([0.0, 1e7, 1.7e9, 4e9]) | st.floats(0, 4e9)


@by_rate
@given(start=STARTS, gaps=st.lists(st.floats(0, 0.9), min_size=1, max_size=30), cost=st.integers(1, 4))
def test_the_time_to_retry_is_admitted_at_any_time(
    kind: str, start: float, gaps: list[float], cost: int
) -> None:
    limiter = made(kind)
    for now in times(gaps, start):
        decision = limiter.admit("k", now, cost)
        if not decision.allowed:
            assert limiter.would("k", now + decision.retry_after, cost).allowed, (now, decision)


def at_rate(kind: str, rate: float) -> Limiter:
    """Return a limiter of `rate` requests a second, with as little room as its kind allows."""
    options: dict[str, dict[str, Any]] = {
        "token_bucket": {"rate": rate, "burst": 1},
        "leaky_bucket": {"rate": rate, "capacity": 1},
        "leaky_queue": {"rate": rate, "capacity": 1},
        "gcra": {"rate": rate, "burst": 1},
        "nginx_limit": {"rate": rate, "burst": 1 + int(rate // 1000)},  # a millisecond counts as one moment
        "fixed_window": {"limit": 7, "window": 7 / rate},
        "sliding_log": {"limit": 7, "window": 7 / rate},
        "sliding_counter": {"limit": 8, "window": 7 / rate},  # see its docstring
        "several": {"limits": [{"kind": "gcra", "rate": rate}, {"kind": "token_bucket", "rate": rate}]},
    }
    return make_limiter(kind, **options[kind])


@by_rate
@given(start=STARTS, rate=st.sampled_from([0.5, 1, 3, 7, 10, 60, 100, 333, 999, 1000, 3000]))
@settings(deadline=None)
def test_asked_exactly_at_its_rate_it_admits_all_but_one(kind: str, start: float, rate: float) -> None:
    """A float is rarely the moment that was meant: some requests come a little early."""
    limiter = at_rate(kind, rate)
    limiter.admit("k", 0.0)
    moments = [start + 10 + i / rate for i in range(2000)]
    # The sliding counter may deny one a window (of 7 requests), where rounding moves a request to another.
    denied = 1 + 2000 // 7 if kind == "sliding_counter" else 1
    assert sum(limiter.allows("k", now) for now in moments) >= 2000 - denied


@by_rate
@given(start=STARTS, rate=st.sampled_from([1, 10, 100, 1000]))
@settings(deadline=None)
def test_asked_twice_as_fast_it_admits_half(kind: str, start: float, rate: float) -> None:
    limiter = at_rate(kind, rate)
    admitted = sum(limiter.allows("k", start + i / rate / 2) for i in range(2000))
    assert 990 <= admitted <= (1145 if kind == "sliding_counter" else 1010)


@by_rate
@given(gaps=gaps)
def test_after_the_reset_it_is_as_new(kind: str, gaps: list[float]) -> None:
    limiter = made(kind)
    for now in times(gaps):
        decision = limiter.admit("k", now)
    then = now + decision.reset_after + 0.001
    fresh, used = made(kind), limiter.would("k", then)
    assert used.allowed
    if kind != "sliding_counter":  # where the part of the window that is over counts, too
        assert used[:3] == pytest.approx(fresh.admit("k", then)[:3], abs=1e-3)


@every_limiter
@given(gaps=gaps.filter(lambda g: len(g) > 1), back=st.floats(0.1, 1e6), at=st.integers(1, 59))
def test_a_clock_that_jumps_back_is_harmless(kind: str, gaps: list[float], back: float, at: int) -> None:
    """Time goes on from where it was: no key is admitted more, and none waits longer."""
    back = round(back * 8) / 8
    steady, jumping = made(kind), made(kind)
    moments = times(gaps)
    at = min(at, len(moments) - 1)
    for i, now in enumerate(moments):
        jump = moments[at] - moments[at - 1]
        expected = steady.admit("k", now if i < at else now - jump)
        found = jumping.admit("k", now if i < at else now - jump - back)
        assert tuple(found) == pytest.approx(tuple(expected), abs=1e-6)


@every_limiter
@given(st.data())
def test_keys_are_apart(kind: str, data: st.DataObject) -> None:
    alone, among = made(kind), made(kind)
    for now in times(data.draw(gaps)):
        for _ in range(data.draw(st.integers(0, 3))):
            among.admit("other", now)
        assert among.admit("k", now) == alone.admit("k", now)


@every_limiter
def test_a_cost_that_could_never_be_admitted(kind: str) -> None:
    limiter = made(kind)
    with pytest.raises(ValueError, match=r"cost is 50: the .* is \d+, so it could never be admitted"):
        limiter.admit("k", 0.0, cost=50)
    with pytest.raises(ValueError, match="cost is -1: use 0 or more"):
        limiter.admit("k", 0.0, cost=-1)
    assert limiter.admit("k", 0.0).allowed
    for ask in (limiter.admit, limiter.allows, limiter.would):
        for key in ("k", "new"):
            with pytest.raises(ValueError, match="cost is nan: use 0 or more"):
                ask(key, 0.0, cost=nan)
    assert limiter.admit("k", 0.0).allowed  # and nothing is spoilt by it


@every_limiter
def test_cost_counts(kind: str) -> None:
    limiter = made(kind)
    assert limiter.admit("k", 0.0, cost=3).allowed
    assert not limiter.admit("k", 0.0, cost=2).allowed
    assert limiter.admit("k", 0.0, cost=1).allowed
    assert limiter.admit("k", 0.0, cost=0).allowed


@every_limiter
def test_remaining_counts_down(kind: str) -> None:
    limiter = made(kind)
    left = [limiter.admit("k", 0.0).remaining for _ in range(4)]
    assert left == pytest.approx([3, 2, 1, 0])
    denied = limiter.admit("k", 0.0)
    assert (denied.allowed, denied.remaining) == (False, pytest.approx(0))


@every_limiter
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 9)), max_size=300))
def test_memory_is_bounded(kind: str, steps: list[tuple[int, int]]) -> None:
    limiter = made(kind)
    limiter.max_keys = 20
    now = 0.0
    for number, gap in steps:
        now += gap / 8
        limiter.admit(f"key {number}", now)
        assert len(limiter) <= 21  # and that of the strangers
        assert len(limiter._order) <= 20


@every_limiter
def test_a_flood_of_keys_resets_no_limit(kind: str) -> None:
    limiter = made(kind)
    limiter.max_keys = 50
    while limiter.admit("greedy", 0.0).allowed:
        pass
    admitted = sum(limiter.admit(f"forged {i}", 0.0).allowed for i in range(5000))
    assert not limiter.admit("greedy", 0.0).allowed  # its state was not pushed out
    assert admitted <= 49 + 4  # a state each while there are places, and one for all the others
    assert STRANGERS in limiter._states


@by_rate
def test_a_new_key_takes_the_place_of_one_that_is_over(kind: str) -> None:
    """When states are over, new keys get states of their own."""
    limiter = made(kind)
    limiter.max_keys = 50
    for i in range(50):
        limiter.admit(f"early {i}", 0.0)
    admitted = [limiter.admit(f"late {i}", 100.0).allowed for i in range(50)]
    assert all(admitted)
    assert STRANGERS not in limiter._states


# -- one against another -----------------------------------------------------------------------------


@given(gaps=gaps, burst=st.integers(1, 6), costs=st.lists(st.integers(0, 3), min_size=60, max_size=60))
def test_gcra_and_the_leaky_bucket_decide_as_the_token_bucket(
    gaps: list[float], burst: int, costs: list[int]
) -> None:
    """GCRA and the leaky bucket as a meter decide as the token bucket, and say the same of it."""
    bucket, cell, leaky = TokenBucket(4, burst), GCRA(4, burst), LeakyBucket(4, burst)
    for now, cost in zip(times(gaps), costs, strict=False):
        if cost <= burst:
            expected = bucket.admit("k", now, cost)
            for other in (cell, leaky):
                assert tuple(other.admit("k", now, cost)) == pytest.approx(tuple(expected), abs=1e-6)


def test_the_counter_is_the_log_when_requests_come_evenly() -> None:
    counter, log = SlidingCounter(6, 3), SlidingLog(6, 3)
    for t in (i * 0.6 for i in range(100)):  # five in a window
        assert counter.admit("k", t).allowed
        assert log.admit("k", t).allowed


def test_the_counter_is_rarely_wrong_at_random_arrivals() -> None:
    """Against the log, at random arrivals near the limit: a few in a hundred, and never by much."""
    import random

    rng = random.Random(1)
    counter, log, now, wrong = SlidingCounter(50, 10), SlidingLog(50, 10), 0.0, 0
    for _ in range(20_000):
        now += rng.expovariate(5.0)
        wrong += counter.admit("k", now).allowed != log.admit("k", now).allowed
    assert 0 < wrong / 20_000 < 0.2


# -- vectors -----------------------------------------------------------------------------------------


def test_the_sliding_counters_example() -> None:
    """42 in the window before, 18 in this one, 15 s into a window of 60: 49.5. (Cloudflare.)"""
    limiter = SlidingCounter(limit=50, window=60)
    assert all(limiter.admit("k", 30.0).allowed for _ in range(42))
    limiter._states["k"] = (120.0, 42.0, 18.0)
    decision = limiter.would("k", 75.0, cost=0)
    assert decision.limit - decision.remaining == pytest.approx(42 * 45 / 60 + 18) == pytest.approx(49.5)
    assert not limiter.admit("k", 75.0).allowed


def test_across_a_boundary_twice_the_limit() -> None:
    limiter = FixedWindow(limit=10, window=60)
    admitted = [limiter.admit("k", 59.9).allowed for _ in range(20)]
    admitted += [limiter.admit("k", 60.1).allowed for _ in range(20)]
    assert sum(admitted) == 20
    for exact in (SlidingLog(10, 60), SlidingCounter(10, 60)):
        admitted = [exact.admit("k", t).allowed for t in (59.9, 60.1) for _ in range(20)]
        assert sum(admitted) == 10


@pytest.mark.parametrize("burst", [0, 1, 5, 20])
def test_nginx_admits_burst_and_one_at_once(burst: int) -> None:
    limiter = NginxLimit(rate=10, burst=burst)
    assert sum(limiter.admit("k", 0.0).allowed for _ in range(50)) == burst + 1


def test_nginx_delays_what_is_above_delay() -> None:
    limiter = NginxLimit(rate=10, burst=4, delay=2)
    waits = [limiter.admit("k", 0.0).delay for _ in range(5)]
    assert waits == pytest.approx([0, 0, 0, 0.1, 0.2])
    assert not limiter.admit("k", 0.0).allowed
    strict = NginxLimit(rate=10, burst=4, delay=0)  # without nodelay: the rate, to the letter
    assert [strict.admit("k", 0.0).delay for _ in range(5)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_queue_comes_out_evenly() -> None:
    limiter = LeakyQueue(rate=10, capacity=5)
    waits = [limiter.admit("k", 0.0).delay for _ in range(5)]
    assert waits == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    leaving = [t + limiter.admit("k", t).delay for t in (0.15, 0.25, 0.35)]
    assert all(b - a == pytest.approx(0.1) for a, b in pairwise([0.4, *leaving]))


# -- several at once -----------------------------------------------------------------------------------


def test_ten_a_second_and_a_thousand_an_hour() -> None:
    limiter = Several([SlidingLog(10, 1), {"kind": "fixed_window", "limit": 1000, "window": 3600}])
    admitted = sum(limiter.admit("k", t / 20).allowed for t in range(20 * 300))
    assert admitted == 1000  # after 100 s
    assert limiter.admit("k", 299.99).retry_after == pytest.approx(3600 - 299.99)
    assert sum(limiter.admit("other", 300.0).allowed for _ in range(50)) == 10


@given(gaps=gaps)
def test_one_limit_that_denies_uses_up_none(gaps: list[float]) -> None:
    tight, wide = GCRA(1, 1), SlidingLog(5, 100)
    both = Several([tight, wide])
    admitted = sum(both.admit("k", now).allowed for now in times(gaps))
    assert admitted <= 5
    _, (_, _, first, last, *_) = both._states.get("k") or (0, ((), (), 0, 0))
    assert last - first == admitted


def test_each_level_of_a_hierarchy_limits() -> None:
    """The whole 10 a second, a tenant 6, a client 4."""
    limiter = Hierarchy([GCRA(10, 10), GCRA(6, 6), GCRA(4, 4)])
    assert sum(limiter.admit("acme/ann", 0.0).allowed for _ in range(9)) == 4
    assert sum(limiter.admit("acme/bob", 0.0).allowed for _ in range(9)) == 2  # the tenant's
    assert sum(limiter.admit("other/eve", 0.0).allowed for _ in range(9)) == 4
    assert sum(limiter.admit("third/joe", 0.0).allowed for _ in range(9)) == 0  # the whole
    # What was denied has used up nothing at any level.
    assert limiter.levels[2].would("acme/bob", 0.0).remaining == pytest.approx(1)
    with pytest.raises(ValueError, match="key is 'acme': 3 levels need 'level1/level2'"):
        limiter.admit("acme", 0.0)


# -- how many at once ------------------------------------------------------------------------------------


def test_slots_are_free_again_after_done() -> None:
    limiter = ConcurrencyLimit(2)
    assert [limiter.admit("k", 0.0).allowed for _ in range(3)] == [True, True, False]
    limiter.done("k", 1.0)
    assert limiter.admit("k", 1.0).allowed
    for _ in range(9):
        limiter.done("k", 2.0)  # more than there were: nothing is gained by it
    assert [limiter.admit("k", 3.0).allowed for _ in range(3)] == [True, True, False]


def test_low_priority_is_shed_first() -> None:
    limiter = ConcurrencyLimit(10, shares={"low": 0.5, "normal": 0.8})

    def admitted(priority: str) -> int:
        return sum(not limiter.sheds("k", priority) and limiter.allows("k", 0.0) for _ in range(20))

    assert [admitted(priority) for priority in ("low", "normal", "high")] == [5, 3, 2]
    with pytest.raises(ValueError, match=r"shares\['low'\] is 0"):
        ConcurrencyLimit(10, shares={"low": 0})


def served(limiter: AIMD | Gradient, capacity: int, rounds: int, service: float = 0.1) -> float:
    """A server that takes `capacity` at once; what is more waits, so latency grows. The limit at the end."""
    for now in range(rounds):
        count = 0
        while limiter.admit("k", float(now)).allowed:
            count += 1
        latency = service * max(1.0, count / capacity)
        for _ in range(count):
            limiter.done("k", now + latency, latency, ok=True)
    return limiter.limit_of("k")


def test_aimd_finds_the_capacity_of_a_server() -> None:
    """Latency passes the timeout at three times what runs without waiting."""
    limit = served(AIMD(initial=5, timeout=0.3), capacity=20, rounds=300)
    assert 40 < limit < 75


def test_gradient_needs_no_timeout() -> None:
    """It stops near what the server takes at once, half as much again at the tolerance of 1.5."""
    limit = served(Gradient(initial=5), capacity=20, rounds=200)
    assert 20 <= limit < 60


def test_failures_make_the_limit_fall() -> None:
    for limiter in (AIMD(initial=100), Gradient(initial=100)):
        for _ in range(20):
            limiter.admit("k", 0.0)
        for _ in range(20):
            limiter.done("k", 1.0, 0.1, ok=False)
        assert limiter.limit_of("k") == 90  # once for all that were under way
        for i in range(100):
            limiter.admit("k", 2.0 + i)
            limiter.done("k", 2.5 + i, 0.1, ok=False)
        assert limiter.limit_of("k") == 1


# -- mistakes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tokenbucket", {}, "no limiter 'tokenbucket': did you mean token_bucket"),
        ("gcra", {"rates": 3}, "limiter 'gcra' does not take these options: .*did you mean rate?"),
        ("gcra", {}, "limiter 'gcra' does not take these options: rate is missing"),
        ("gcra", {"rate": 0}, "rate is 0: use a number above 0"),
        ("token_bucket", {"rate": True}, "rate is True: use a number above 0"),
        ("concurrency_limit", {"limit": 1, "shares": {"low": 2}}, r"shares.* is 2: use a number above 0"),
        ("fixed_window", {"limit": 3, "window": -1}, "window is -1"),
        ("nginx_limit", {"rate": 1, "burst": -1}, "burst is -1"),
        ("nginx_limit", {"rate": 1, "burst": 2.7}, "burst is 2.7: use a whole number of at least 0"),
        ("nginx_limit", {"rate": 1, "burst": 2, "delay": 0.5}, "delay is 0.5: use a whole number"),
        ("token_bucket", {"rate": nan}, "rate is nan: use a number above 0"),
        ("token_bucket", {"rate": "fast"}, "rate is 'fast': use a number above 0"),
        ("gradient", {"tolerance": nan}, "tolerance is nan"),
        ("nginx_limit", {"rate": 0.0001}, "thousandths a second"),
        ("aimd", {"decrease": 1.5}, "decrease is 1.5"),
        ("gradient", {"tolerance": 0.5}, "tolerance is 0.5"),
        ("several", {"limits": []}, "there must be at least one"),
        ("several", {"limits": [{"rate": 1}]}, "has no kind, such as token_bucket"),
    ],
)
def test_wrong_options_are_named(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_limiter(kind, **options)


def test_a_learners_own() -> None:
    class ThreeEver(Limiter):
        def step(self, state, now, cost):
            return (state or 0) + 1 if (state or 0) < 3 else None

    limiter = make_limiter("three_ever")
    assert [limiter.admit("k", 0.0).allowed for _ in range(5)] == [True] * 3 + [False] * 2
    assert [limiter.allows("other", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2


def test_a_learners_own_has_its_limit_as_an_attribute_of_the_class() -> None:
    class _AtMostTwo(Limiter):
        limit = 2
        max_keys = 3

        def step(self, state, now, cost):
            return (state or 0) + cost if (state or 0) + cost <= self.limit else None

    limiter = _AtMostTwo()
    assert [limiter.allows("k", 0.0) for _ in range(4)] == [True, True, False, False]
    with pytest.raises(ValueError, match="cost is 3: the limit is 2, so it could never be admitted"):
        limiter.admit("k", 0.0, 3)
    for key in range(10):  # keys need not be texts
        limiter.allows(key, 0.0)
    assert len(limiter) == 4  # those after the third share one state
