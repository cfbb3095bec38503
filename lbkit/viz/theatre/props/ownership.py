"""Which server each key belongs to, and since when: by the very balancers of core, from the members and
weights that a run has recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lbkit.core import Backend, Balancer, make_balancer
from lbkit.core.contract import FAILURES
from lbkit.events import Action
from lbkit.experiment import Experiment, Server
from lbkit.policy import Policy
from lbkit.recorded import Membership

NOBODY = -1
# Algorithms that ignore weights: a change of weights moves none of their keys.
EQUAL = frozenset(("modulo_hash", "ip_hash", "jump_hash", "multi_probe"))


@dataclass(slots=True)
class Epoch:
    """A time in which keys keep their owners."""

    at: float
    algorithm: str
    members: dict[int, float]  # weight by number of the server
    owners: list[int]  # of each key
    places: list[float | None]  # of each key: on the ring from 0 to 1, or its slot
    slots: int = 0  # of the table; 0: a ring, or neither
    arcs: list[tuple[float, int]] = field(default_factory=list)  # where each begins, and its owner
    points: list[tuple[float, int]] = field(default_factory=list)


def epochs(
    experiment: Experiment, memberships: Sequence[Membership], keys: Sequence[str]
) -> Iterator[tuple[Epoch, Balancer]]:
    """Yield each change of members, weights or algorithm, with the balancer as it is then.

    Where an algorithm does not go by keys, no server owns any."""
    number_of = {server.name: number for number, server in enumerate(experiment.leaves)}
    backends = [_backend(server) for server in experiment.leaves]
    last = 0.0
    before: tuple[Policy, tuple[tuple[int, float], ...]] | None = None
    balancer = Balancer()
    for at, members in memberships:
        policy = policy_at(experiment, at)
        if (policy, members) == before:
            continue
        if before is None or policy != before[0]:
            balancer = make_balancer(policy.algorithm, **policy.options)
        for number, server in enumerate(experiment.leaves):
            if any(
                e.action is Action.ADD and last < e.at <= at
                for e in experiment.timeline
                if e.server == server.name
            ):
                backends[number] = _backend(server)  # to the balancer it is another one
        last, before = at, (policy, members)
        for number, weight in members:
            backends[number].weight = weight
        eligible = tuple(backends[number] for number, _ in members)
        balancer.members(eligible)
        balancer.rebuild(eligible)
        epoch = Epoch(at, policy.algorithm, dict(members), [], [])
        if balancer.keyed and eligible:
            _ask(epoch, balancer, eligible, keys, number_of)
        epoch.owners = epoch.owners or [NOBODY] * len(keys)
        yield epoch, balancer


def _backend(server: Server) -> Backend:
    return Backend(
        server.name, weight=server.weight, zone=server.zone, priority=server.priority, pool=server.pool
    )


def policy_at(experiment: Experiment, at: float) -> Policy:
    """Return the policy after the switches until second `at`."""
    policy = experiment.policy
    for event in experiment.timeline:
        if event.action is Action.SWITCH and event.at <= at:
            policy = policy.using(event.algorithm, event.options)
    return policy


def _ask(
    epoch: Epoch,
    balancer: Any,
    eligible: Sequence[Backend],
    keys: Sequence[str],
    number_of: Mapping[str, int],
) -> None:
    """Ask a balancer for the owner and the place of each key. The servers have no requests: none is full."""
    for key in keys:
        why = balancer.explain(eligible, key, epoch.at)
        epoch.owners.append(number_of[balancer.pick(eligible, key, epoch.at).name])
        epoch.places.append(why.place)
        epoch.slots = why.places
    if hasattr(balancer, "arcs"):
        epoch.arcs = [(begin, number_of[name]) for begin, name in balancer.arcs()]
        epoch.points = [(place, number_of[name]) for place, name in balancer.positions()]


def owners_of(experiment: Experiment, memberships: Sequence[Membership], keys: Sequence[str]) -> list[Epoch]:
    """Return the epochs; none where an algorithm fails, as one of a learner's own may."""
    try:
        return [epoch for epoch, _ in epochs(experiment, memberships, keys)]
    except FAILURES:
        return []


def must_move(before: Epoch, after: Epoch) -> float:
    """Return the share of keys that have to move, as servers are to have shares by their weights."""
    old, new = _shares(before), _shares(after)
    return sum(max(0.0, share - old.get(number, 0.0)) for number, share in new.items())


def _shares(epoch: Epoch) -> dict[int, float]:
    weights = {n: 1.0 if epoch.algorithm in EQUAL else w for n, w in epoch.members.items()}
    total = sum(weights.values()) or 1.0
    return {number: weight / total for number, weight in weights.items()}


def cause(before: Epoch, after: Epoch, names: Sequence[str]) -> str:
    """Return what has changed, in words: "s2 left", "weight of s1 1 to 3"."""
    if before.algorithm != after.algorithm:
        return f"now {after.algorithm.replace('_', ' ')}"
    left = [names[n] for n in before.members if n not in after.members]
    joined = [names[n] for n in after.members if n not in before.members]
    weighed = [
        f"weight of {names[n]} {before.members[n]:.3g} to {weight:.3g}"
        for n, weight in after.members.items()
        if n in before.members and before.members[n] != weight
    ]
    said = [f"{_listed(who)} {verb}" for who, verb in ((left, "left"), (joined, "joined")) if who]
    return ", ".join(said + weighed[:2])


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{len(names)} servers"
    return " and ".join(names)
