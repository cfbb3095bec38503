"""Weights far apart: whole numbers keep their proportion, and what does not fit is refused by name."""

from __future__ import annotations

import random
from inspect import signature
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from variants import NAMES

from lbkit import Event, Experiment, ExperimentError, servers
from lbkit.core import Backend, Pool, SlowStart, algorithms, make_balancer
from lbkit.core.backend import whole_weights

# The algorithms that need whole weights.
WHOLE = (
    "interleaved_round_robin",
    "consecutive_round_robin",
    "static_round_robin",
    "fast_round_robin",
    "haproxy_map",
    "haproxy_random",
    "haproxy_ring",
    "nginx_hash",
    "nginx_ip_hash",
    "nginx_ring",
)


def picks(pool: Pool, number: int) -> list[int]:
    rng = random.Random(4)
    for i in range(number):
        key = ".".join(str(rng.randrange(256)) for _ in range(4))
        pool.release(pool.pick(key, i / number), i / number, True, i / number)
    return [b.picks for b in pool.backends]


@pytest.mark.parametrize(
    ("weights", "limit", "whole"),
    [
        ((1, 0.004), 1000, (250, 1)),
        ((1, 0.004), 256, (250, 1)),
        ((1, 0.004), 100, (100, 1)),
        ((1, 1e-9), 1000, (1000, 1)),
        ((1, 5e-324), 1000, (1000, 1)),
        ((1e300, 1e297, 0), 1000, (1000, 1, 0)),
        ((0.001, 0.003), 100, (1, 3)),
        ((1.5, 1, 0.5), 100, (3, 2, 1)),
        ((300, 200, 100), 100, (3, 2, 1)),
        ((1, 1 / 3), 256, (3, 1)),
        ((1, 0.33), 256, (100, 33)),
        ((150, 1), 256, (150, 1)),
        ((0, 0), 100, (0, 0)),
        ((), 100, ()),
    ],
)
def test_whole_numbers_are_as_small_as_can_be(
    weights: tuple[float, ...], limit: int, whole: tuple[int, ...]
) -> None:
    assert tuple(whole_weights(dict(enumerate(weights)), limit).values()) == whole


@given(st.lists(st.integers(1, 256), min_size=1, max_size=8))
def test_whole_weights_stay_in_proportion(weights: list[int]) -> None:
    whole = whole_weights(dict(enumerate(weights)), 256)
    assert all(whole[0] * w == whole[i] * weights[0] for i, w in enumerate(weights))


@pytest.mark.parametrize("algorithm", WHOLE)
def test_a_tiny_weight_gets_its_tiny_share(algorithm: str) -> None:
    """1 and 0.004 shared half and half."""
    spread = 1.1 if "round_robin" in algorithm else 3.0  # the share of a ring or a hash is luck
    pool = Pool([Backend("a"), Backend("tiny", weight=0.004)], make_balancer(algorithm))
    _, tiny = picks(pool, 20_000)
    spread = (
        3.0
        if algorithm[-1] == "r" or "hash" in algorithm or "ring" in algorithm or "random" in algorithm
        else 1.1
    )
    assert 80 / spread < tiny < 80 * spread, tiny


@pytest.mark.parametrize("algorithm", ["interleaved_round_robin", "consecutive_round_robin"])
def test_a_slow_start_from_a_thousandth(algorithm: str) -> None:
    pool = Pool([Backend("a")], make_balancer(algorithm), slow_start=SlowStart(1000.0, floor=0.001))
    pool.add(Backend("new"))
    _, new = picks(pool, 10_010)
    assert new == pytest.approx(10, abs=1)


TOO_LARGE: list[tuple[str, dict[str, Any], str]] = [
    ("consistent_hash", {"points": 10**8}, "points is 100000000: use a whole number .* at most 5000000"),
    ("maglev", {"slots": 10**9}, "slots is 1000000000: use a whole number .* at most 5000011"),
    ("multi_probe", {"probes": 10**7}, "probes is 10000000: use a whole number .* at most 1000"),
    ("power_of_choices", {"choices": 10**7, "weighted": True}, "choices is 10000000: .* at most 1000"),
    ("haproxy_random", {"draws": 10**7}, "draws is 10000000: use a whole number .* at most 1000"),
    ("prequal", {"size": 10**9}, "size is 1000000000: use a whole number .* at most 1000"),
    ("prequal", {"probes": 10**9}, "probes is 1000000000"),
    ("weighted_least_connections", {"bias": 1e6}, "bias is 1000000.0: use a number .* at most 30"),
]


@pytest.mark.parametrize(("algorithm", "options", "message"), TOO_LARGE)
def test_what_does_not_fit_is_refused_by_name(algorithm: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_balancer(algorithm, **options)


ON_A_RING = ("consistent_hash", "bounded_hash")


@pytest.mark.parametrize("algorithm", [n for n in NAMES if n not in ON_A_RING])
@pytest.mark.parametrize("weight", [1e9, 1e300])
def test_a_huge_weight_takes_no_more_memory(algorithm: str, weight: float) -> None:
    pool = Pool([Backend("a", weight=weight), Backend("b")], make_balancer(algorithm))
    assert sum(picks(pool, 500)) == 500


@pytest.mark.parametrize("algorithm", ON_A_RING)
def test_a_weight_that_does_not_fit_on_a_ring_is_refused_by_name(algorithm: str) -> None:
    message = r"weight of backend 'a' is 1e\+09: with 160 points a unit of weight there are more than 5000000"
    heavy = Backend("a", weight=1e9)
    with pytest.raises(ValueError, match=message):
        Pool([heavy, Backend("b")], make_balancer(algorithm))
    pool = Pool([Backend("a"), Backend("b")], make_balancer(algorithm))
    with pytest.raises(ValueError, match=message):
        pool.set_weight("a", 1e9)
    pool.remove("a")
    with pytest.raises(ValueError, match=message):
        pool.add(heavy)
    assert [b.weight for b in pool.backends] == [1.0]
    any_weight = Pool([heavy, Backend("b")], make_balancer("least_connections"))
    with pytest.raises(ValueError, match=message):
        any_weight.switch(make_balancer("cross_zone", inner=algorithm))
    assert any_weight.balancer.name == "least_connections"


@pytest.mark.parametrize("events", [(), [Event(1, "set_weight", "s1", 1e9)]])
def test_an_experiment_with_such_a_weight_is_refused(events: list[Event]) -> None:
    weight = 1.0 if events else 1e9
    with pytest.raises(ExperimentError, match=r"weight of backend 's1' is 1e\+09: with 160 points"):
        Experiment(servers(3, weight=weight), policy="consistent_hash", events=events)


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), -1, 0, True, "2"])
@pytest.mark.parametrize(
    ("algorithm", "option"),
    [
        ("power_of_choices", "choices"),
        ("consistent_hash", "points"),
        ("bounded_hash", "points"),
        ("multi_probe", "probes"),
        ("maglev", "slots"),
        ("first_available", "limit"),
        ("subset", "size"),
        ("prequal", "probes"),
        ("prequal", "size"),
        ("choice_of_two", "full"),
        ("choice_of_two", "draws"),
        ("haproxy_random", "draws"),
        ("ip_hash", "octets"),
    ],
)
def test_whole_options_are_checked_when_an_algorithm_is_built(
    algorithm: str, option: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=f"{option} is .*: use a whole number"):
        make_balancer(algorithm, **{option: value})


@pytest.mark.parametrize("value", [float("nan"), -1, "fast", True, None])
@pytest.mark.parametrize(
    ("algorithm", "option"),
    [
        ("peak_ewma", "decay"),
        ("least_response_time", "decay"),
        ("prequal", "age"),
        ("prequal", "hot"),
        ("prequal", "decay"),
        ("choice_of_two", "stale"),
        ("choice_of_two", "warmup"),
        ("choice_of_two", "busy"),
        ("choice_of_two", "failing"),
        ("client_side_weighted", "blackout"),
        ("client_side_weighted", "expires"),
        ("client_side_weighted", "update"),
        ("client_side_weighted", "penalty"),
        ("anomaly_mitigation", "window"),
        ("anomaly_mitigation", "excess"),
        ("anomaly_mitigation", "floor"),
        ("weighted_least_connections", "bias"),
        ("bounded_hash", "factor"),
        ("priority_levels", "overprovisioning"),
        ("locality_weighted", "overprovisioning"),
    ],
)
def test_options_are_checked_when_an_algorithm_is_built(algorithm: str, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{option} is .*: use a number"):
        make_balancer(algorithm, **{option: value})


@pytest.mark.parametrize("algorithm", NAMES)
def test_every_option_is_checked_when_an_algorithm_is_built(algorithm: str) -> None:
    """No number that is none gets as far as the first pick."""
    for name, parameter in signature(algorithms()[algorithm]).parameters.items():
        if type(parameter.default) in (int, float):
            with pytest.raises(ValueError, match=f"{name} is nan"):
                make_balancer(algorithm, **{name: float("nan")})


def test_a_warmup_of_nothing() -> None:
    pool = Pool([Backend("a"), Backend("b")], make_balancer("choice_of_two", warmup=0))
    assert min(picks(pool, 100)) > 20
