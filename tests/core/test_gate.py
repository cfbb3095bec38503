"""The gate alone: no request is lost or early, and each rejection has its reason."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.gate import CLASSES, Gate, Refusal, Refused
from lbkit.core.limit import ConcurrencyLimit
from lbkit.core.queues import QUEUES, CoDel, Fifo, Item, PriorityQueue
from lbkit.core.shedding import AdmissionControl, AdmissionControlRules


def item(what: object, now: float = 0.0, key: str = "", priority: str = "normal") -> Item:
    return Item(what, key, 1.0, priority, now)


def through(gate: Gate, now: float) -> list[object]:
    """Return the requests that go on at this moment; none may be rejected."""
    found = []
    while entry := gate.next(now):
        assert isinstance(entry, Item)
        found.append(entry.what)
    return found


steps = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "done", "late", "wait"]),
        st.sampled_from(CLASSES),
        st.integers(0, 2),
    ),
    max_size=80,
)


@pytest.mark.parametrize("kind", QUEUES)
@given(steps)
def test_no_request_is_lost(kind: str, steps: list[tuple[str, str, int]]) -> None:
    """Every request waits, runs, has ended or was refused; never more run than may, nor faster."""
    limiter = ConcurrencyLimit(3, shares={"low": 0.5})
    gate = Gate(QUEUES[kind](), limiter, rate=4, burst=2, max_queue=4)
    now, waiting, running, over, refused, starts = 0.0, {}, set(), 0, 0, []

    def away(who: Refused | None) -> int:
        if who is None:
            return 0
        del waiting[who.item.what]
        return 1

    for number, (step, priority, key) in enumerate(steps):
        if step == "come":
            waiting[number] = new = item(number, now, str(key), priority)
            refused += away(gate.enter(new, now))
        elif step == "done" and running:
            running.pop()
            over += 1
            gate.done(now, 0.1, True)
        elif step == "late" and waiting:
            refused += away(gate.late(next(iter(waiting.values()))))
        elif step == "wait":
            now = gate.wake_at(now) or now + 0.125
        while entry := gate.next(now):
            if isinstance(entry, Refused):
                refused += away(entry)
            else:
                del waiting[entry.what]
                running.add(entry.what)
                starts.append(now)
        state = gate.state()
        assert (state["running"], state["waiting"]) == (len(running), len(waiting))
        assert len(running) <= 3
        assert len(waiting) <= 4
    assert refused == sum(gate.refused.values())
    assert len(waiting) + len(running) + over + refused == sum(step == "come" for step, *_ in steps)
    for i, first in enumerate(starts):
        for count, last in enumerate(starts[i:], 1):
            assert count <= 2 + 4 * (last - first) + 1e-6


def test_it_returns_when_to_call_again() -> None:
    gate = Gate(Fifo(), rate=4)
    for number in range(4):
        assert gate.enter(item(number), 0.0) is None
    now, moments = 0.0, []
    while True:
        moments += [now] * len(through(gate, now))
        wake = gate.wake_at(now)
        if wake is None:
            break
        now = wake
    assert [b - a for a, b in pairwise(moments)] == pytest.approx([0.25] * 3)


def test_a_request_that_waits_for_a_slot_is_not_woken_by_time() -> None:
    gate = Gate(Fifo(), ConcurrencyLimit(1))
    gate.enter(item("first"), 0.0)
    gate.enter(item("second"), 0.0)
    assert through(gate, 0.0) == ["first"]
    assert gate.wake_at(0.0) is None
    gate.done(1.0, 1.0, True)
    assert through(gate, 1.0) == ["second"]


def test_a_refusal_has_its_reason() -> None:
    gate = Gate(Fifo(), ConcurrencyLimit(4, shares={"low": 0.5}), max_queue=1)
    for number in range(2):
        assert gate.enter(item(number), 0.0) is None
        assert through(gate, 0.0) == [number]
    low, waits, more = item("low", priority="low"), item("waits"), item("more")
    assert gate.enter(low, 0.0) == Refused(low, Refusal.SHED)
    for number in (2, 3):
        gate.enter(item(number), 0.0)
        assert through(gate, 0.0) == [number]
    assert gate.enter(waits, 0.0) is None
    assert gate.enter(more, 0.0) == Refused(more, Refusal.FULL)
    assert gate.late(waits) == Refused(waits, Refusal.LATE)
    assert gate.state()["waiting"] == 0
    with pytest.raises((KeyError, ValueError)):
        gate.leave(waits)


def test_a_queue_of_zero() -> None:
    gate = Gate(Fifo(), ConcurrencyLimit(1), max_queue=0)
    assert gate.enter(item("first"), 0.0) is None
    assert through(gate, 0.0) == ["first"]
    second = item("second")
    assert gate.enter(second, 0.0) == Refused(second, Refusal.FULL)


def test_a_share_that_fills_while_one_waits() -> None:
    """It came in time for its share, but the rate let others go first."""
    gate = Gate(PriorityQueue(CLASSES), ConcurrencyLimit(2, shares={"low": 0.5}), rate=1)
    low = item("low", priority="low")
    gate.enter(item("first"), 0.0)
    gate.enter(item("high", priority="high"), 0.0)
    assert through(gate, 0.0) == ["high"]
    gate.done(0.5, 0.5, True)
    assert gate.enter(low, 0.5) is None
    assert through(gate, 1.0) == ["first"]
    assert gate.next(2.0) == Refused(low, Refusal.SHED)


def test_a_queue_with_controlled_delay_drops_only_when_there_is_a_place() -> None:
    gate = Gate(CoDel(target=0.1, interval=0.5), ConcurrencyLimit(1), max_queue=10, timeout=60)
    for i in range(4):
        gate.enter(item(i), 0.0)
    assert through(gate, 0.0) == [0]
    assert gate.next(9.0) is None  # 0 still runs: nothing may go, so nothing is dropped
    gate.done(9.0, 9.0, True)
    assert through(gate, 9.0) == [1]  # the wait is above the target from now on
    gate.done(9.6, 0.6, True)
    refused = gate.next(9.6)
    assert isinstance(refused, Refused)
    assert (refused.item.what, refused.why) == (2, Refusal.DELAYED)
    assert through(gate, 9.6) == [3]
    assert gate.state()["delayed"] == 1


def test_while_requests_fail_a_share_is_rejected_at_the_gate() -> None:
    control = AdmissionControl(AdmissionControlRules(window=10.0), random.Random(1))
    gate = Gate(Fifo(), control=control)
    for i in range(100):
        assert gate.enter(item(i), 0.0) is None
        assert through(gate, 0.0) == [i]
    for i in range(100):
        gate.done(0.0, 0.1, None if i < 50 else False)  # nothing is learned from the first ones
    assert control.rejection(0.0) == pytest.approx(50 / 51, abs=0.2)
    outcomes = [gate.enter(item(i), 1.0) for i in range(200)]
    why = [refused.why for refused in outcomes if refused]
    assert set(why) == {Refusal.FAILING, Refusal.FULL} or set(why) == {Refusal.FAILING}
    assert 130 < why.count(Refusal.FAILING) < 190  # 80 % at most
    assert gate.enter(item("later"), 20.0) is None or gate.refused[Refusal.FULL]
