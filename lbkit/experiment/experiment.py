"""The fields of an experiment, what follows from them, and its files.

An Experiment is frozen and does not depend on where it runs: `lbkit.run` runs it in the simulator, on real
sockets, and so on. It converts to TOML or JSON and back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path
from typing import Any
from zlib import crc32

import attrs
import tomli_w
from attrs import field, frozen
from attrs.validators import optional

from lbkit.arrivals import Arrivals, Closed, Poisson, Sessions, Trace
from lbkit.caching import Caching
from lbkit.checks import ExperimentError, one_of, several, text, whole
from lbkit.compression import Compression
from lbkit.core.backend import DEFAULT_POOL
from lbkit.core.balance import Balancer
from lbkit.core.deploy import Deployment
from lbkit.core.options import FINITE, named_fields
from lbkit.core.routing import Routing
from lbkit.core.text import shown, unknown
from lbkit.distributions import Service
from lbkit.edge import Admission, RateLimit
from lbkit.events import Action, Event, Failures, as_action, joining, order_fault, without_flaps
from lbkit.experiment import conflicts
from lbkit.experiment.traffic import HTTP2, Traffic
from lbkit.firewall import FirewallRules
from lbkit.geography import Geography
from lbkit.layer4 import ONE, SHARED, Layer4
from lbkit.mix import routing_faults
from lbkit.policy import Policy
from lbkit.schema import add_routing, add_union, format_of, load_file, parse, strict_converter, structure
from lbkit.server import Server
from lbkit.tier import Node, Tier, leaves, tiers
from lbkit.tls import Tls

MAX_LOAD = 10  # of `at_load`: a run at 1000 % of capacity shows nothing that one at 200 % does not


# Converters, as functions so that mypy knows what they take.
def _servers(what: Node | Iterable[Node]) -> tuple[Node, ...]:
    return several(what)


def _events(what: Event | Iterable[Event]) -> tuple[Event, ...]:
    return several(what)


def _limits(what: RateLimit | Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    return several(what)


def _policy(what: Policy | str | type[Balancer]) -> Policy:
    return Policy.of(what)


@named_fields
@frozen
class Experiment:
    """Everything needed to repeat a run. `seed` fixes the traffic and all random decisions."""

    servers: tuple[Node, ...] = field(converter=_servers)  # a Tier has servers of its own
    traffic: Traffic = field(factory=Traffic, validator=one_of(Traffic))
    policy: Policy = field(factory=Policy, converter=_policy)
    events: tuple[Event, ...] = field(default=(), converter=_events)  # kept in order of time
    seed: int = field(default=1, validator=whole(0))
    name: str = field(default="", validator=text())
    limits: tuple[RateLimit, ...] = field(default=(), converter=_limits)  # rate limits
    admission: Admission | None = field(  # requests at once and a second; the others wait or are rejected
        default=None, validator=optional(one_of(Admission))
    )
    cache: Caching | None = field(  # answers that are given to others; behind the limits, before admission
        default=None, validator=optional(one_of(Caching))
    )
    failures: Failures | None = field(  # crashes and recoveries at random, besides `events`
        default=None, validator=optional(one_of(Failures))
    )
    deploy: Deployment | None = field(  # a new version for all servers
        default=None, validator=optional(one_of(Deployment))
    )
    routing: Routing | None = field(  # rules that choose a pool of servers for each request
        default=None, validator=optional(one_of(Routing))
    )
    firewall: FirewallRules | None = field(  # looks at requests before all other rules
        default=None, validator=attrs.validators.optional(one_of(FirewallRules))
    )
    compression: Compression | None = field(  # which answers are compressed, and how
        default=None, validator=attrs.validators.optional(one_of(Compression))
    )
    tls: Tls | None = field(  # clients use HTTPS, which the balancer ends
        default=None, validator=attrs.validators.optional(one_of(Tls))
    )
    layer4: Layer4 | None = field(  # connections are balanced, not requests
        default=None, validator=optional(one_of(Layer4))
    )
    geography: Geography | None = field(  # places, from which follow network delays
        default=None, validator=optional(one_of(Geography))
    )

    def __attrs_post_init__(self) -> None:
        if fault := self._fault():
            raise ExperimentError(fault)
        for i, limit in enumerate(self.limits):
            if not isinstance(limit, RateLimit):
                raise ExperimentError(f"limits[{i}] is {limit!r}: use a RateLimit")
        in_time = tuple(sorted(self.events, key=lambda event: event.at))
        object.__setattr__(self, "events", in_time)  # as attrs advises for frozen classes

    def _fault(self) -> str:
        """Return the first contradiction among the fields; later rules rely on earlier ones."""
        servers, events, policy, failures = self.servers, self.events, self.policy, self.failures
        return (
            conflicts.server_fault(servers)
            or conflicts.event_fault(events, servers)
            or order_fault(events)
            or conflicts.tier_fault(servers, layer4=self.layer4, deploy=self.deploy)
            or conflicts.deploy_fault(self.deploy, servers, events, policy)
            or (failures.fault([s.name for s in self.leaves], self.traffic.duration) if failures else "")
            or conflicts.health_fault(servers, events, failures, policy)
            or conflicts.weight_fault(servers, events, policy)
            or conflicts.layer4_fault(
                self.layer4,
                policy.sticky,
                limits=self.limits,
                admission=self.admission,
                routing=self.routing,
                cache=self.cache,
                firewall=self.firewall,
                compression=self.compression,
                tls=self.tls,
            )
            or conflicts.client_fault(self.traffic, self.layer4)
            or next(routing_faults(self.routing, self.pools, bool(policy.sticky), bool(self.deploy)), "")
            or conflicts.cache_fault(self.cache, policy, self.traffic)
            or conflicts.firewall_fault(self.firewall)
            or conflicts.geography_fault(self.geography, servers)
            or next(filter(None, map(self._inner_fault, self.servers)), "")
        )

    def _inner_fault(self, node: Node) -> str:
        """Return the fault of the experiment inside a tier; empty if it has none."""
        if isinstance(node, Server):
            return ""
        try:
            self.inside(node)
        except ExperimentError as error:
            return f"tier {node.name!r}: {error}"
        return ""

    def but(self, **changes: Any) -> Experiment:
        """Return a copy with other fields; those of `traffic` also directly, as in `but(duration=5)`.

        Raises TypeError for an unknown field."""
        of_traffic = [f.name for f in attrs.fields(Traffic)]
        known = [f.name for f in attrs.fields(Experiment)] + of_traffic
        for name in changes:
            if name not in known:
                raise TypeError(unknown(name, known, "field"))
        inner = changes.keys() & of_traffic
        if inner:
            traffic = changes.get("traffic", self.traffic)
            if not isinstance(traffic, Traffic):
                raise ValueError(f"traffic is {shown(traffic)}: use Traffic")
            changes["traffic"] = attrs.evolve(traffic, **{name: changes.pop(name) for name in inner})
        return attrs.evolve(self, **changes)

    def at_load(self, load: float) -> Experiment:
        """Return a copy with Poisson arrivals at `load` (0.8 is 80 %) of the capacity at the start.

        Sessions stay, at the rate that leads to this load once as many end as begin.
        Raises ExperimentError for a load not above 0, and for one above MAX_LOAD, which is more likely
        a percentage."""
        if not isinstance(load, int | float) or not load > 0:
            raise ExperimentError(f"load is {load!r}: use a number above 0; 0.8 is 80 % of the capacity")
        if load > MAX_LOAD:
            load = min(load, FINITE)  # a whole number may be too large for a float
            raise ExperimentError(
                f"load is {load:g}: a share of the capacity, where 1 is 100 %; is {load / 100:g} meant?"
            )
        if not self.capacity:
            raise ExperimentError("load cannot be set: no server with a weight is in use at the start")
        arrivals, rate = self.traffic.arrivals, load * self.capacity
        if isinstance(arrivals, Sessions):
            return self.but(arrivals=attrs.evolve(arrivals, rate=rate / arrivals.requests))
        return self.but(arrivals=Poisson(rate))

    # -- tiers ----------------------------------------------------------------------------

    @property
    def leaves(self) -> tuple[Server, ...]:
        """All servers, including those below tiers, from left to right: the backends of a Result."""
        return leaves(self.servers)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The balancers below the experiment's own, each before those below it; usually none."""
        return tuple(tiers(self.servers))

    def inside(self, tier: Tier) -> Experiment:
        """Return the part of the experiment inside a tier, as an experiment without traffic of its own.

        It has the events of the servers and tiers below. Its seed differs from that of the balancer above:
        with the same random numbers both would make the same choices."""
        below = {node.name for node in tier.servers} | {node.name for node in tiers(tier.servers)}
        below |= {server.name for server in leaves(tier.servers)} | {""}
        happening = [e for e in self.timeline if e.server in below and e.action is not Action.SWITCH]
        traffic = attrs.evolve(self.traffic, arrivals=Trace(()), bursts=(), patience=None)
        return Experiment(
            tier.servers,
            traffic,
            tier.policy,
            happening,
            seed=crc32(f"{self.seed}/{tier.name}".encode()),
            name=tier.name,
            admission=tier.admission,
        )

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of the pools of servers; the default pool is first."""
        names = dict.fromkeys(server.pool for server in self.servers)
        return tuple(sorted(names, key=lambda name: name != DEFAULT_POOL))

    def at_layer(self, layer: int) -> Experiment:
        """Return a copy in which a balancer at layer 4 relays connections that all clients share; at 7, or
        with a `layer4` of its own, the experiment itself. Raises ExperimentError."""
        if layer not in (4, 7):
            raise ExperimentError(f"layer is {layer!r}: use 4 or 7")
        if layer == 7 or self.layer4:
            return self
        return self.but(layer4=Layer4(ONE if self.traffic.http == HTTP2 else SHARED))

    @property
    def joining(self) -> frozenset[str]:
        """The names of the servers that are not in the pool at the start: an event adds them."""
        return joining(self.events) | (frozenset(self.deploy.arrivals if self.deploy else ()))

    @property
    def timeline(self) -> tuple[Event, ...]:
        """All that happens, in order of time: `events`, flaps as what they consist of, random failures."""
        duration, seed = self.traffic.duration, self.seed
        happening = list(without_flaps(self.events, duration))
        if self.failures:
            failing = self.failures.servers or tuple(server.name for server in self.leaves)
            happening += (event for name in failing for event in self.failures.events(name, duration, seed))
        return tuple(sorted(happening, key=lambda event: event.at))

    @property
    def capacity(self) -> float:
        """Requests a second that the servers in use at the start can serve together.

        Servers of weight 0, and those of a level of priority in reserve, get nothing."""
        in_use = [s for s in self.servers if s.name not in self.joining and s.weight > 0]
        if self.policy.algorithm == "priority_levels":
            first = min((s.priority for s in in_use), default=0)
            in_use = [s for s in in_use if s.priority == first]
        return sum(s.capacity for s in in_use)

    @property
    def load(self) -> float | None:
        """Offered work / capacity; at 1 and above queues only grow. None in a closed loop, which adapts."""
        arrivals = self.traffic.arrivals
        if isinstance(arrivals, Closed):
            return None
        rate = arrivals.mean_rate(self.traffic.duration)
        return rate / self.capacity if self.capacity else inf  # inf: all servers join later

    # -- files --------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, without the fields that have their default values."""
        plain: dict[str, Any] = _converter.unstructure(self)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Experiment:
        """Read plain data. Raises ExperimentError with every wrong field, such as servers[0].workers."""
        return structure(_converter, data, cls, ExperimentError)

    def to_toml(self) -> str:
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_toml(cls, text: str) -> Experiment:
        return cls.from_dict(parse(text, "TOML", ExperimentError))

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Experiment:
        return cls.from_dict(parse(text, "JSON", ExperimentError))

    @classmethod
    def load_file(cls, path: str | Path) -> Experiment:
        """Read a .toml or .json file. Raises ExperimentError, OSError."""
        return load_file(path, cls.from_dict, ExperimentError)

    def save_file(self, path: str | Path) -> None:
        """Write a .toml or .json file, as its name says. Raises ExperimentError for another name, OSError."""
        text = self.to_json() if format_of(path, ExperimentError) == "JSON" else self.to_toml()
        Path(path).write_text(text, encoding="utf-8")


def check_experiment(what: object) -> None:
    """Raise ValueError for what is no Experiment."""
    if not isinstance(what, Experiment):
        raise ValueError(f"experiment is {shown(what)}: use an Experiment")


# -- plain data to objects and back -----------------------------------------------------

_converter = strict_converter()
_converter.register_structure_hook(Action, lambda value, _: as_action(value))
for _union in (Service, Arrivals, Deployment):
    add_union(_converter, _union)


def _node_from_dict(value: Any, _: Any) -> Node:
    """Return a tier if the table has `servers`, else a server."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table of {', '.join(f.name for f in attrs.fields(Server))}")
    kind: type[Tier | Server] = Tier if "servers" in value else Server
    return _converter.structure(value, kind)


_converter.register_structure_hook(Node, _node_from_dict)
add_routing(_converter)


def server_to_dict(server: Server) -> dict[str, Any]:
    """Return a server as plain data, to start it as a process."""
    plain: dict[str, Any] = _converter.unstructure(server)
    return plain


def server_from_dict(data: Mapping[str, Any]) -> Server:
    """Return a server from plain data. Raises ExperimentError with every wrong field."""
    return structure(_converter, data, Server, ExperimentError)


def geography_to_dict(geography: Geography) -> dict[str, Any]:
    """Return a geography as plain data, for the processes of servers."""
    plain: dict[str, Any] = _converter.unstructure(geography)
    return plain


def geography_from_dict(data: Mapping[str, Any]) -> Geography:
    """Return a geography from plain data. Raises ExperimentError with every wrong field."""
    return structure(_converter, data, Geography, ExperimentError)
