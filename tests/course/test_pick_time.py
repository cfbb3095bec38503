"""The time of a pick is a ratio to round robin's in the same run."""

from __future__ import annotations

import pytest

from lbkit import Balancer, Policy
from lbkit.course import pick_time as module
from lbkit.course.pick_time import pick_time

pytestmark = pytest.mark.usefixtures("own_algorithms")


def test_a_pick_that_works_a_lot_takes_many_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUNDS", 3)
    monkeypatch.setattr(module, "PICKS", 50)

    class CountsToManyThousands(Balancer):
        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            sum(range(20_000))
            return backends[0]

    slow = pick_time(Policy("counts_to_many_thousands"))
    assert slow > 5 * pick_time(Policy("random"))


def test_the_ratio_is_of_the_two_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that moves by one at each look, both take as long."""
    looks = iter(range(10_000))
    monkeypatch.setattr(module, "processor_time", lambda: next(looks))
    assert pick_time(Policy("least_connections")) == 1.0
