from __future__ import annotations

import pytest

from lbkit.core.health.max_fails import MaxFails, MaxFailsRules


def test_one_failure_is_enough_by_default_for_ten_seconds() -> None:
    fails = MaxFails(MaxFailsRules())
    assert fails.failed(3.0)
    assert fails.until == 13.0


def test_failures_must_fall_within_fail_timeout() -> None:
    fails = MaxFails(MaxFailsRules(max_fails=2, fail_timeout=10))
    assert not fails.failed(0.0)
    assert not fails.failed(10.1)  # the first one is forgotten
    assert fails.failed(15.0)


def test_a_later_success_forgets_them() -> None:
    fails = MaxFails(MaxFailsRules(max_fails=2))
    fails.failed(1.0)
    fails.succeeded(started=0.5)  # it was sent before the failure: it says nothing
    assert fails.failed(2.0)
    fails = MaxFails(MaxFailsRules(max_fails=2))
    fails.failed(1.0)
    fails.succeeded(started=1.5)
    assert not fails.failed(2.0)


def test_after_its_rest_one_failure_is_enough() -> None:
    fails = MaxFails(MaxFailsRules(max_fails=3, fail_timeout=10))
    assert [fails.failed(t) for t in (0, 1, 2)] == [False, False, True]
    assert not fails.failed(3)  # requests that were on their way
    fails.back()
    assert fails.failed(13)
    fails.back()
    fails.succeeded(started=30)
    assert not fails.failed(31)


@pytest.mark.parametrize("fields", [{"max_fails": 0}, {"max_fails": 1.5}, {"fail_timeout": 0}])
def test_rules_that_make_no_sense(fields: dict) -> None:
    with pytest.raises(ValueError, match="use"):
        MaxFailsRules(**fields)
