"""Services that call each other in a row: how a failure of the last one reaches the clients of the first.

A page needs an answer of a service, which needs one of the next, and so on. A server holds a worker from the
moment at which it begins with a request until the service that it calls has answered.
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
# What may happen to a server; what else there is, no worker that waits for another service would notice.
ACTIONS = (Action.SLOW, Action.CRASH, Action.RECOVER, Action.FAIL, Action.DELAY)


def _services(what: Experiment | Iterable[Experiment]) -> tuple[Experiment, ...]:
    return several(what)


@named_fields
@frozen
class CallChain:
    """Services in a row, each as an experiment: its servers, what happens to them, and how it is called.

    The `traffic` and the `seed` of the first are those of all. The `policy` of a service is that of its
    callers, by a balancer before it: timeouts and retries, breakers, a fallback. `share`: the share of paths
    that need the next service; the others are answered without it. A server that gets an error answers 500.
    Raises ExperimentError for what a chain cannot do.
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
    """Yield what a chain cannot do, a sentence each."""
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
            yield f"services[{i}].{name} is {shown(value)}: a chain of calls does without it, leave it out"
        for event in service.timeline:
            if event.action not in ACTIONS:
                does = ", ".join(action.value for action in ACTIONS)
                yield f"services[{i}].events has {event.action.value!r}: in a chain of calls use {does}"


# Fields of an experiment that a chain has no use for.
_NOT_HERE = (
    *("admission", "cache", "compression", "deploy", "firewall", "geography", "layer4", "limits"),
    *("routing", "tls"),
    *("traffic.patience", "traffic.mix", "traffic.bursts", "policy.sticky", "policy.health.checks"),
    *("policy.retry.hedge", "policy.retry.deadline"),
)


def _unused(service: Experiment) -> Iterator[tuple[str, Any]]:
    """Yield the fields that are set and have no effect in a chain."""
    for path in _NOT_HERE:
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
    """Run a chain, and return the Result of each service by its name: requests are the calls that it got.

    `service` is the time for which a worker was held, with the call to the next service. `on`: "sim" or
    "live", where each service is a proxy with processes behind it; there, the requests of the first service
    are known, and of the others what their balancers counted. Raises EngineError, ValueError."""
    if on not in ENGINES:
        raise ValueError(unknown(str(on), ENGINES, "engine"))
    if not isinstance(chain, CallChain):
        raise ValueError(f"chain is {shown(chain)}: use a CallChain")
    require(on)
    results: dict[str, Result] = resolve(ENGINES[on])(chain)
    return results


def with_policies(chain: CallChain, **policies: Any) -> CallChain:
    """Return a chain in which services, by name, are called by other policies. Raises ValueError."""
    for name in policies:
        if name not in chain.names:
            raise ValueError(unknown(name, chain.names, "service"))
    changed = [service.but(policy=policies.get(service.name, service.policy)) for service in chain.services]
    return attrs.evolve(chain, services=changed)
