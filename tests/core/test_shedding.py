from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.shedding import AdmissionControl, AdmissionControlRules


def control(ok: int, failed: int, **fields) -> AdmissionControl:
    found = AdmissionControl(AdmissionControlRules(**fields), random.Random(1))
    for i in range(ok + failed):
        found.ended(i < ok, 0.0)
    return found


def test_envoys_formula() -> None:
    assert control(100, 0).rejection(0) == 0
    assert control(95, 5).rejection(0) == pytest.approx(0)
    assert control(50, 50).rejection(0) == pytest.approx((100 - 50 / 0.95) / 101)
    assert control(0, 1000).rejection(0) == 0.8  # at most
    assert control(50, 50, aggression=2).rejection(0) == pytest.approx(((100 - 50 / 0.95) / 101) ** 0.5)


def test_old_outcomes_are_forgotten() -> None:
    found = control(0, 100)
    assert found.rejection(29) > 0
    assert found.rejection(31) == 0


def test_little_traffic_is_left_alone() -> None:
    assert control(0, 59, minimum_rate=2).rejection(0) == 0
    assert control(0, 61, minimum_rate=2).rejection(0) > 0


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.5, 1), st.floats(0.2, 5))
def test_it_is_a_probability_that_falls_with_success(ok, failed, rate, aggression) -> None:
    rules = {"success_rate": rate, "aggression": aggression}
    now = control(ok, failed, **rules).rejection(0)
    assert 0 <= now <= 0.8
    assert control(ok + 1, failed, **rules).rejection(0) <= now + 1e-12


def test_as_many_are_rejected_as_the_probability_says() -> None:
    found = control(50, 50)
    share = sum(not found.admits(0) for _ in range(10_000)) / 10_000
    assert share == pytest.approx(found.rejection(0), abs=0.02)


@pytest.mark.parametrize(
    "fields", [{"success_rate": 0}, {"window": 0}, {"max_probability": 2}, {"aggression": 0}]
)
def test_rules_that_make_no_sense(fields: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(fields))} is"):
        AdmissionControlRules(**fields)
