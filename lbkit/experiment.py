"""An experiment as data: servers, traffic, policy, events and a seed.

An Experiment is frozen and does not depend on where it runs: `lbkit.run` runs it in the simulator, on real
sockets, and so on. It converts to TOML or JSON and back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path
from typing import Any

import attrs
import tomli_w
from attrs import field, frozen

from lbkit.arrivals import LONGEST, Arrivals, Closed, Poisson, Sessions, Trace
from lbkit.caching import Caching
from lbkit.checks import ExperimentError, number, one_of, several, text, whole
from lbkit.core.backend import DEFAULT_POOL
from lbkit.core.balance import Balancer, algorithms
from lbkit.core.deploy import Deployment
from lbkit.core.options import FINITE, named_fields
from lbkit.core.routing import Routing
from lbkit.core.text import shown, unknown
from lbkit.core.traffic_shift import BlueGreen, Canary
from lbkit.distributions import Service
from lbkit.edge import Admission, RateLimit
from lbkit.events import (
    DEPENDENCY_STATES,
    OUTAGES,
    Action,
    Event,
    Failures,
    as_action,
    joining,
    order_fault,
    without_flaps,
)
from lbkit.layer4 import SHARED, Layer4
from lbkit.mix import RequestKind, mix_fault, routing_faults
from lbkit.patience import Patience
from lbkit.policy import Policy, Stream
from lbkit.schema import add_routing, add_union, format_of, load_file, parse, strict_converter, structure
from lbkit.server import Server, servers

__all__ = [
    "Action",
    "Event",
    "Experiment",
    "ExperimentError",
    "Failures",
    "Layer4",
    "Patience",
    "Policy",
    "RequestKind",
    "Server",
    "Stream",
    "Traffic",
    "server_from_dict",
    "server_to_dict",
    "servers",
]


MAX_LOAD = 10  # of `at_load`: a run at 1000 % of capacity shows nothing that one at 200 % does not
MOST_REQUESTS = 100_000_000  # in one run: more would not fit into memory


def _kinds(what: RequestKind | Iterable[RequestKind]) -> tuple[RequestKind, ...]:
    return several(what)


@named_fields
@frozen
class Traffic:
    """The requests: arrivals, clients and paths. Popularity follows Zipf: the k-th has weight 1/k^skew."""

    arrivals: Arrivals = field(factory=Poisson, validator=one_of(Arrivals))
    # Seconds in which requests arrive.
    duration: float = field(default=30.0, validator=number(0, LONGEST, above=True))
    warmup: float = field(default=0.0, validator=number(0))  # first seconds, left out of the statistics
    clients: int = field(default=100, validator=whole(1, 1_000_000))
    client_skew: float = field(default=0.0, validator=number(0))
    paths: int = field(default=1000, validator=whole(1, 1_000_000))
    path_skew: float = field(default=0.0, validator=number(0))
    # How long clients wait, and whether they try again; None: they wait for ever.
    patience: Patience | None = field(default=None, validator=attrs.validators.optional(one_of(Patience)))
    # Kinds of requests, for rules of `routing`; by default all are GET /item/N.
    mix: tuple[RequestKind, ...] = field(default=(), converter=_kinds)

    def __attrs_post_init__(self) -> None:
        if fault := mix_fault(self.mix):
            raise ValueError(fault)
        if isinstance(self.arrivals, Trace):
            for name, numbers in (("clients", self.arrivals.clients), ("paths", self.arrivals.paths)):
                if numbers and max(numbers) >= getattr(self, name):
                    raise ValueError(
                        f"{name} is {getattr(self, name)}: the trace has number {max(numbers)}, so use more"
                    )
        elif not isinstance(self.arrivals, Closed) and self.arrivals.peak * self.duration > MOST_REQUESTS:
            raise ValueError(
                f"duration is {self.duration:g} s: with up to {self.arrivals.peak:g} requests a second that "
                f"is more than {MOST_REQUESTS:,d} requests, so use less"
            )
        if self.warmup >= self.duration:
            raise ValueError(
                f"warmup is {self.warmup:g} s: nothing is left of {self.duration:g} s, so use less"
            )


# Converters, as functions so that mypy knows what they take.
def _servers(what: Server | Iterable[Server]) -> tuple[Server, ...]:
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

    servers: tuple[Server, ...] = field(converter=_servers)
    traffic: Traffic = field(factory=Traffic, validator=one_of(Traffic))
    policy: Policy = field(factory=Policy, converter=_policy)
    events: tuple[Event, ...] = field(default=(), converter=_events)  # kept in order of time
    seed: int = field(default=1, validator=whole(0))
    name: str = field(default="", validator=text())
    limits: tuple[RateLimit, ...] = field(default=(), converter=_limits)  # rate limits
    admission: Admission | None = field(  # requests at once and a second; the others wait or are rejected
        default=None, validator=attrs.validators.optional(one_of(Admission))
    )
    cache: Caching | None = field(  # answers that are given to others; behind the limits, before admission
        default=None, validator=attrs.validators.optional(one_of(Caching))
    )
    failures: Failures | None = field(  # crashes and recoveries at random, besides `events`
        default=None, validator=attrs.validators.optional(one_of(Failures))
    )

    deploy: Deployment | None = field(  # a new version for all servers
        default=None, validator=attrs.validators.optional(one_of(Deployment))
    )
    routing: Routing | None = field(  # rules that choose a pool of servers for each request
        default=None, validator=attrs.validators.optional(one_of(Routing))
    )
    layer4: Layer4 | None = field(  # connections are balanced, not requests
        default=None, validator=attrs.validators.optional(one_of(Layer4))
    )

    def __attrs_post_init__(self) -> None:
        if not self.servers:
            raise ExperimentError("servers: there must be at least one")
        names: dict[str, int] = {}
        for i, server in enumerate(self.servers):
            if not isinstance(server, Server):
                raise ExperimentError(f"servers[{i}] is {server!r}: use a Server")
            if server.name in names:
                before = names[server.name]
                raise ExperimentError(f"servers[{i}].name is {server.name!r}, as in servers[{before}]")
            names[server.name] = i
        for i, event in enumerate(self.events):
            if not isinstance(event, Event):
                raise ExperimentError(f"events[{i}] is {event!r}: use an Event")
            if fault := self._place_fault(event, names):
                raise ExperimentError(f"events[{i}].{fault}")
        failures = self.failures and self.failures.fault(list(names), self.traffic.duration)
        if (
            fault := order_fault(self.events)
            or self._deploy_fault()
            or failures
            or self._health_fault()
            or self._weight_fault()
            or self._layer4_fault()
            or next(routing_faults(self.routing, self.pools, bool(self.policy.sticky), bool(self.deploy)), "")
            or self._cache_fault()
        ):
            raise ExperimentError(fault)
        for i, limit in enumerate(self.limits):
            if not isinstance(limit, RateLimit):
                raise ExperimentError(f"limits[{i}] is {limit!r}: use a RateLimit")
        in_time = tuple(sorted(self.events, key=lambda event: event.at))
        object.__setattr__(self, "events", in_time)  # as attrs advises for frozen classes

    def _place_fault(self, event: Event, names: Mapping[str, int]) -> str:
        """Return why an event cannot happen to what it names; empty if it can."""
        whole = event.action in DEPENDENCY_STATES and not event.server
        if event.server not in names and not whole:
            return f"server is {event.server!r}: use one of {', '.join(names)}"
        about = [server for server in self.servers if whole or server.name == event.server]
        known = sorted({name for server in about for name in server.dependencies})
        if event.dependency and event.dependency not in known:
            there = f"use one of {', '.join(known)}" if known else "give servers their `dependencies`"
            return f"dependency is {event.dependency!r}: {there}"
        return ""

    def _weight_fault(self) -> str:
        """Return which weights would not fit into the algorithm's memory; empty if all do."""
        weights = {server.name: server.weight for server in self.servers}
        for event in self.events:
            if event.action is Action.SET_WEIGHT:
                weights[event.server] = max(weights[event.server], event.value or 0.0)
        try:
            self.policy.check_weights(weights)
        except ValueError as error:
            return str(error)
        return ""

    def _cache_fault(self) -> str:
        """Return why nothing would be kept in the cache; empty if something is."""
        if self.cache is None:
            return ""
        if not self.cache.control:
            return "cache.control is missing: these servers say nothing themselves; use max-age=60"
        if self.cache.disk:
            return "cache.disk: a run begins with an empty cache; leave it out"
        if self.policy.sticky or isinstance(self.traffic.arrivals, Sessions):
            return "cache: answers of sessions set cookies and are not kept; leave out the sessions, or cache"
        return ""

    def _layer4_fault(self) -> str:
        """Return what a balancer at layer 4 could not do, as it reads no requests; empty if all is well."""
        sticky = self.policy.sticky
        reads = {
            "limits": self.limits,
            "admission": self.admission,
            "routing": self.routing,
            "cache": self.cache,
            "policy.sticky": sticky and sticky.how != "source",
        }
        found = next((name for name, value in reads.items() if value), "") if self.layer4 else ""
        return f"{found}: layer 4 reads no requests; remove it, or layer4" if found else ""

    def _deploy_fault(self) -> str:
        """Return why the deploy cannot be carried out; empty if it can."""
        if not isinstance(self.deploy, BlueGreen | Canary):
            return ""
        weights = {server.name: server.weight for server in self.servers}
        arrivals, field = self.deploy.arrivals, "green" if isinstance(self.deploy, BlueGreen) else "new"
        for i, name in enumerate(arrivals):
            if name not in weights:
                return f"deploy.{field}[{i}] is {name!r}: use one of {', '.join(weights)}"
        if set(arrivals) >= set(weights):
            return f"deploy.{field} has all servers: some have to serve before"
        for i, event in enumerate(self.events):
            if event.server in arrivals:
                return f"events[{i}].server is {event.server!r}, which the deploy adds: leave the event out"
        return self._canary_fault(self.deploy, weights) if isinstance(self.deploy, Canary) else ""

    def _canary_fault(self, deploy: Canary, weights: Mapping[str, float]) -> str:
        """Return why weights cannot give the new servers their shares; empty if they can."""
        known = algorithms()
        if not known[self.policy.algorithm].by_weight:
            able = ", ".join(name for name in known if known[name].by_weight)
            return (
                f"policy.algorithm is {self.policy.algorithm!r}, which gives no shares in proportion to "
                f"weights, as a canary deploy needs them: use one of {able}"
            )
        if not any(weights[name] for name in deploy.new):
            return "deploy.new has only servers of weight 0: give one of them a weight"
        return ""

    def _health_fault(self) -> str:
        """Return why the policy cannot be carried out without health rules; empty if it can."""
        crashes = self.failures or any(event.action in OUTAGES for event in self.events)
        if not crashes or self.policy.health:
            return ""
        policy, mend = self.policy, "without policy.health nothing finds it. Give it HealthRules"
        if policy.panic:
            without = "or use attrs.evolve(policy, panic=0)"
            return f"policy.panic is {policy.panic:g}, and a server crashes: {mend}, {without}"
        by = algorithms()[policy.algorithm].health_by
        if by and len({getattr(server, by) for server in self.servers}) > 1:
            return (
                f"policy.algorithm is {policy.algorithm!r}, which goes by the health of each {by}, "
                f"and a server crashes: {mend}"
            )
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
        return self if layer == 7 or self.layer4 else self.but(layer4=Layer4(SHARED))

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
            failing = self.failures.servers or tuple(server.name for server in self.servers)
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
add_routing(_converter)


def server_to_dict(server: Server) -> dict[str, Any]:
    """Return a server as plain data, to start it as a process."""
    plain: dict[str, Any] = _converter.unstructure(server)
    return plain


def server_from_dict(data: Mapping[str, Any]) -> Server:
    """Return a server from plain data. Raises ExperimentError with every wrong field."""
    return structure(_converter, data, Server, ExperimentError)
