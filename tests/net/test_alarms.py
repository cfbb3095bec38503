"""Timers that share one of the loop's: each rings once, when it is due, unless it is cancelled."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.net import alarms
from lbkit.net.alarms import RESOLUTION, Alarm, AlarmsByLength


class Clock:
    """A clock, and a loop that runs by it; only what alarms use of them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, int, Callable[[], object]]] = []
        self.made = 0
        self.errors: list[Exception] = []

    def call_later(self, delay: float, then: Callable[[], object]) -> None:
        assert delay >= 0
        self.made += 1
        heapq.heappush(self.timers, (self.now + delay, self.made, then))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and self.timers[0][0] <= end:
            self.now, _, then = heapq.heappop(self.timers)
            try:
                then()
            except ValueError as error:
                self.errors.append(error)
        self.now = end


@contextmanager
def a_clock() -> Iterator[Clock]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alarms, "monotonic", lambda: clock.now)
        patch.setattr(asyncio, "get_running_loop", lambda: clock)
        yield clock


MOVES = st.one_of(
    st.tuples(st.just("set"), st.sampled_from([0.0, 0.5, 2.0, 30.0])),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("advance"), st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])),
)


@given(st.lists(MOVES, max_size=60))
def test_each_rings_once_when_it_is_due_unless_it_is_cancelled(moves: list[tuple[str, float]]) -> None:
    with a_clock() as clock:
        by_length = AlarmsByLength()
        made: list[Alarm] = []
        rung: dict[int, float] = {}
        expected: dict[int, float] = {}

        def rings(number: int) -> Callable[[], object]:
            def ring() -> None:
                assert number not in rung
                rung[number] = clock.now

            return ring

        for move, value in [*moves, ("advance", 100.0)]:
            if move == "set":
                expected[len(made)] = clock.now + value
                made.append(by_length.set(value, rings(len(made))))
            elif move == "advance":
                clock.advance(value)
            elif value < len(made):
                made[int(value)].cancel()
                if int(value) not in rung:
                    expected.pop(int(value), None)
        assert rung.keys() == expected.keys()
        assert all(abs(rung[number] - due) <= RESOLUTION + 1e-9 for number, due in expected.items())


def test_many_share_one_timer_of_the_loop() -> None:
    with a_clock() as clock:
        by_length = AlarmsByLength()
        for _ in range(1000):
            by_length.set(5.0, lambda: None).cancel()
            clock.advance(0.01)
        assert clock.made <= 3


def test_one_that_fails_stops_no_other() -> None:
    with a_clock() as clock:
        by_length, rung = AlarmsByLength(), []

        def fails() -> None:
            raise ValueError

        for then in (fails, lambda: rung.append(1), fails, lambda: rung.append(2)):
            by_length.set(1.0, then)
        clock.advance(1.0)
        assert rung == [1, 2]
        assert len(clock.errors) == 2


def test_lengths_that_are_no_longer_used_go() -> None:
    with a_clock():
        by_length = AlarmsByLength()
        kept = by_length.set(1.0, lambda: None)
        for policy in range(100):
            by_length.set(2.0 + policy, lambda: None).cancel()
        assert len(by_length) == 2  # that of `kept`, and the last
        kept.cancel()


def test_it_rings_in_a_loop() -> None:
    async def run() -> list[int]:
        by_length, rung, end = AlarmsByLength(), [], asyncio.Event()
        by_length.set(0.02, lambda: rung.append(1)).cancel()
        by_length.set(0.02, lambda: rung.append(2))
        by_length.set(0.02, lambda: (rung.append(3), end.set()))
        await asyncio.wait_for(end.wait(), 20)
        return rung

    assert asyncio.run(run()) == [2, 3]
