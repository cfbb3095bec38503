from __future__ import annotations

import pytest

from lbkit.core import Backend, Pool, make_balancer
from lbkit.core.slow_start import SlowStart


def weights(pool: Pool) -> dict[str, float]:
    return {b.name: b.weight for b in pool.backends}


def test_a_new_backend_starts_slowly() -> None:
    old, new = Backend("old"), Backend("new", weight=2)
    pool = Pool([old], make_balancer("weighted_round_robin"), slow_start=SlowStart(window=20))
    pool.acquire("k", 0.0)
    assert weights(pool) == {"old": 1}  # backends that are there from the start are warm
    pool.add(new)
    pool.acquire("k", 100.0)  # its slow start begins at the first pick after it joined
    assert new.weight == pytest.approx(0.2)
    pool.acquire("k", 110.0)
    assert new.weight == pytest.approx(1.0)
    picks = new.picks
    for i in range(30):
        pool.acquire("k", 110.0 + i / 100)
    assert new.picks - picks == pytest.approx(15, abs=2)
    pool.acquire("k", 120.0)
    assert weights(pool) == {"old": 1, "new": 2}


def test_a_recovered_backend_starts_slowly_and_may_fail_again() -> None:
    pool = Pool(
        [Backend("a"), Backend("b", weight=4)], make_balancer("weighted_random"), slow_start=SlowStart(10)
    )
    pool.set_health("b", False)
    pool.set_health("b", True)
    pool.acquire("k", 0.0)
    pool.acquire("k", 5.0)
    assert weights(pool)["b"] == pytest.approx(2)
    pool.set_health("b", False)
    assert weights(pool)["b"] == 4  # its full weight is restored
    pool.set_health("b", True)
    assert weights(pool)["b"] == pytest.approx(0.4)


def test_a_weight_can_change_during_a_slow_start() -> None:
    pool = Pool([Backend("a")], make_balancer("weighted_random"), slow_start=SlowStart(10))
    pool.add(Backend("b"))
    pool.acquire("k", 0.0)
    pool.set_weight("b", 10)
    pool.acquire("k", 5.0)
    assert weights(pool)["b"] == pytest.approx(5)
    pool.acquire("k", 11.0)
    assert weights(pool)["b"] == 10


@pytest.mark.parametrize(
    ("start", "age", "share"),
    [
        (SlowStart(60), 0, 0.1),
        (SlowStart(60), 3, 0.1),  # Envoy: at least 10 %
        (SlowStart(60), 30, 0.5),
        (SlowStart(60, aggression=2.0), 15, 0.5),  # (1/4)^(1/2)
        (SlowStart(60, aggression=0.5), 30, 0.25),
        (SlowStart(60), 60, 1.0),
        (SlowStart(60, floor=1 / 16), 0, 1 / 16),
    ],
)
def test_the_weight_rises_along_the_curve(start: SlowStart, age: float, share: float) -> None:
    assert start.share(age) == pytest.approx(share)


@pytest.mark.parametrize("bad", [{"window": 0}, {"window": 1, "aggression": 0}, {"window": 1, "floor": 0}])
def test_wrong_options_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="use a"):
        SlowStart(**bad)


@pytest.mark.parametrize("algorithm", ["earliest_deadline", "weighted_round_robin", "least_connections"])
def test_explain_uses_the_weight_of_a_slow_start_at_that_time(algorithm: str) -> None:
    pool = Pool([Backend("a"), Backend("b")], make_balancer(algorithm), slow_start=SlowStart(20))
    pool.add(Backend("c", weight=3))
    live = []
    for i in range(200):
        lease = pool.acquire("k", i / 4, explain=True)
        assert lease.why
        assert lease.why.scores[lease.backend.name] == (max if lease.why.best == "highest" else min)(
            lease.why.scores.values()
        ), i
        live.append(lease)
        if len(live) > 6:
            live.pop(0).release(True, i / 4)
