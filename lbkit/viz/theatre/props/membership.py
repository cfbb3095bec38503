"""The members of a balancer, and the keys of requests: recorded, or as they follow from what is known of any
run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lbkit.core.key import about_client
from lbkit.recorded import Membership
from lbkit.result import Result
from lbkit.viz.theatre.happenings import MEMBER, WEIGHT, Happening, happenings
from lbkit.workload import client_name, path_name

# Engines whose balancers are those of core, so that their keys have the same owners.
OURS = ("sim", "live", "docker")
# The states, of any rule, in which a server gets no new requests.
SHUT = frozenset(("down", "recovering", "ejected", "open", "draining", "drained", "stopped", "out"))
RULES = frozenset(("check", "outlier", "max_fails", "breaker", "drain"))
DERIVED = "ring: members and keys follow from events and rows; panic and slow start are left out"


def is_known(result: Result) -> bool:
    """Return whether the members and keys of a run are known. Without a recording they are not in a deploy,
    with a mix of requests, or where connections are the keys."""
    experiment = result.experiment
    plain = not (experiment.deploy or experiment.traffic.mix or experiment.policy.keyed_by == "flow")
    return "keys" in result.extra or (plain and result.engine in OURS)


def keys_of(result: Result) -> dict[int, str]:
    """Return the key of each row for which a backend was picked, where the keys are known."""
    if "keys" in result.extra:
        return dict(result.extra["keys"])
    if about_client(result.experiment.policy.keyed_by):
        keys = map(client_name, result.client)
    else:
        keys = map(path_name, result.path)
    return {row: key for row, key in enumerate(keys) if result.backend[row] >= 0}


def memberships_of(result: Result) -> Sequence[Membership]:
    recorded = result.extra.get("memberships")
    return list(_derived(result)) if recorded is None else recorded


def _derived(result: Result) -> Iterator[Membership]:
    """Yield the members that follow from events, and from what rules have done."""
    experiment = result.experiment
    number_of = {server.name: number for number, server in enumerate(experiment.leaves)}
    weights = {number: server.weight for number, server in enumerate(experiment.leaves)}
    order = [number_of[s.name] for s in experiment.leaves if s.name not in experiment.joining]
    shut: set[tuple[int, str]] = set()

    def now(at: float) -> Membership:
        kept = {number for number, _ in shut}
        eligible = [number for number in order if weights[number] > 0 and number not in kept]
        return Membership(at, tuple((number, weights[number]) for number in eligible))

    yield now(0.0)
    for happening in happenings(experiment, result.changes, result.history):
        if happening.server in number_of and _apply(
            happening, number_of[happening.server], order, weights, shut
        ):
            yield now(happening.at)


def _apply(
    happening: Happening,
    number: int,
    order: list[int],
    weights: dict[int, float],
    shut: set[tuple[int, str]],
) -> bool:
    """Do to the members what has happened; return whether it is about them."""
    kind, state = happening.kind, happening.state
    if kind == WEIGHT and happening.value is not None:
        weights[number] = happening.value
    elif kind == MEMBER:
        if number in order:
            order.remove(number)
        if state == "in":
            order.append(number)
            shut.difference_update([one for one in shut if one[0] == number])
    elif kind in RULES:
        (shut.add if state in SHUT else shut.discard)((number, kind))
    else:
        return False
    return True
