from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest

from lbkit.core import AlgorithmError, Backend, Balancer, Intent, Pool, algorithms, make_balancer
from lbkit.core.backend import NEW_SAMPLE
from lbkit.core.balance import base


class _First(Balancer):
    """Picks the first backend and records its calls."""

    def __init__(self) -> None:
        self.seen: list[Sequence[Backend]] = []
        self.rebuilds: list[list[str]] = []
        self.told: list[tuple[str, float, bool | None]] = []

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        self.seen.append(backends)
        return backends[0]

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self.rebuilds.append([b.name for b in backends])

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        self.told.append((backend.name, latency, ok))


@pytest.fixture
def pool() -> Pool:
    return Pool([Backend("a"), Backend("b")], _First())


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_registry", dict(base._registry))


def test_every_lease_reports_its_outcome_once(pool: Pool) -> None:
    for ok in [True, False, None]:
        lease = pool.acquire("k", 10.0)
        lease.release(ok, 12.5)
        lease.release(True, 99.0)
    assert pool.balancer.told == [("a", 2.5, True), ("a", 2.5, False), ("a", 2.5, None)]


def test_latency_is_a_moving_average_of_the_successes(pool: Pool) -> None:
    a = pool["a"]
    pool.acquire("k", 0.0).release(True, 1.0)
    assert a.latency == 1.0
    pool.acquire("k", 0.0).release(True, 3.0)
    assert a.latency == pytest.approx(1.0 * (1 - NEW_SAMPLE) + 3.0 * NEW_SAMPLE)
    before = a.latency
    pool.acquire("k", 0.0).release(False, 9.0)
    pool.acquire("k", 0.0).release(None, 9.0)
    assert a.latency == before


def test_the_newest_sample_counts_for_a_twentieth() -> None:
    """As in nginx's least_time, 0.95 and 0.05: one with 1 and 3 s is still better than one with 1.15 s."""
    pool = Pool([Backend("a"), Backend("b")], make_balancer("least_response_time", decay=inf))
    for name, latency in (("a", 1.0), ("b", 1.15), ("a", 3.0)):
        backend = pool.pick("k", 0.0, [b for b in pool.backends if b.name != name])
        pool.release(backend, 0.0, True, latency)
    assert pool["a"].latency == pytest.approx(0.95 * 1.0 + 0.05 * 3.0)
    assert pool.pick("k", 9.0).name == "a"


def test_the_same_tuple_until_something_changes(pool: Pool) -> None:
    for _ in range(3):
        pool.acquire("k", 0.0)
    first, *rest = pool.balancer.seen
    assert all(seen is first for seen in rest)
    pool.set_health("a", True)  # as it was
    pool.set_intent("b", Intent.READY, 0.0)
    pool.acquire("k", 0.0)
    assert pool.balancer.seen[-1] is first
    assert pool.balancer.rebuilds == [["a", "b"]]


def test_the_balancer_is_rebuilt_at_every_change(pool: Pool) -> None:
    pool.set_health("a", False)
    pool.set_health("a", True)
    pool.set_intent("b", Intent.DRAIN, 0.0)
    pool.set_intent("b", Intent.OUT, 0.0)
    pool.set_weight("a", 0)
    pool.add(Backend("c"))
    pool.remove("c")
    assert pool.balancer.rebuilds == [["a", "b"], ["b"], ["a", "b"], ["a"], ["a"], [], ["c"], []]


def test_a_new_balancer_gets_what_is_eligible(pool: Pool) -> None:
    lease = pool.acquire("k", 0.0)
    pool.set_health("a", False)
    new = _First()
    pool.switch(new)
    assert new.rebuilds == [["b"]]
    lease.release(True, 1.0)
    assert new.told == [("a", 1.0, True)]


def test_wrong_members() -> None:
    with pytest.raises(ValueError, match="two backends are named 'a'"):
        Pool([Backend("a"), Backend("a")], _First())
    pool = Pool([Backend("a"), Backend("b")], _First())
    with pytest.raises(ValueError, match="'a' is in the pool already"):
        pool.add(Backend("a"))
    with pytest.raises(KeyError, match="no backend 'x' in the pool: there are a, b"):
        pool.remove("x")
    assert ("a" in pool, "x" in pool, len(pool)) == (True, False, 2)


@pytest.mark.parametrize("weight", [-1, float("inf"), float("nan")])
def test_wrong_weights(pool: Pool, weight: float) -> None:
    with pytest.raises(ValueError, match="weight of backend 'a'"):
        pool.set_weight("a", weight)
    with pytest.raises(ValueError, match="weight of backend 'n'"):
        Backend("n", weight=weight)
    assert (pool["a"].weight, pool.eligible) == (1.0, pool.backends)


def test_a_backend_says_how_it_is() -> None:
    backend = Backend("a", weight=2)
    assert repr(backend) == "<Backend a weight=2 in_flight=0 ready>"
    backend.intent = Intent.DRAIN
    assert repr(backend) == "<Backend a weight=2 in_flight=0 drain>"
    backend.healthy = False
    assert repr(backend) == "<Backend a weight=2 in_flight=0 unhealthy>"


# -- the register -----------------------------------------------------------------------


@pytest.mark.usefixtures("own_registry")
def test_a_class_with_only_pick_is_an_algorithm() -> None:
    class LastOne(Balancer):
        def __init__(self, offset: int = 1) -> None:  # calls no super().__init__()
            self.offset = offset

        def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
            assert self.rng.random() < 1
            return backends[-self.offset]

    assert algorithms()["last_one"] is LastOne
    pool = Pool([Backend(name) for name in "abc"], make_balancer("last_one", offset=2))
    assert pool.acquire("k", 0.0).backend.name == "b"
    assert pool.acquire("k", 0.0, exclude=[pool["b"]]).backend.name == "a"


@pytest.mark.usefixtures("own_registry")
def test_a_cell_may_be_run_again_but_not_take_a_name_of_ours() -> None:
    for _ in range(2):  # as a notebook cell that is run twice

        class Mine(Balancer):
            pass

    assert algorithms()["mine"] is Mine
    with pytest.raises(ValueError, match="lbkit has a 'round_robin' of its own: give RoundRobin another"):

        class RoundRobin(Balancer):
            pass

    with pytest.raises(AlgorithmError, match="Mine has no pick"):
        Pool([Backend("a")], Mine()).acquire("k", 0.0)


def test_names() -> None:
    assert {
        "consistent_hash",
        "ip_hash",
        "least_connections",
        "least_response_time",
        "power_of_two",
        "random",
        "round_robin",
        "weighted_round_robin",
    } <= algorithms().keys()
    assert not any(name.startswith("_") for name in algorithms())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rund_robin", {}, "no algorithm 'rund_robin': did you mean round_robin?"),
        ("zzz", {}, "no algorithm 'zzz': there are .*consistent_hash, .*ip_hash"),
        (
            "round_robin",
            {"points": 3},
            "'round_robin' .* options: unknown option points; there are none",
        ),
        (
            "round_robin",
            {"rng": 3},
            "'round_robin' .* options: unknown option rng; there are none",
        ),
        (
            "round_robin",
            {"name": "x"},
            "'round_robin' .* options: unknown option name; there are none",
        ),
        ("consistent_hash", {"points": 0}, "points is 0"),
    ],
)
def test_wrong_names_and_options(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_balancer(name, **options)


# -- panic ------------------------------------------------------------------------------


def test_panic() -> None:
    """Under half healthy: all get traffic again, but for those that the operator took out."""
    pool = Pool([Backend(n) for n in "abcdef"], make_balancer("round_robin"), panic=0.5)
    pool.set_intent("f", Intent.DRAIN, 0.0)
    for name in "ab":
        pool.set_health(name, False)
    assert {b.name for b in pool.eligible} == set("cde")  # 3 of 5
    pool.set_health("c", False)
    assert {b.name for b in pool.eligible} == set("abcde")  # 2 of 5
    pool.set_health("c", True)
    assert {b.name for b in pool.eligible} == set("cde")
    with pytest.raises(ValueError, match="panic is 50"):
        Pool([], make_balancer("round_robin"), panic=50)
