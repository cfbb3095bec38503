from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.health.outliers import EJECTED, IN, OutlierDetector, OutlierRules

NAMES = [f"s{i}" for i in range(10)]


def detector(**fields) -> OutlierDetector:
    return OutlierDetector(OutlierRules(**fields), NAMES)


def feed(found: OutlierDetector, name: str, failed: int, of: int, latency: float = 0.1) -> None:
    """Failures spread among successes, so that no long row of them comes about."""
    for i in range(of):
        found.record(name, (i * failed) % of >= failed, latency, 0.0)


def test_envoys_defaults() -> None:
    rules = OutlierRules()
    assert (rules.consecutive, rules.interval, rules.base_ejection, rules.max_ejection) == (5, 10, 30, 300)
    assert (rules.max_ejected, rules.minimum_hosts, rules.request_volume) == (0.1, 5, 100)
    assert rules.stdev_factor == 1.9


def test_five_failures_in_a_row_eject() -> None:
    found = detector()
    assert [found.record("s1", False, 0, 1.0) for _ in range(4)] == [None] * 4
    change = found.record("s1", False, 0, 2.0)
    assert change == (2.0, "s1", "outlier", IN, EJECTED, "5 failures in a row: 30 s")
    assert found.ejected("s1")


def test_a_success_ends_a_row() -> None:
    found = detector()
    for ok in (False, False, False, False, True, False):
        assert found.record("s1", ok, 0, 1.0) is None


def test_an_ejection_ends_at_a_sweep_and_the_next_one_is_longer() -> None:
    found = detector(consecutive=1)
    for n, (start, back) in enumerate([(0, 30), (31, 91), (92, 182)], 1):
        assert found.record("s1", False, 0, start).why.endswith(f"{30 * n} s")
        assert found.sweep(back - 0.1) == []
        (change,) = found.sweep(back)
        assert (change.before, change.after) == (EJECTED, IN)


@pytest.mark.parametrize("passed", [True, False])
def test_failures_of_requests_from_before_the_ejection_do_not_count_afterwards(passed: bool) -> None:
    detector = OutlierDetector(OutlierRules(), "ab")
    for _ in range(9):  # four of them still run when it is ejected
        detector.record("a", False, 0.1, 0)
    assert detector.ejected("a")
    assert detector.passed_check("a", 30) if passed else detector.sweep(30)
    assert [bool(detector.record("a", False, 0.1, 31)) for _ in range(5)] == [False] * 4 + [True]


def test_an_ejection_is_never_longer_than_max_ejection() -> None:
    found = detector(consecutive=1, max_ejection=45)
    found.record("s1", False, 0, 0)
    found.sweep(30)
    assert found.record("s1", False, 0, 31).why.endswith("45 s")


def test_each_sweep_in_service_makes_the_next_ejection_shorter() -> None:
    found = detector(consecutive=1)
    found.record("s1", False, 0, 0)
    found.sweep(30)
    found.sweep(40)
    assert found.record("s1", False, 0, 41).why.endswith(": 30 s")


def test_at_most_a_share_is_out() -> None:
    found = detector(consecutive=1, max_ejected=0.3)
    changes = [found.record(name, False, 0, 0) for name in NAMES]
    assert sum(change is not None for change in changes) == 3


def test_one_may_always_be_ejected_or_not() -> None:
    assert detector(consecutive=1, max_ejected=0).record("s1", False, 0, 0)
    assert detector(consecutive=1, max_ejected=0, always_one=False).record("s1", False, 0, 0) is None


def test_success_rate_against_the_mean_of_all() -> None:
    """Nine backends at 100 %, one at 50 %: mean 95 %, deviation 15 %, so below 66.5 %."""
    found = detector(consecutive=0)
    for name in NAMES:
        feed(found, name, 50 if name == "s3" else 0, 100)
    (change,) = found.sweep(10)
    assert change.backend == "s3"
    assert "success rate 50.0%, below 66.5%" in change.why


def test_a_backend_with_few_requests_is_not_judged() -> None:
    found = detector(consecutive=0)
    for name in NAMES:
        feed(found, name, 99 if name == "s3" else 0, 99 if name == "s3" else 100)
    assert found.sweep(10) == []


def test_too_few_backends_are_not_compared() -> None:
    found = OutlierDetector(OutlierRules(consecutive=0), NAMES[:4])
    for name in NAMES[:4]:
        feed(found, name, 100 if name == "s3" else 0, 100)
    assert found.sweep(10) == []


def test_no_backend_is_ejected_if_all_fail_alike() -> None:
    found = detector(consecutive=0)
    for name in NAMES:
        feed(found, name, 60, 100)
    assert found.sweep(10) == []


def test_failure_percentage() -> None:
    found = detector(consecutive=0, stdev_factor=0, failure_rate=0.85, max_ejected=1)
    for name in NAMES:
        feed(found, name, 90 if name in ("s1", "s2") else 80, 100)
    assert [change.backend for change in found.sweep(10)] == ["s1", "s2"]


def test_latency() -> None:
    found = detector(consecutive=0, latency_factor=2)
    for name in NAMES:
        feed(found, name, 0, 100, latency=0.5 if name == "s7" else 0.1)
    (change,) = found.sweep(10)
    assert change.backend == "s7"
    assert "mean latency 0.5 s, above 0.38 s" in change.why


def test_a_passed_check_takes_it_back() -> None:
    found = detector(consecutive=1)
    found.record("s1", False, 0, 0)
    assert found.passed_check("s1", 5).after == IN
    assert found.passed_check("s1", 6) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.sampled_from([*NAMES, "gone"]), st.booleans()),
        st.tuples(st.just("sweep"), st.floats(0, 100), st.none()),
        st.tuples(st.just("remove"), st.sampled_from(NAMES), st.none()),
        st.tuples(st.just("add"), st.sampled_from(NAMES), st.none()),
    ),
    max_size=80,
)


@given(STEPS, st.floats(0, 1))
def test_any_order_of_events(steps: list, most: float) -> None:
    """Changes alternate for each backend, the share is kept, and all come back in the end."""
    found = detector(consecutive=2, max_ejected=most)
    now, out = 0.0, set()
    for what, name, ok in steps:
        changes = []
        if what == "record":
            before = len(out)
            changes = [change for change in [found.record(name, ok, 0.1, now)] if change]
            if changes:
                assert before == 0 or (before + 1) / len(found._hosts) <= most
        elif what == "sweep":
            now += name
            changes = found.sweep(now)
        elif what == "add":
            found.add(name)
        else:
            found.remove(name)
            out.discard(name)
        for change in changes:
            assert (change.backend in out) == (change.before == EJECTED)
            (out.add if change.after == EJECTED else out.discard)(change.backend)
        assert out == {n for n in NAMES if found.ejected(n)}
    found.sweep(now + 301)
    assert not any(found.ejected(n) for n in NAMES)


@pytest.mark.parametrize(
    "fields", [{"interval": 0}, {"max_ejected": 2}, {"consecutive": -1}, {"minimum_hosts": 0}]
)
def test_rules_that_make_no_sense(fields: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(fields))} is"):
        OutlierRules(**fields)
