from __future__ import annotations

from lbkit.course.effort import ROUNDS, seconds_each


def test_each_item_is_worked_on_in_each_round_and_more_work_takes_longer() -> None:
    done: list[int] = []
    assert seconds_each(done.append, [1, 2]) >= 0
    assert done == [1, 2] * ROUNDS
    assert seconds_each(lambda n: sum(range(n)), [100_000]) > seconds_each(lambda n: sum(range(n)), [10])
