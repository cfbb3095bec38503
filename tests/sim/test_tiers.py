"""Layers of balancers in virtual time: closed forms, conservation, failures of balancers, name servers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import (
    Admission,
    AttemptTimeouts,
    Caching,
    CheckRules,
    Closed,
    Constant,
    Event,
    Experiment,
    Exponential,
    HealthRules,
    Patience,
    Policy,
    Result,
    Retry,
    Server,
    Tier,
    Traffic,
    run,
    servers,
)
from lbkit.tier import Node

CHECKED = Policy("round_robin", health=HealthRules(checks=CheckRules(interval=1.0, timeout=0.5)))
SHORT = Traffic(duration=20, clients=50)
WORK = Exponential(0.05)  # seconds: few requests are enough


def world(policy: Policy | str = "random", **fields: Any) -> Experiment:
    """Two regions, one of which has zones."""
    x, y, z = (Server(name, service=WORK) for name in "xyz")
    zones = [
        Tier("a", servers(2, service=WORK), policy, distance=0.001),
        Tier("b", [x, y], policy),
    ]
    regions = [Tier("eu", zones, policy, distance=0.01), Tier("us", [z], policy, distance=0.05)]
    return Experiment(regions, SHORT, policy, **fields).at_load(0.5)


def test_a_chain_of_tiers_is_its_server_and_the_distances() -> None:
    flat = Experiment(Server("s1"), Traffic(duration=200)).at_load(0.8)
    chain = flat.but(servers=[Tier("a", Tier("b", Server("s1"), distance=0.02), distance=0.1)])
    alone, behind = run(flat), run(chain)
    assert behind.backend == alone.backend
    assert behind.status == alone.status
    assert behind.service == alone.service
    assert list(behind.latency) == pytest.approx([latency + 0.24 for latency in alone.latency])


def test_randomly_split_tiers_of_single_servers_are_such_servers_again() -> None:
    """Jackson (1957): a split Poisson stream is Poisson, so each server is an M/M/1 queue of its own."""
    work = Exponential(1.0)
    below = [Tier("c", Server("x", service=work)), Server("y", service=work)]
    tree = [Tier("a", servers(3, service=work), "random"), Tier("b", below, "random")]
    experiment = Experiment(tree, Traffic(duration=20_000, warmup=100), "random", seed=3)
    result = run(experiment.at_load(0.4))
    rate = {"s1": 1 / 6, "s2": 1 / 6, "s3": 1 / 6, "x": 1 / 4, "y": 1 / 4}  # of all arrivals
    for server in experiment.leaves:
        arrivals = rate[server.name] * 0.4 * experiment.capacity
        wanted = 1 / (server.capacity - arrivals)
        latencies = result.latencies(server.name)
        assert sum(latencies) / len(latencies) == pytest.approx(wanted, rel=0.05)


def test_the_same_experiment_has_the_same_result_to_the_last_bit() -> None:
    broken = world(CHECKED, events=[Event(3, "crash", "eu"), Event(9, "recover", "eu")])
    one, other = run(broken), run(broken)
    assert one.columns == other.columns
    assert tuple(one.layers) == tuple(other.layers)


# -- conservation -----------------------------------------------------------------------------

FAULTS = st.tuples(st.sampled_from(["crash", "hang"]), st.sampled_from(["s1", "s2", "x", "y", "z"]))
OF_TIERS = st.tuples(st.sampled_from(["crash", "hang"]), st.sampled_from(["a", "b", "eu", "us"]))


def happening(faults: list[tuple[str, str]]) -> list[Event]:
    events = []
    for i, (action, node) in enumerate(faults):
        events += [Event(2 + i, action, node), Event(12 + i / 2, "recover", node)]
    return events


@settings(max_examples=25)
@given(st.lists(FAULTS, max_size=4), st.integers(0, 2), st.integers(1, 3), st.integers(0, 99))
def test_each_request_ends_at_one_server_or_is_counted_by_the_layer_that_had_none(
    faults: list[tuple[str, str]], retries: int, queue: int, seed: int
) -> None:
    experiment = world(Policy("random", retries=retries), events=happening(faults)).but(seed=seed)
    result = run(experiment.but(servers=tuple(bounded(node, queue) for node in experiment.servers)))
    assert len(result) == result.layers[0].requests
    assert sum(layer.own for layer in result.layers) == Counter(result.backend)[-1]
    assert sum(result.counts.values()) + Counter(result.backend)[-1] >= len(result)
    for layer in result.layers[1:]:  # what goes in above comes in below, as no tier fails
        above = result.layers[layer.above]
        tiers = [other.requests for other in result.layers if other.name in above.below]
        leaves = [name for name in above.below if name in result.backends]
        assert sum(tiers) <= above.attempts
        if not leaves:
            assert sum(tiers) == above.attempts


def bounded(node: Node, queue: int) -> Node:
    """Return the tree with bounded queues, so that servers refuse requests, too."""
    if isinstance(node, Server):
        return Server(node.name, queue=queue, service=node.service)
    return Tier(node.name, [bounded(n, queue) for n in node.servers], node.policy, distance=node.distance)


@settings(max_examples=25)
@given(st.lists(OF_TIERS, max_size=3), st.lists(FAULTS, max_size=2), st.booleans(), st.integers(0, 99))
def test_whatever_breaks_each_request_has_one_end(
    broken: list[tuple[str, str]], faults: list[tuple[str, str]], checked: bool, seed: int
) -> None:
    policy = CHECKED if checked else Policy("round_robin", retries=2)
    result = run(world(policy, events=happening(broken + faults)).but(seed=seed))
    assert len(result) == result.layers[0].requests
    for status, backend, arrival, end in zip(
        result.status, result.backend, result.arrival, result.end, strict=True
    ):
        assert end >= arrival
        assert (backend >= 0) == (status == 200)


# -- each kind of simulation has tiers -------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "patience": {"patience": Patience(timeout=0.5)},
    "retry": {"policy": Policy(retry=Retry(timeouts=AttemptTimeouts(first_byte=0.5)))},
    "cache": {"cache": Caching("max-age=60")},
    "admission": {"admission": Admission(limit={"kind": "concurrency_limit", "limit": 4})},
    "closed": {"traffic": Traffic(Closed(users=5, think=0.1), duration=20)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_tiers_are_below_each_kind_of_entrance(kind: str) -> None:
    experiment = world()
    result = run(experiment.but(**KINDS[kind]))
    assert len(result) > 100
    assert {result.backends[b] for b in result.backend if b >= 0} == {"s1", "s2", "x", "y", "z"}


def test_a_tier_has_retries_and_admission_of_its_own() -> None:
    late = Policy(retry=Retry(timeouts=AttemptTimeouts(first_byte=0.3)), retries=2)
    gate = Admission(limit={"kind": "concurrency_limit", "limit": 1}, max_queue=0)
    tree = [
        Tier("late", [Server("slow", speed=0.01), Server("s2")], late),
        Tier("gate", servers(1), admission=gate),
    ]
    result = run(Experiment(tree, Traffic(duration=20), "round_robin").at_load(0.4))
    assert result.layers["late"].retries > 10
    assert result.layers["gate"].own > 10
    assert result.layers["entrance"].retries == 0


# -- failures of balancers ----------------------------------------------------------------------


def failures(result: Result) -> list[float]:
    return [at for at, status in zip(result.arrival, result.status, strict=True) if status != 200]


def test_the_layer_above_notices_a_balancer_that_crashes_and_those_below_do_not() -> None:
    result = run(world(CHECKED, events=[Event(5, "crash", "eu"), Event(15, "recover", "eu")]))
    layers = result.layers
    assert 5 < layers["entrance"].taken_out("eu", 5) <= 8
    assert layers["entrance"].seen
    assert not layers["eu"].changes
    assert layers["entrance"].changes[-1].after == "up"


def test_a_zone_notices_its_server_and_the_layers_above_see_nothing() -> None:
    result = run(world(CHECKED, events=[Event(5, "crash", "s1"), Event(15, "recover", "s1")]))
    assert 5 < result.layers["a"].taken_out("s1", 5) <= 8
    assert not result.layers["eu"].changes
    assert not result.layers["entrance"].seen
    assert not failures(result)
    assert [(found.server, found.by) for found in result.detections] == [("s1", "check")]


def test_a_balancer_without_servers_fails_its_own_checks() -> None:
    both = [Event(5, "crash", "s1"), Event(5, "crash", "s2")]
    result = run(world(CHECKED, events=both))
    changes = [c for c in result.layers["eu"].changes if c.backend == "a"]
    assert changes[-1].after == "down"
    assert "503" in changes[-1].why
    assert result.layers["a"].own == len(failures(result)) > 0


def test_a_balancer_that_hangs_gives_its_answers_when_it_goes_on() -> None:
    result = run(world(events=[Event(5, "hang", "us"), Event(10, "recover", "us")]))
    waited = [e - a for a, e, b in zip(result.arrival, result.end, result.backend, strict=True) if b == 4]
    assert max(waited) > 4
    assert not failures(result)


def test_what_hangs_for_good_ends_with_the_run() -> None:
    for node in ("us", "z", "s1"):
        result = run(world(events=Event(5, "hang", node)))
        assert Counter(result.status)[0] > 0
        assert max(result.end) < 1000


def test_a_drained_tier_gets_no_new_requests() -> None:
    result = run(world("round_robin", events=[Event(5, "drain", "us")]))
    came = [at for at, b in zip(result.arrival, result.backend, strict=True) if b == 4]
    assert max(came) <= 5


# -- name servers ---------------------------------------------------------------------------------


def named(ttl: float, **fields: Any) -> Experiment:
    sites = [
        Tier("eu", servers(2, service=WORK)),
        Tier("us", [Server("x", service=WORK), Server("y", service=WORK)]),
    ]
    health = HealthRules(checks=CheckRules(interval=1.0, timeout=0.5))
    names = Tier("dns", sites, Policy("round_robin", health=health, retries=0), ttl=ttl, distance=0.02)
    return Experiment(names, Traffic(duration=60, clients=20), Policy(retries=0), **fields).at_load(0.3)


def test_a_client_asks_once_in_a_ttl() -> None:
    once = run(named(1000))
    by_client: dict[int, set[int]] = {}
    for client, backend in zip(once.client, once.backend, strict=True):
        by_client.setdefault(client, set()).add(backend // 2)
    assert all(len(sites) == 1 for sites in by_client.values())
    always = run(named(0))
    assert always.mean > once.mean + 0.03  # each question takes 0.04 s


def test_a_failover_by_names_takes_the_checks_and_the_ttl() -> None:
    last = {ttl: max(failures(run(named(ttl, events=Event(20, "crash", "eu"))))) for ttl in (2.0, 15.0)}
    noticed = 4  # seconds: the third check fails
    assert 20 < last[2.0] <= 20 + noticed + 2
    assert 20 + 10 < last[15.0] <= 20 + noticed + 15


# -- the numbers ---------------------------------------------------------------------------------


def test_the_time_that_layers_add_is_all_that_is_not_work() -> None:
    tree = [Tier("a", [Tier("b", servers(1, service=Constant(0.001)), distance=0.03)], distance=0.1)]
    result = run(Experiment(tree, Traffic(duration=50)).at_load(0.001))
    layers = result.layers
    assert [layer.name for layer in layers] == ["", "a", "b"]
    assert layers["entrance"].added == pytest.approx(0.2)
    assert layers["a"].added == pytest.approx(0.06)
    assert layers["b"].added == pytest.approx(0.0, abs=0.001)
    assert layers["entrance"].seconds == pytest.approx(0.261, abs=0.001)


def test_an_experiment_without_tiers_has_no_layers() -> None:
    assert run(Experiment(servers(2), Traffic(duration=5))).layers == ()


def test_a_run_that_is_recorded_has_no_tiers() -> None:
    with pytest.raises(ValueError, match="record: runs with tiers are not recorded"):
        run(world(), record=True)
