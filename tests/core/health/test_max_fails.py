from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.health.max_fails import MaxFails, MaxFailsRules


def test_one_failure_is_enough_by_default_for_ten_seconds() -> None:
    fails = MaxFails(MaxFailsRules())
    assert fails.failed(3.0)
    assert fails.until == 13.0


def test_only_a_success_long_after_the_last_failure_forgives() -> None:
    fails = MaxFails(MaxFailsRules(max_fails=2, fail_timeout=10))
    assert not fails.failed(0.0)
    fails.succeeded(started=10.0)
    assert fails.failed(10.1)
    fails = MaxFails(MaxFailsRules(max_fails=2, fail_timeout=10))
    assert not fails.failed(0.0)
    fails.succeeded(started=10.1)
    assert not fails.failed(11)


def test_time_alone_forgives_nothing() -> None:
    fails = MaxFails(MaxFailsRules(max_fails=2, fail_timeout=10))
    assert not fails.failed(0.0)
    assert fails.failed(1000.0)


class Nginx:
    """The two functions of ngx_http_upstream_round_robin.c that decide, as they are there."""

    def __init__(self, max_fails: int, fail_timeout: float) -> None:
        self.max_fails, self.fail_timeout = max_fails, fail_timeout
        self.fails = 0
        self.accessed = self.checked = -1e9

    def get(self, now: float) -> bool:
        if self.fails >= self.max_fails and now - self.checked <= self.fail_timeout:
            return False
        if now - self.checked > self.fail_timeout:
            self.checked = now
        return True

    def free(self, ok: bool, now: float) -> None:
        if not ok:
            self.fails += 1
            self.accessed = self.checked = now
        elif self.accessed < self.checked:
            self.fails = 0


@given(
    st.integers(1, 4), st.integers(0, 6), st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=60)
)
def test_it_is_what_nginx_computes(max_fails: int, timeout: int, history: list[tuple[int, bool]]) -> None:
    """Requests one after the other; times of nginx are whole seconds, and the timeout never ends on one."""
    nginx = Nginx(max_fails, timeout + 0.5)
    ours = MaxFails(MaxFailsRules(max_fails, timeout + 0.5))
    now = 0
    for seconds, ok in history:
        now += seconds
        if ours.until is not None and now >= ours.until:
            ours.back()
        available = nginx.get(now)
        assert available == (ours.until is None)
        if available:
            nginx.free(ok, now)
            ours.succeeded(now) if ok else ours.failed(now)


def test_after_its_rest_one_failure_is_enough() -> None:
    fails = MaxFails(MaxFailsRules(max_fails=3, fail_timeout=10))
    assert [fails.failed(t) for t in (0, 1, 2)] == [False, False, True]
    assert not fails.failed(3)  # requests that were on their way
    assert fails.until == 13
    fails.back()
    assert fails.failed(13)
    fails.back()
    fails.succeeded(started=30)
    assert not fails.failed(31)


@pytest.mark.parametrize("fields", [{"max_fails": 0}, {"max_fails": 1.5}, {"fail_timeout": 0}])
def test_rules_that_make_no_sense(fields: dict) -> None:
    with pytest.raises(ValueError, match="use"):
        MaxFailsRules(**fields)
