"""A balancer below another one, as data: it stands where a server could, and has servers of its own.

So an experiment is a tree. Its root is the experiment's own balancer, which has `policy`, its inner nodes are
tiers, and its leaves are servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeAlias

from attrs import evolve, field, frozen
from attrs.validators import optional

from lbkit.checks import number, one_of, several, text, whole, word
from lbkit.core.balance import Balancer
from lbkit.core.options import named_fields
from lbkit.edge import Admission
from lbkit.policy import Policy
from lbkit.server import Server

__all__ = ["PROGRAMS", "Node", "Tier", "leaves", "tiers", "with_fields"]

MOST_LAYERS = 10  # of balancers: a request that passes more has other worries
LBKIT = "lbkit"
PROGRAMS = (LBKIT, "nginx", "haproxy", "apache", "caddy")  # that a tier can be, on real sockets


def _servers(what: Node | Iterable[Node]) -> tuple[Node, ...]:
    return several(what)


def _policy(what: Policy | str | type[Balancer]) -> Policy:
    return Policy.of(what)


@named_fields
@frozen
class Tier:
    """A balancer among the servers of another one.

    The balancer above sees it as one backend: `weight`, `zone`, `priority` and `pool` are as for a Server,
    and `distance` is the seconds on the network to it, each way. It balances `servers`, which may be tiers
    again, by its own `policy` (algorithm, health rules, retries, breakers), and may have an `admission`
    control. When it has no backend to send a request to, it answers 503, as any balancer does.

    With a `ttl`, it is not on the requests' way: as a name server, it answers each client's question with one
    of its servers, and the client goes straight there for `ttl` seconds, also if that server has failed
    since. `distance` is then paid only for the question. `program`: what it is on real sockets.
    """

    name: str = field(validator=text(empty=False))
    servers: tuple[Node, ...] = field(converter=_servers)
    policy: Policy = field(factory=Policy, converter=_policy)
    distance: float = field(default=0.0, validator=number(0, 1e7))
    admission: Admission | None = field(default=None, validator=optional(one_of(Admission)))
    ttl: float | None = field(default=None, validator=optional(number(0, 1e7)))
    weight: float = field(default=1.0, validator=number(0))
    zone: str = field(default="", validator=text())
    priority: int = field(default=0, validator=whole(0))
    pool: str = field(default="default", validator=text(empty=False))
    program: str = field(default=LBKIT, validator=word(PROGRAMS))

    discipline: ClassVar[str] = "tier"  # how the simulator serves what comes to it, as for a Server
    dependencies: ClassVar[dict[str, float]] = {}
    boot: ClassVar[float] = 0.0
    cancels: ClassVar[bool] = False  # it does not pass on that a client has left

    def __attrs_post_init__(self) -> None:
        if not self.servers:
            raise ValueError("servers: a tier needs at least one server, or tier, to send requests to")
        for i, node in enumerate(self.servers):
            if not isinstance(node, Server | Tier):
                raise ValueError(f"servers[{i}] is {node!r}: use a Server or a Tier")
        if depth(self) > MOST_LAYERS:
            raise ValueError(f"servers: there are more than {MOST_LAYERS} tiers below each other: use fewer")
        if fault := _question_fault(self) if self.ttl is not None else "":
            raise ValueError(fault)
        if self.policy.sticky:
            raise ValueError("policy.sticky: sessions are kept by the experiment's own policy: set it there")

    @property
    def delay(self) -> float:
        """The seconds on a request's way to it: none to a name server, which is only asked."""
        return self.distance if self.ttl is None else 0.0

    @property
    def workers(self) -> int:
        """The workers of all servers below it."""
        return sum(server.workers for server in leaves(self.servers))

    @property
    def capacity(self) -> float:
        """Requests a second that the servers below it can serve together, without those of weight 0."""
        return sum(node.capacity for node in self.servers if node.weight > 0)


Node: TypeAlias = Server | Tier


def _question_fault(tier: Tier) -> str:
    """Return what a name server cannot do, as it sees no requests; empty if nothing."""
    health = tier.policy.health
    seen = {
        "admission": tier.admission,
        "policy.retry": tier.policy.retry,
        "policy.health.outliers": health and health.outliers,
        "policy.health.max_fails": health and health.max_fails,
        "policy.health.breaker": health and health.breaker,
        "policy.health.max_in_flight": health and health.max_in_flight,
        "policy.balancers": tier.policy.balancers > 1,
        "program": tier.program != LBKIT,
    }
    found = next((name for name, what in seen.items() if what), "")
    return f"{found}: a tier with a ttl answers questions and sees no requests; leave it out" if found else ""


def leaves(servers: Iterable[Node]) -> tuple[Server, ...]:
    """Return the servers, and those below the tiers, from left to right."""
    return tuple(_leaves(servers))


def _leaves(servers: Iterable[Node]) -> Iterator[Server]:
    for node in servers:
        if isinstance(node, Tier):
            yield from _leaves(node.servers)
        else:
            yield node


def tiers(servers: Iterable[Node]) -> Iterator[Tier]:
    """Yield the tiers among the servers, each before those below it."""
    for node in servers:
        if isinstance(node, Tier):
            yield node
            yield from tiers(node.servers)


def depth(tier: Tier) -> int:
    """Return the number of balancers on a way from here to a server: the longest."""
    return 1 + max((depth(node) for node in tier.servers if isinstance(node, Tier)), default=0)


def with_fields(servers: Sequence[Node], **fields: Any) -> tuple[Node, ...]:
    """Return the same tree with other fields of all its servers."""
    return tuple(
        evolve(node, servers=with_fields(node.servers, **fields))
        if isinstance(node, Tier)
        else evolve(node, **fields)
        for node in servers
    )
