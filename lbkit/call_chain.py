"""A chain of services that call each other: how a failure of the last reaches the clients of the first.

To answer a request, each service needs an answer of the next one. A server's worker is busy from the start of
a request until the service that it calls has answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.arrivals import Closed, Sessions
from lbkit.checks import ExperimentError, number, several
from lbkit.core.options import named_fields
from lbkit.core.text import shown, unknown
from lbkit.experiment import Action, Experiment, Server
from lbkit.needs import resolve
from lbkit.result import Result
from lbkit.run import require
from lbkit.server import FIFO

ENGINES = {"sim": "lbkit.sim.call_chain:simulate_chain", "live": "lbkit.live.call_chain:run_chain_live"}
# What may happen to a server; other events would not affect a worker that waits for the next service.
ACTIONS = (Action.SLOW, Action.CRASH, Action.RECOVER, Action.FAIL, Action.DELAY)


def _services(what: Experiment | Iterable[Experiment]) -> tuple[Experiment, ...]:
    return several(what)


@named_fields
@frozen
class CallChain:
    """A chain of services, each an experiment: its servers, its events, and the policy by which it is called.

    The first service's `traffic` and `seed` apply to all. A service's `policy` belongs to the balancer in
    front of it, which its callers use: timeouts, retries, breakers, a fallback. `share`: the share of paths
    for which the first service calls the second; the later ones are always called. A server whose call fails
    answers 500. Raises ExperimentError for what a chain cannot do.
    """

    services: tuple[Experiment, ...] = field(converter=_services)
    share: float = field(default=1.0, validator=number(0, 1))

    def __attrs_post_init__(self) -> None:
        if fault := next(_faults(self.services), ""):
            raise ExperimentError(fault)
        first, *others = self.services
        window = {"duration": first.traffic.duration, "warmup": first.traffic.warmup, "seed": first.seed}
        object.__setattr__(self, "services", (first, *(other.but(**window) for other in others)))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(service.name for service in self.services)


def _faults(services: tuple[Experiment, ...]) -> Iterator[str]:
    """Yield the reasons why these services cannot form a chain, a sentence each."""
    if len(services) < 2 or not all(isinstance(service, Experiment) for service in services):
        yield "services: use two experiments or more, in the order of the calls"
        return
    names = [service.name for service in services]
    if not all(names) or len(set(names)) < len(names):
        yield f"services are called {shown(names)}: give each a name of its own"
    arrivals = services[0].traffic.arrivals
    if isinstance(arrivals, Closed | Sessions):
        yield f"services[0].traffic.arrivals is {arrivals.kind!r}: use an open loop, such as Poisson"
    for i, service in enumerate(services):
        for name, value in _unused(service):
            yield f"services[{i}].{name} is {shown(value)}: a call chain does not support it, leave it out"
        for event in service.timeline:
            if event.action not in ACTIONS:
                does = ", ".join(action.value for action in ACTIONS)
                yield f"services[{i}].events has {event.action.value!r}: in a call chain use {does}"


_UNSUPPORTED = (
    *("admission", "cache", "compression", "deploy", "firewall", "geography", "layer4", "limits"),
    *("routing", "tls"),
    *("traffic.patience", "traffic.mix", "traffic.bursts", "policy.sticky", "policy.health.checks"),
    *("policy.retry.hedge", "policy.retry.deadline"),
)


def _unused(service: Experiment) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of fields that are set and would have no effect in a chain."""
    for path in _UNSUPPORTED:
        value: Any = service
        for name in path.split("."):
            value = getattr(value, name, None)
        if value:
            yield path, value
    for i, server in enumerate(service.servers):
        if not isinstance(server, Server):
            yield f"servers[{i}]", server
        elif server.discipline != FIFO:
            yield f"servers[{i}].discipline", server.discipline
        elif server.cancels:
            yield f"servers[{i}].cancels", server.cancels


def run_chain(chain: CallChain, on: str = "sim") -> dict[str, Result]:
    """Run a chain, and return a Result by service name; its requests are the calls that the service received.

    The column `service` is the time a worker was busy, including its call to the next service. `on`: "sim",
    or "live", where each service is a proxy with processes behind it; clients and paths are then known for
    the first service only. Raises EngineError, ValueError."""
    if not isinstance(on, str) or on not in ENGINES:
        raise ValueError(unknown(on, ENGINES, "engine"))
    _chain(chain)
    require(on)
    results: dict[str, Result] = resolve(ENGINES[on])(chain)
    return results


def _chain(what: object) -> None:
    if not isinstance(what, CallChain):
        raise ValueError(f"chain is {shown(what)}: use a CallChain")


def with_policies(chain: CallChain, **policies: Any) -> CallChain:
    """Return a chain with other policies for the services named. Raises ValueError for an unknown one."""
    _chain(chain)
    for name in policies:
        if name not in chain.names:
            raise ValueError(unknown(name, chain.names, "service"))
    changed = [service.but(policy=policies.get(service.name, service.policy)) for service in chain.services]
    return attrs.evolve(chain, services=changed)
