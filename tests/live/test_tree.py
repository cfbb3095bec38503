"""Layers of balancers as processes: lbkit's proxies below each other, mixed programs, failures of tiers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import attrs
import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import (
    CheckRules,
    Constant,
    EngineError,
    Event,
    Experiment,
    HealthRules,
    Poisson,
    Policy,
    Server,
    Tier,
    Traffic,
    run,
    servers,
)
from lbkit.geography import Geography
from lbkit.live import LiveSession
from lbkit.live.fleet import FleetError
from lbkit.live.local_fleet import LocalFleet
from lbkit.live.tier_process import OwnTier

pytestmark = pytest.mark.live

WORK = Constant(0.005)
CHECKED = Policy("round_robin", health=HealthRules(checks=CheckRules(interval=0.3, timeout=0.2)))
TREE = Experiment(
    [
        Tier("eu", [Tier("zone", servers(2, service=WORK), CHECKED)], CHECKED, distance=0.01),
        Tier("us", Server("x", service=WORK), CHECKED),
    ],
    Traffic(Poisson(40), duration=3, clients=10),
    CHECKED,
)


def test_a_tree_of_proxies_serves_and_each_counts_what_it_saw() -> None:
    result = run(TREE, on="live")
    assert result.error_rate == 0
    assert not result.faults
    assert all(count > 0 for count in result.counts.values())
    entrance, eu, zone, us = result.layers
    assert [layer.title for layer in result.layers] == ["entrance", "eu", "zone", "us"]
    assert entrance.requests == len(result)
    assert zone.below == ("s1", "s2")
    assert zone.requests >= eu.requests > 0  # checks pass through
    assert eu.requests + us.requests >= entrance.requests
    assert eu.seconds > 0.02 + 0.005  # the servers wait for the distance, there and back
    assert us.added < entrance.seconds
    assert {note.split()[0] for note in result.notes} == {"checks:", "distance:"}


def test_the_layer_above_notices_a_tier_that_crashes_and_it_comes_back() -> None:
    events = [Event(0.5, "crash", "us"), Event(1.5, "recover", "us")]
    result = run(TREE.but(duration=6, events=events), on="live")
    assert not result.faults
    assert result.layers["entrance"].first_failure("us", 0) < 3
    assert result.layers["entrance"].taken_out("us", 0) < 5
    assert not result.layers["eu"].seen
    assert result.error_rate < 0.2  # each goes to the other one, once it has failed


@pytest.fixture(scope="module")
def tier() -> Iterator[OwnTier]:
    inside = TREE.inside(TREE.tiers[1])
    with LocalFleet(inside.leaves) as fleet:
        tier = OwnTier("zone", inside)
        try:
            tier.start(fleet.backends())
            yield tier
        finally:
            tier.stop()


def test_a_tier_takes_orders_for_what_is_below_it(tier: OwnTier) -> None:
    tier.set_weight("s1", 3.0)
    tier.drain("s2")
    state = tier.state()
    assert state["s1"]["weight"] == 3
    assert state["s2"]["intent"] == "drain"
    tier.undrain("s2")
    with pytest.raises(FleetError, match="tier 'zone': "):
        tier.set_weight("s9", 1.0)
    with pytest.raises(AttributeError, match="a tier has no 'reboot'"):
        tier.reboot()


def test_a_tier_that_hangs_or_has_crashed_does_not_answer_and_comes_back(
    tier: OwnTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbkit.live.tier_process.ANSWERS", 0.3)
    port = tier.port
    tier.crash()
    assert not tier.alive
    with pytest.raises(FleetError, match="tier 'zone' does not run"):
        tier.state()
    tier.restart()
    assert tier.port == port
    tier.freeze()
    with pytest.raises(FleetError, match="tier 'zone' does not answer"):
        tier.state()
    tier.thaw()
    tier.crash()
    tier.restart()
    monkeypatch.undo()
    assert set(tier.state()) == {"s1", "s2"}


def test_a_tier_that_cannot_start_says_why() -> None:
    tier = OwnTier("eu", TREE.inside(TREE.tiers[0]))
    taken = socket.create_server(("127.0.0.1", 0))
    tier.port = taken.getsockname()[1]
    try:
        with pytest.raises(FleetError, match="tier 'eu' did not start: "):
            tier.start([])
    finally:
        tier.stop()
        taken.close()


def test_nginx_above_haproxy_above_lbkit() -> None:
    need("nginx")
    need("haproxy")
    plain = Policy("round_robin")
    zone = Tier("zone", servers(2, service=WORK), CHECKED)
    tree = [Tier("eu", zone, CHECKED, program="haproxy"), Tier("us", Server("x", service=WORK), plain)]
    experiment = Experiment(tree, Traffic(Poisson(40), duration=3), plain, events=Event(1, "drain", "s1"))
    result = run(experiment, on="nginx")
    assert result.error_rate == 0
    assert not result.faults
    assert all(count > 0 for count in result.counts.values())
    assert result.layers["zone"].requests > 0
    assert result.layers["entrance"].retries == -1  # open source nginx does not tell
    assert any(c.backend == "s1" and c.kind == "drain" for c in result.layers["zone"].changes)


PLACES = Geography({"here": {"at": [50, 8]}}, {"0.0.0.0/0": {"at": [50, 8]}})
PLACED = TREE.but(servers=[attrs.evolve(tier, zone="here") for tier in TREE.servers], geography=PLACES)
REFUSED = {
    "docker": (TREE, "docker", "tiers are processes of this machine"),
    "geography": (PLACED, "live", "geography: live tiers have no places"),
    "delay": (TREE.but(events=Event(1, "delay", "eu", 0.1)), "live", "no simulated network on real sockets"),
    "names": (
        TREE.but(servers=Tier("dns", servers(1), ttl=5)),
        "live",
        "tier 'dns' has a ttl: name servers are only simulated",
    ),
    "many": (
        TREE.but(servers=[Tier(f"t{i}", Server(f"x{i}")) for i in range(41)]),
        "live",
        "41 tiers, and each is a process: use 40 or fewer",
    ),
    "program": (
        TREE.but(servers=attrs.evolve(TREE.tiers[2], program="nginx")),
        "live",
        "nginx has no policy.health.checks here|nginx is not installed",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_tree_of_processes_can_do_is_refused_in_a_line(what: str) -> None:
    experiment, on, message = REFUSED[what]
    if what == "docker":
        need_feature("docker")
    with pytest.raises(EngineError, match=message):
        LiveSession(experiment, on)
