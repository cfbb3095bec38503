"""A tree of balancers as data: its files, its faults, and what follows from its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit import (
    Event,
    Experiment,
    ExperimentError,
    HealthRules,
    Layer4,
    MaxFailsRules,
    Policy,
    Retry,
    RollingDeploy,
    Server,
    Sticky,
    Tier,
    servers,
)
from lbkit.tier import MOST_LAYERS, Node, with_fields

TWO = Tier("eu", servers(2), distance=0.01)


@st.composite
def trees(draw: Any, deepest: int = 3) -> tuple[Node, ...]:
    """Servers and tiers with names of their own."""
    count = [0]

    def node(levels: int) -> Node:
        count[0] += 1
        name = f"n{count[0]}"
        if levels and draw(st.booleans()):
            below = tuple(node(levels - 1) for _ in range(draw(st.integers(1, 3))))
            return Tier(name, below, policy=draw(st.sampled_from(["random", "round_robin"])), distance=0.5)
        return Server(name)

    return tuple(node(deepest) for _ in range(draw(st.integers(1, 3))))


@given(trees())
def test_a_tree_survives_its_files(tree: tuple[Node, ...]) -> None:
    experiment = Experiment(tree)
    assert Experiment.from_toml(experiment.to_toml()) == experiment
    assert Experiment.from_json(experiment.to_json()) == experiment


@given(trees())
def test_what_is_inside_the_tiers_is_the_whole_tree(tree: tuple[Node, ...]) -> None:
    experiment = Experiment(tree)
    inside = [experiment.inside(node) for node in tree if isinstance(node, Tier)]
    direct = sum(isinstance(node, Server) for node in tree)
    assert direct + sum(len(one.leaves) for one in inside) == len(experiment.leaves)
    assert len(inside) + sum(len(one.tiers) for one in inside) == len(experiment.tiers)


def test_leaves_and_capacity_are_those_of_all_servers() -> None:
    experiment = Experiment([TWO, Server("s3", workers=2)])
    assert [server.name for server in experiment.leaves] == ["s1", "s2", "s3"]
    assert experiment.tiers == (TWO,)
    assert TWO.workers == 2
    assert experiment.capacity == pytest.approx(TWO.capacity + experiment.leaves[2].capacity)
    assert experiment.at_load(0.5).load == pytest.approx(0.5)


def test_other_fields_for_all_servers_leave_the_tree() -> None:
    (tier, alone) = with_fields([TWO, Server("s3")], workers=3)
    assert isinstance(tier, Tier)
    assert tier.name == "eu"
    assert tier.workers == 6
    assert alone.workers == 3


def test_a_tier_has_the_events_of_its_servers_only_and_draws_numbers_of_its_own() -> None:
    nested = Tier("world", (TWO, Server("s3")))
    happening = [Event(1, "crash", "s1"), Event(2, "hang", "eu"), Event(3, "crash", "world")]
    experiment = Experiment(nested, events=happening)
    world = experiment.inside(nested)
    assert [event.server for event in world.events] == ["s1", "eu"]
    assert [event.server for event in world.inside(TWO).events] == ["s1"]
    assert len({experiment.seed, world.seed, world.inside(TWO).seed}) == 3


def deep(levels: int) -> Node:
    return Tier(f"t{levels}", deep(levels - 1)) if levels else Server("s1")


FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "empty": (lambda: Tier("eu", ()), "servers: a tier needs at least one server"),
    "no server": (lambda: Tier("eu", "s1"), r"servers\[0\] is 's1': use a Server or a Tier"),
    "too deep": (lambda: deep(MOST_LAYERS + 1), "more than 10 tiers are nested"),
    "sticky": (lambda: Tier("eu", TWO, Policy(sticky=Sticky())), "policy.sticky: sessions are kept by"),
    "retry of answers": (
        lambda: Tier("eu", TWO, Policy(retry=Retry()), ttl=60),
        "policy.retry: a tier with a ttl answers queries and sees no requests; leave it out",
    ),
    "passive rules of answers": (
        lambda: Tier("eu", TWO, Policy(health=HealthRules(max_fails=MaxFailsRules())), ttl=60),
        "policy.health.max_fails: a tier with a ttl",
    ),
    "program": (lambda: Tier("eu", TWO, program="ngnix"), "program is 'ngnix': use lbkit, nginx.*nginx?"),
    "name twice": (
        lambda: Experiment([TWO, Server("s2")]),
        r"servers\[1\].name is 's2', as in servers\[0\].servers\[1\]",
    ),
    "name of its own server": (
        lambda: Experiment(Tier("s1", servers(1))),
        r"servers\[0\].servers\[0\].name is 's1', as in servers\[0\]",
    ),
    "no such node": (
        lambda: Experiment(TWO, events=Event(1, "crash", "us")),
        r"events\[0\].server is 'us': use one of s1, s2, eu",
    ),
    "no balancer does this": (
        lambda: Experiment(TWO, events=Event(1, "slow", "eu", 0.5)),
        r"events\[0\].action is 'slow', and 'eu' is a tier: use one of crash, hang",
    ),
    "layer 4": (lambda: Experiment(TWO, layer4=Layer4()), "layer4: it works with servers only"),
    "deploy": (lambda: Experiment(TWO, deploy=RollingDeploy()), "deploy: it works with servers only"),
    "its own rules": (
        lambda: Experiment(Tier("eu", servers(2), Policy(panic=0.5)), events=Event(1, "crash", "s1")),
        "tier 'eu': policy.panic is 0.5",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_the_field_and_the_mend(name: str) -> None:
    build, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        build()


def test_a_file_names_the_wrong_field_by_its_place_in_the_tree() -> None:
    tree = {"servers": [{"name": "eu", "servers": [{"name": "s1", "worker": 2}, {"name": ""}]}, 3]}
    with pytest.raises(ExperimentError) as caught:
        Experiment.from_dict(tree)
    said = str(caught.value).splitlines()
    assert said[0].startswith("servers[0].servers[0]: unknown worker")
    assert said[1].startswith("servers[0].servers[1].name is ''")
    assert said[2].startswith("servers[1] must be a table of name, workers")
