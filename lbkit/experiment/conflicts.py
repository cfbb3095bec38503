"""Rules between the fields of an experiment, each of which is valid by itself.

Each function returns the first fault as a line that names the field and the mend; empty if there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lbkit.arrivals import Sessions
from lbkit.caching import Caching
from lbkit.core.balance import algorithms
from lbkit.core.deploy import Deployment
from lbkit.core.sticky import Sticky
from lbkit.core.text import unknown
from lbkit.core.traffic_shift import BlueGreen, Canary
from lbkit.events import DEPENDENCY_STATES, OUTAGES, Action, Event, Failures
from lbkit.experiment.traffic import HTTP2, Traffic
from lbkit.firewall import FirewallRules
from lbkit.geography import Geography
from lbkit.layer4 import ONE, PER_REQUEST, Layer4
from lbkit.policy import Policy
from lbkit.server import Server
from lbkit.tier import Node, Tier, leaves, tiers


def server_fault(servers: Sequence[Node]) -> str:
    """Return a fault if anything in the tree is neither a server nor a tier, or a name is there twice."""
    if not servers:
        return "servers: there must be at least one"
    return _name_fault(servers, "", {})


def _name_fault(servers: Sequence[Node], path: str, places: dict[str, str]) -> str:
    """Return a fault as `server_fault` does. `places`: the names so far, with their place in the tree."""
    for i, server in enumerate(servers):
        place = f"{path}servers[{i}]"
        if not isinstance(server, Server | Tier):
            return f"{place} is {server!r}: use a Server"
        if server.name in places:
            return f"{place}.name is {server.name!r}, as in {places[server.name]}"
        places[server.name] = place
        if isinstance(server, Tier) and (fault := _name_fault(server.servers, f"{place}.", places)):
            return fault
    return ""


# The events that can happen to a balancer; all others need a server.
_OF_TIERS = (
    *(Action.CRASH, Action.HANG, Action.FLAP, Action.RECOVER, Action.DELAY),
    *(Action.ADD, Action.REMOVE, Action.SET_WEIGHT, Action.DRAIN, Action.UNDRAIN),
)


def tier_fault(servers: Sequence[Node], **alone: object) -> str:
    """Return a fault if there are tiers and any of the fields in `alone` is set, which need servers only."""
    found = next((name for name, value in alone.items() if value), "")
    if found and next(tiers(servers), None):
        return f"{found}: it works with servers only; remove it, or the tiers"
    return ""


def event_fault(events: Sequence[Event], servers: Sequence[Node]) -> str:
    """Return a fault if anything is not an event, or concerns an unknown server or dependency."""
    for i, event in enumerate(events):
        if not isinstance(event, Event):
            return f"events[{i}] is {event!r}: use an Event"
        if fault := _place_fault(event, servers):
            return f"events[{i}].{fault}"
    return ""


def _place_fault(event: Event, servers: Sequence[Node]) -> str:
    if event.action is Action.SWITCH:
        return f"server is {event.server!r}: a switch happens to no server" if event.server else ""
    of_all = event.action in DEPENDENCY_STATES and not event.server
    nodes: list[Node] = [*leaves(servers), *tiers(servers)]
    about = [node for node in nodes if of_all or node.name == event.server]
    if not about:
        return f"server is {event.server!r}: use one of {', '.join(node.name for node in nodes)}"
    if isinstance(about[0], Tier) and event.action not in _OF_TIERS:
        able = ", ".join(action.value for action in _OF_TIERS)
        return f"action is {event.action.value!r}, and {event.server!r} is a tier: use one of {able}"
    known = sorted({name for server in about for name in server.dependencies})
    if event.dependency and event.dependency not in known:
        there = f"use one of {', '.join(known)}" if known else "give servers their `dependencies`"
        return f"dependency is {event.dependency!r}: {there}"
    return ""


def weight_fault(servers: Sequence[Node], events: Sequence[Event], policy: Policy) -> str:
    """Return which weights would not fit into the algorithm's memory."""
    weights = {server.name: server.weight for server in servers}
    for event in events:
        if event.action is Action.SET_WEIGHT and event.server in weights:
            weights[event.server] = max(weights[event.server], event.value or 0.0)
    try:
        for used in (policy, *switched(policy, events)):
            used.check_weights(weights)
    except ValueError as error:
        return str(error)
    return ""


def switched(policy: Policy, events: Sequence[Event]) -> list[Policy]:
    """Return the policies that events switch to, in order."""
    return [policy.using(e.algorithm, e.options) for e in events if e.action is Action.SWITCH]


def cache_fault(cache: Caching | None, policy: Policy, traffic: Traffic) -> str:
    """Return why nothing would be kept in the cache."""
    if cache is None:
        return ""
    if not cache.control:
        return "cache.control is missing: these servers say nothing themselves; use max-age=60"
    if cache.disk:
        return "cache.disk: a run begins with an empty cache; leave it out"
    if policy.sticky or isinstance(traffic.arrivals, Sessions):
        return "cache: answers of sessions set cookies and are not kept; leave out the sessions, or cache"
    return ""


def firewall_fault(firewall: FirewallRules | None) -> str:
    """Return which of the firewall's rules make no sense in an experiment, or together."""
    if firewall is None:
        return ""
    if firewall.audit:
        return "firewall.audit: the Result has a row for each request; leave it out"
    return next(firewall.faults(), "")


def geography_fault(geography: Geography | None, servers: Sequence[Node]) -> str:
    """Return a fault if a server's zone is not a region of the geography."""
    for server in servers if geography else ():
        assert geography
        if server.zone not in geography.regions:
            return f"geography.regions: {unknown(server.zone, geography.regions, f'zone of {server.name}')}"
    return ""


def client_fault(traffic: Traffic, layer4: Layer4 | None) -> str:
    """Return why clients cannot have such connections."""
    if layer4 is None:
        return ""
    if traffic.http == HTTP2 and layer4.connections != ONE:
        return f"layer4.connections is {layer4.connections!r}: with traffic.http = '2' each client has 'one'"
    if not traffic.reuse and layer4.connections != PER_REQUEST:
        return f"layer4.connections is {layer4.connections!r}: with traffic.reuse = false use 'request'"
    return ""


def layer4_fault(layer4: Layer4 | None, sticky: Sticky | None, **reads: object) -> str:
    """Return what a balancer at layer 4 could not do. `reads`: the fields that need requests to be read."""
    if layer4 is None:
        return ""
    reads["policy.sticky"] = sticky and sticky.how != "source"
    found = next((name for name, value in reads.items() if value), "")
    return f"{found}: layer 4 reads no requests; remove it, or layer4" if found else ""


def deploy_fault(
    deploy: Deployment | None, servers: Sequence[Node], events: Sequence[Event], policy: Policy
) -> str:
    """Return why the deploy cannot be carried out."""
    if not isinstance(deploy, BlueGreen | Canary):
        return ""
    weights = {server.name: server.weight for server in servers}
    arrivals, field = deploy.arrivals, "green" if isinstance(deploy, BlueGreen) else "new"
    for i, name in enumerate(arrivals):
        if name not in weights:
            return f"deploy.{field}[{i}] is {name!r}: use one of {', '.join(weights)}"
    if set(arrivals) >= set(weights):
        return f"deploy.{field} has all servers: some have to serve before"
    for i, event in enumerate(events):
        if event.server in arrivals:
            return f"events[{i}].server is {event.server!r}, which the deploy adds: leave the event out"
    if isinstance(deploy, BlueGreen):
        return ""
    used = (policy, *switched(policy, events))
    return next(filter(None, (_canary_fault(deploy, weights, one) for one in used)), "")


def _canary_fault(deploy: Canary, weights: Mapping[str, float], policy: Policy) -> str:
    """Return why weights cannot give the new servers their shares."""
    known = algorithms()
    if not known[policy.algorithm].by_weight:
        able = ", ".join(name for name in known if known[name].by_weight)
        return (
            f"policy.algorithm is {policy.algorithm!r}, which gives no shares in proportion to "
            f"weights, as a canary deploy needs them: use one of {able}"
        )
    if not any(weights[name] for name in deploy.new):
        return "deploy.new has only servers of weight 0: give one of them a weight"
    return ""


def health_fault(
    servers: Sequence[Node], events: Sequence[Event], failures: Failures | None, policy: Policy
) -> str:
    """Return why the policy cannot be carried out without health rules."""
    crashes = failures or any(event.action in OUTAGES for event in events)
    if not crashes or policy.health:
        return ""
    mend = "without policy.health nothing finds it. Give it HealthRules"
    if policy.panic:
        without = "or use attrs.evolve(policy, panic=0)"
        return f"policy.panic is {policy.panic:g}, and a server crashes: {mend}, {without}"
    for used in (policy, *switched(policy, events)):
        by = algorithms()[used.algorithm].health_by
        if by and len({getattr(server, by) for server in servers}) > 1:
            return (
                f"policy.algorithm is {used.algorithm!r}, which goes by the health of each {by}, "
                f"and a server crashes: {mend}"
            )
    return ""
