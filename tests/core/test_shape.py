from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core import Backend
from lbkit.core.meter import LoadMeter
from lbkit.core.queues import QUEUES, CoDel, FairQueue, Fifo, Item, Lifo, PriorityQueue
from lbkit.core.shape import Shaper

every_queue = pytest.mark.parametrize("kind", QUEUES)
costs = st.sampled_from([0.25, 0.5, 1.0])
comings = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 8]),
        st.sampled_from("abc"),
        costs,
        st.sampled_from(["high", "normal", "low", "?"]),
    ),
    max_size=60,
)


def drained(shaper: Shaper, now: float, until: float = float("inf")) -> list[tuple[float, Item]]:
    """Everything that leaves, and when, if it is taken as soon as it may go."""
    out = []
    while (ready := shaper.ready_at(now)) is not None and ready <= until:
        now = ready
        item = shaper.take(now)
        if item is None:  # the sums of floats fell short by a last digit
            now += 1e-9
            continue
        out.append((now, item))
    return out


@every_queue
@given(comings=comings)
def test_all_leave_once_in_order_of_their_own_and_not_too_fast(kind: str, comings: list) -> None:
    shaper = Shaper(rate=2, burst=2, queue=QUEUES[kind](), max_queue=100)
    now, out = 0.0, []
    for i, (gap, key, cost, priority) in enumerate(comings):
        then = now + gap / 8
        out += drained(shaper, now, then)
        now = then
        assert shaper.offer(i, now, key, cost, priority) is None
    out += drained(shaper, now)
    assert sorted(item.what for _, item in out) == list(range(len(comings)))
    assert len(shaper) == 0
    for key in "abc" if kind != "lifo" else "":  # within a key and class nobody overtakes
        for priority in ("high", "normal", "low"):
            mine = [item.what for _, item in out if (item.key, item.priority) == (key, priority)]
            assert mine == sorted(mine)
    times = [when for when, _ in out]
    for i, first in enumerate(times):
        for j in range(i, len(times)):
            admitted = sum(item.cost for _, item in out[i : j + 1])
            assert admitted <= 2 + 2 * (times[j] - first) + 1e-6


@every_queue
def test_the_whole_rate_is_used_while_requests_wait(kind: str) -> None:
    """Work conservation: as long as the queue is not empty, the whole rate is used."""
    shaper = Shaper(rate=10, queue=QUEUES[kind]())
    for i in range(50):
        shaper.offer(i, 0.0, key=str(i % 3))
    assert drained(shaper, 0.0)[-1][0] == pytest.approx(4.9)


@every_queue
def test_bounded(kind: str) -> None:
    shaper = Shaper(rate=1, queue=QUEUES[kind](), max_queue=5)
    items = [Item(i, str(i % 2), 1.0, "", 0.0) for i in range(7)]
    out = [shaper.put(item) for item in items]
    # A full queue rejects the newcomers; last come, first served, the oldest, which come last.
    assert out == [None] * 5 + (items[:2] if kind == "lifo" else items[5:])
    kept = [item for item in items if item not in out]
    first = shaper.take(0.0)
    assert first == (kept[-1] if kind == "lifo" else kept[0])
    assert shaper.offer("new", 1.9) is None
    for item in (item for item in kept if item != first):
        shaper.queue.discard(item)
    assert len(shaper) == 1
    (rest,) = drained(shaper, 2.0)
    assert rest[1].what == "new"
    assert shaper.take(9.0) is None
    assert shaper.ready_at(9.0) is None


def test_a_busy_key_delays_only_its_own_requests() -> None:
    served: dict[str, Counter[str]] = {}
    for name, queue in (("fifo", Fifo()), ("fair", FairQueue())):
        shaper = Shaper(rate=10, queue=queue)
        for i in range(90):
            shaper.offer(i, 0.0, key="greedy")
        for i in range(10):
            shaper.offer(i, 0.0, key="modest")
        served[name] = Counter(item.key for when, item in drained(shaper, 0.0) if when < 2)
    assert served["fifo"] == {"greedy": 20}
    assert served["fair"] == {"greedy": 10, "modest": 10}


def test_a_busy_key_does_not_fill_the_queue() -> None:
    """A full fair queue evicts the last of the longest line; a plain one rejects the newcomer."""
    for queue, out in ((FairQueue(), ["g9", "g8", "g7", "g6"]), (Fifo(), ["m0", "m1", "m2", "m3"])):
        shaper = Shaper(rate=1, queue=queue, max_queue=10)
        assert [shaper.offer(f"g{i}", 0.0, key="greedy") for i in range(10)] == [None] * 10
        assert [shaper.offer(f"m{i}", 0.0, key="modest") for i in range(4)] == out
        assert len(shaper) == 10


def test_a_higher_class_takes_the_place_of_a_lower() -> None:
    shaper = Shaper(rate=1, queue=PriorityQueue(inner=FairQueue), max_queue=3)
    for i in range(2):
        assert shaper.offer(f"low {i}", 0.0, priority="low") is None
    assert shaper.offer("normal", 0.0, priority="normal") is None
    assert shaper.offer("unknown", 0.0, priority="?") == "unknown"  # the lowest class
    assert shaper.offer("high 0", 0.0, priority="high") == "low 1"
    assert shaper.offer("high 1", 0.0, priority="high") == "low 0"
    assert shaper.offer("high 2", 0.0, priority="high") == "normal"
    assert shaper.offer("high 3", 0.0, priority="high") == "high 3"
    assert [item.what for _, item in drained(shaper, 0.0)] == ["high 0", "high 1", "high 2"]


def test_without_a_pace_all_may_go_at_once() -> None:
    shaper = Shaper(rate=float("inf"))
    for i in range(5):
        shaper.offer(i, 0.0)
    assert [when for when, _ in drained(shaper, 0.0)] == [0.0] * 5
    with pytest.raises(ValueError, match="rate is 0"):
        Shaper(rate=0)


@given(
    st.lists(costs, min_size=60, max_size=60),
    st.lists(costs, min_size=60, max_size=60),
    st.sampled_from([0.25, 1.0, 3.0]),
)
def test_fair_in_cost_not_in_number(a: list[float], b: list[float], quantum: float) -> None:
    """While both have something waiting they are never further apart than a quantum and a request."""
    queue = FairQueue(quantum)
    for i in range(60):
        queue.push(Item(i, "a", a[i], "", 0.0))
        queue.push(Item(i, "b", b[i], "", 0.0))
    used = {"a": 0.0, "b": 0.0}
    left = {"a": 60, "b": 60}
    while all(left.values()):
        item = queue.pop(0.0)
        used[item.key] += item.cost
        left[item.key] -= 1
        assert abs(used["a"] - used["b"]) <= quantum + 1.0 + 1e-9
    assert len(queue) == sum(left.values())


def test_an_idle_key_earns_no_credit() -> None:
    queue = FairQueue()
    for i in range(20):
        queue.push(Item(i, "busy", 1.0, "", 0.0))
    for _ in range(10):
        queue.pop(0.0)
    for i in range(10):
        queue.push(Item(i, "late", 1.0, "", 0.0))
    order = "".join(queue.pop(0.0).key[0] for _ in range(10))
    assert order in ("blblblblbl", "lblblblblb")


def test_classes_and_patience() -> None:
    queue = PriorityQueue(patience=5.0)
    shaper = Shaper(rate=1, queue=queue)
    shaper.offer("unimportant", 0.0, priority="low")
    for second in range(20):
        shaper.offer(f"vip {second}", float(second), priority="high")
    out = [(when, item.what) for when, item in drained(shaper, 0.0)]
    when = next(when for when, what in out if what == "unimportant")
    assert 5.0 <= when <= 6.0  # after its patience, and not after twenty
    assert [what for _, what in out][:3] == ["vip 0", "vip 1", "vip 2"]


def test_the_highest_class_keeps_its_slots_however_many_wait_below() -> None:
    """All slots until a request runs out of patience, three of four afterwards; the others go by age."""
    queue = PriorityQueue(patience=5.0, every=4)
    shaper = Shaper(rate=1, queue=queue)
    for i in range(40):
        for priority in ("low", "high", "normal"):
            shaper.offer(priority, i / 100, priority=priority)
    out = [(when, item.what) for when, item in drained(shaper, 0.0)]
    assert {what for when, what in out if when < 5} == {"high"}
    busy = [what for when, what in out if when >= 6][:40]
    places = [i for i, what in enumerate(busy) if what != "high"]
    assert {b - a for a, b in pairwise(places)} == {4}
    assert [busy[i] for i in places[:4]] == ["low", "normal", "low", "normal"]


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="every is 0"):
        PriorityQueue(every=0)
    with pytest.raises(ValueError, match="rate is 0"):
        Shaper(rate=0)
    with pytest.raises(ValueError, match="cost is 3: the burst is 1"):
        Shaper(rate=1).offer("x", 0.0, cost=3)
    with pytest.raises(ValueError, match="classes: there must be"):
        PriorityQueue(classes=())
    with pytest.raises(ValueError, match="quantum is 0"):
        FairQueue(quantum=0)


@pytest.mark.parametrize("start", [0.0, 1e7, 1.7e9, 4e9])
@pytest.mark.parametrize("rate", [3, 10, 333, 1000])
def test_requests_that_come_at_the_rate_never_wait(rate: float, start: float) -> None:
    """However late it is: a float is rarely the moment that was meant."""
    shaper = Shaper(rate)
    for i in range(1000):
        now = start + i / rate
        shaper.offer(i, now)
        item = shaper.take(now)
        assert item, i
        assert item.what == i


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FairQueue(1e-9), "quantum is 1e-09: use a number at least 0.001"),
        (lambda: FairQueue(nan), "quantum is nan"),
        (lambda: PriorityQueue(every=2.5), "every is 2.5: use a whole number"),
        (lambda: PriorityQueue(patience=nan), "patience is nan"),
        (lambda: Shaper(nan), "rate is nan: use a number above 0, or inf"),
        (lambda: Shaper(1, max_queue=0), "max_queue is 0: use a whole number of at least 1"),
        (lambda: LoadMeter(workers=0), "workers is 0: use a whole number of at least 1"),
        (lambda: LoadMeter(half_life=0), "half_life is 0.*: use a number above 0"),
        (lambda: Backend("a", weight="heavy"), "weight of backend 'a' is 'heavy': use a number from 0"),
        (lambda: Backend("a", weight=10**400), "weight of backend 'a' is 1000.*: use a number from 0"),
    ],
)
def test_wrong_options_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# -- last come, first served, and controlled delay -------------------------------------------------


def test_in_overload_the_newest_are_answered_in_time_and_with_fifo_none_is() -> None:
    """20 requests a second, of which 10 can go, and clients that wait for half a second."""
    in_time = {}
    for name, queue in (("fifo", Fifo()), ("lifo", Lifo())):
        shaper = Shaper(rate=10, queue=queue, max_queue=50)
        out: list[tuple[float, Item]] = []
        for i in range(1200):
            out += drained(shaper, i / 20, (i + 0.9) / 20)
            shaper.offer(i, (i + 0.9) / 20)
        late = [when - item.since for when, item in out if when > 30]
        in_time[name] = sum(wait < 0.5 for wait in late) / len(late)
    assert in_time["fifo"] == 0
    assert in_time["lifo"] > 0.95


class Line:
    """A CoDel of which one request may go every `step` seconds."""

    def __init__(self, **options: float) -> None:
        self.queue = CoDel(**options)
        self.dropped: list[float] = []

    def turn(self, now: float) -> Item | None:
        while self.queue.overdue(now):
            self.dropped.append(now)
        return self.queue.pop(now) if len(self.queue) else None

    def come(self, now: float) -> None:
        self.queue.push(Item(now, "", 1.0, "", now))


def test_a_burst_passes_and_a_standing_queue_is_dropped_faster_and_faster() -> None:
    burst = Line(target=0.05, interval=1.0)
    for _ in range(50):
        burst.come(0.0)
    for i in range(50):  # half a second, though most have waited for longer than the target
        burst.turn(i / 100)
    assert burst.dropped == []
    line = Line(target=0.05, interval=1.0)
    for _ in range(100):
        line.come(0.0)
    for i in range(1, 600):  # as many come as go: the queue would stand for ever
        line.come(i / 100)
        line.turn(i / 100)
    gaps = [b - a for a, b in pairwise(line.dropped)]
    # RFC 8289: the first after an interval above the target, then after interval / sqrt(n).
    assert line.dropped[0] == pytest.approx(1.06, abs=0.02)
    assert gaps[:4] == pytest.approx([1, 1 / 2**0.5, 1 / 3**0.5, 1 / 4**0.5], abs=0.02)


def test_below_the_target_nothing_is_dropped() -> None:
    line = Line(target=0.05, interval=0.1)
    for i in range(1000):
        line.come(i / 100)
        line.turn(i / 100 + 0.04)
    assert line.dropped == []


def test_dropping_ends_when_the_wait_is_short() -> None:
    line = Line(target=0.05, interval=0.1)
    for i in range(40):
        line.come(i / 100)
    for i in range(40):
        line.turn(0.4 + i / 100)
    assert line.dropped
    before = len(line.dropped)
    for i in range(200):
        line.come(10 + i / 100)
        line.turn(10 + i / 100)
    assert len(line.dropped) == before
