from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend, NoBackend, Pool, make_balancer
from lbkit.core.health import BreakerRules, CheckRules, MaxFailsRules, OutlierRules
from lbkit.core.health.watch import HealthRules

NAMES = ["a", "b", "c"]


def pool_of(names=NAMES, panic: float = 0.0, **rules) -> tuple[Pool, list]:
    changes: list = []
    backends = [Backend(name) for name in names]
    balancer = make_balancer("round_robin")
    pool = Pool(backends, balancer, panic=panic, health=HealthRules(**rules), on_change=changes.append)
    return pool, changes


def attempt(pool: Pool, ok: bool, now: float) -> str:
    backend = pool.pick("", now)
    pool.release(backend, now, ok, now)
    return backend.name


def eligible(pool: Pool) -> list[str]:
    return [backend.name for backend in pool.eligible]


def test_failed_checks_take_a_backend_out_and_passed_ones_bring_it_back() -> None:
    pool, changes = pool_of(checks=CheckRules(rise=2, fall=2))
    for passed in (False, False):
        pool.watch.probed("b", passed, 1.0, "refused")
    assert eligible(pool) == ["a", "c"]
    for passed in (True, True):
        pool.watch.probed("b", passed, 2.0)
    assert eligible(pool) == NAMES
    assert [(c.kind, c.before, c.after, c.why) for c in changes] == [
        ("check", "up", "failing", "refused"),
        ("check", "failing", "down", "refused"),
        ("check", "down", "recovering", ""),
        ("check", "recovering", "up", ""),
    ]


def test_a_backend_that_starts_down_waits_for_its_checks() -> None:
    pool, _ = pool_of(checks=CheckRules(start="down"))
    assert eligible(pool) == []
    with pytest.raises(NoBackend):
        pool.pick("", 0)
    pool.watch.probed("c", True, 0)
    assert eligible(pool) == ["c"]


def test_max_fails_gives_a_backend_a_rest() -> None:
    pool, changes = pool_of(max_fails=MaxFailsRules(fail_timeout=10))
    failed = attempt(pool, False, 0)
    assert failed not in eligible(pool)
    assert attempt(pool, True, 9.9) != failed
    attempt(pool, True, 10)
    assert eligible(pool) == NAMES
    assert [(c.at, c.after) for c in changes] == [(0, "out"), (10, "in")]


def test_outliers_are_ejected_and_come_back_at_a_sweep() -> None:
    rules = OutlierRules(consecutive=2, interval=10, base_ejection=15, max_ejected=1)
    pool, changes = pool_of(outliers=rules)
    for now in (0, 1, 2, 3):
        attempt(pool, now not in (0, 3), now)  # the first backend fails twice
    assert eligible(pool) == ["b", "c"]
    attempt(pool, True, 11)  # a sweep, too early
    assert eligible(pool) == ["b", "c"]
    attempt(pool, True, 20)
    assert eligible(pool) == NAMES
    assert [c.kind for c in changes] == ["outlier", "outlier"]


def test_a_passed_check_ends_an_ejection() -> None:
    pool, _ = pool_of(outliers=OutlierRules(consecutive=1, max_ejected=1), checks=CheckRules())
    out = attempt(pool, False, 0)
    assert out not in eligible(pool)
    pool.watch.probed(out, True, 1)
    assert eligible(pool) == NAMES


def test_an_open_breaker_blocks_and_half_open_lets_one_through() -> None:
    rules = BreakerRules(consecutive=1, failure_rate=0, open_for=5)
    pool, changes = pool_of(["a"], breaker=rules, panic=0.5)
    attempt(pool, False, 0)
    with pytest.raises(NoBackend):  # also in panic: a breaker is there to fail at once
        pool.pick("", 4.9)
    probe = pool.pick("", 5)
    with pytest.raises(NoBackend):
        pool.pick("", 5)
    pool.release(probe, 5, True, 6)
    assert attempt(pool, True, 6) == "a"
    assert [(c.before, c.after) for c in changes] == [
        ("closed", "open"),
        ("open", "half open"),
        ("half open", "closed"),
    ]


def test_a_breaker_that_becomes_half_open_as_a_request_ends_says_so() -> None:
    pool, changes = pool_of(["a"], breaker=BreakerRules(consecutive=1, failure_rate=0, open_for=5))
    earlier = pool.pick("", 0)
    attempt(pool, False, 1)
    pool.release(earlier, 0, True, 7)
    assert attempt(pool, True, 8) == "a"
    assert [(c.at, c.after) for c in changes] == [(1, "open"), (7, "half open"), (8, "closed")]


def test_a_breaker_is_not_stuck_half_open_behind_a_request_that_does_not_end() -> None:
    pool, _ = pool_of(["a"], breaker=BreakerRules(consecutive=1, failure_rate=0, open_for=5))
    attempt(pool, False, 0)
    pool.pick("", 5)  # a WebSocket, say
    with pytest.raises(NoBackend):
        pool.pick("", 9)
    for _ in range(3):
        assert attempt(pool, True, 10) == "a"


def test_a_bulkhead_bounds_what_runs_on_a_backend() -> None:
    pool, _ = pool_of(["a", "b"], max_in_flight=2)
    running = [pool.pick("", 0) for _ in range(4)]
    with pytest.raises(NoBackend):
        pool.pick("", 0)
    pool.release(running[0], 0, True, 1)
    assert pool.pick("", 1) is running[0]


def test_one_reason_to_be_out_does_not_end_another() -> None:
    pool, _ = pool_of(checks=CheckRules(fall=1, rise=1), max_fails=MaxFailsRules(fail_timeout=10))
    out = attempt(pool, False, 0)
    pool.watch.probed(out, False, 1)
    attempt(pool, True, 11)
    assert out not in eligible(pool)  # its rest is over, its checks fail
    pool.watch.probed(out, True, 12)
    assert out in eligible(pool)


def test_panic_ignores_health() -> None:
    pool, _ = pool_of(checks=CheckRules(fall=1), panic=0.5)
    for name in NAMES[:2]:
        pool.watch.probed(name, False, 0)
    assert eligible(pool) == NAMES


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.none(), st.none()),
        st.tuples(st.just("end"), st.integers(0, 5), st.sampled_from([True, False, None])),
        st.tuples(st.just("probe"), st.sampled_from(NAMES), st.booleans()),
        st.tuples(st.just("wait"), st.floats(0.01, 20), st.none()),
        st.tuples(st.just("remove"), st.sampled_from(NAMES), st.none()),
        st.tuples(st.just("add"), st.sampled_from(NAMES), st.none()),
    ),
    max_size=60,
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "checks": st.builds(CheckRules, rise=st.integers(1, 3), fall=st.integers(1, 3)),
        "outliers": st.builds(OutlierRules, consecutive=st.integers(1, 3), max_ejected=st.floats(0, 1)),
        "max_fails": st.builds(MaxFailsRules, max_fails=st.integers(1, 3)),
        "breaker": st.builds(BreakerRules, consecutive=st.integers(1, 3)),
        "max_in_flight": st.integers(1, 3),
    },
)


@given(RULES, STEPS)
def test_any_order_of_events(rules: dict, steps: list) -> None:
    """Counts are never below 0, changes join up, and when all is well again, all backends serve."""
    pool, changes = pool_of(**rules)
    now, running = 0.0, []
    for what, which, ok in steps:
        now += 0.001
        if what == "start":
            try:
                running.append((pool.pick("", now), now))
            except NoBackend:
                assert not pool.eligible
        elif what == "end" and running:
            backend, started = running.pop(which % len(running))
            pool.release(backend, started, ok, now)
        elif what == "probe":
            pool.watch.probed(which, ok, now)
        elif what == "wait":
            now += which
        elif what == "remove" and which in pool:
            pool.remove(which)
        elif what == "add" and which not in pool:
            pool.add(Backend(which))
        for backend in pool.backends:
            assert backend.in_flight >= 0
            assert backend.healthy == (not pool._out[backend])
            assert (backend in pool.eligible) == backend.eligible
    while running:
        backend, started = running.pop()
        pool.release(backend, started, True, now)
    for name in NAMES:
        if name not in pool:
            pool.add(Backend(name))
    for _ in range(8):  # all is well again
        now += 400
        for name in NAMES:
            pool.watch.probed(name, True, now)
        for _ in NAMES:
            try:
                attempt(pool, True, now)
            except NoBackend:
                break
    assert sorted(eligible(pool)) == NAMES
    assert all(change.before != change.after for change in changes)


@pytest.mark.parametrize("most", [0, 1.5, True])
def test_a_bulkhead_of_nothing(most: object) -> None:
    with pytest.raises(ValueError, match="max_in_flight is"):
        HealthRules(max_in_flight=most)


def test_what_the_rules_have_counted_can_be_read_and_reading_changes_nothing() -> None:
    breaker = BreakerRules(minimum=3, window=1.0, open_for=2.0, probes=2)
    pool, _ = pool_of(["a"], checks=CheckRules(rise=2, fall=3), outliers=OutlierRules(), breaker=breaker)
    assert pool.watch.counts("x", 0.0) is None
    pool.watch.probed("a", False, 0.1, "refused")
    for now in (0.1, 0.2):
        attempt(pool, False, now)
    counts = pool.watch.counts("a", 0.2)
    assert counts == pool.watch.counts("a", 0.2)
    assert (counts.check, counts.checks, counts.failures, counts.until) == ("failing", 1, 2, None)
    assert (counts.breaker.state.value, counts.breaker.outcomes, counts.breaker.failed) == ("closed", 2, 2)
    assert pool.watch.counts("a", 5.0).breaker.outcomes == 0  # older than the window
    for now in (5.0, 5.1, 5.2):
        attempt(pool, False, now)
    counts = pool.watch.counts("a", 5.2)
    assert (counts.breaker.state.value, counts.breaker.until) == ("open", 7.2)
    assert counts.until == 35.2  # the fifth failure in a row: ejected, too


def test_trials_of_a_breaker_are_counted() -> None:
    breaker = BreakerRules(minimum=1, open_for=1.0, probes=2)
    pool, _ = pool_of(["a"], breaker=breaker)
    attempt(pool, False, 0.0)
    attempt(pool, True, 1.5)
    running = pool.pick("", 1.6)
    counts = pool.watch.counts("a", 1.6).breaker
    assert (counts.state.value, counts.until, counts.running, counts.passed) == ("half open", None, 1, 1)
    pool.release(running, 1.6, True, 1.7)
    assert pool.watch.counts("a", 1.7).breaker.state.value == "closed"


def test_the_rest_of_max_fails_has_an_end() -> None:
    pool, _ = pool_of(["a"], max_fails=MaxFailsRules(2, 10.0))
    attempt(pool, False, 0.0)
    assert pool.watch.counts("a", 0.0)[2:4] == (1, None)
    attempt(pool, False, 1.0)
    assert pool.watch.counts("a", 1.0)[2:4] == (2, 11.0)
