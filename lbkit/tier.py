"""A balancer behind another balancer, as data: it takes the place of a server, and has servers of its own.

So an experiment is a tree: the root is the experiment's own balancer with its `policy`, inner nodes are
tiers, and leaves are servers.
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

MOST_LAYERS = 10  # of nested tiers; a bound, as real systems have five or six
LBKIT = "lbkit"
PROGRAMS = (LBKIT, "nginx", "haproxy", "apache", "caddy")  # what a tier can run as, on real sockets


def _servers(what: Node | Iterable[Node]) -> tuple[Node, ...]:
    return several(what)


def _policy(what: Policy | str | type[Balancer]) -> Policy:
    return Policy.of(what)


@named_fields
@frozen
class Tier:
    """A balancer among the servers of another one.

    The balancer above it sees one backend: `weight`, `zone`, `priority` and `pool` are as for a Server, and
    `distance` is the one-way network delay to it in seconds. The tier balances `servers`, which may be tiers
    again, by its own `policy` (algorithm, health rules, retries, breakers) and optional `admission` control.
    Without an available backend it answers 503, as any balancer does.

    A tier with a `ttl` is a name server and not on the path of requests: it answers a client's query with one
    of its servers, and for `ttl` seconds the client sends its requests straight there, even if that server
    has failed meanwhile. Only the query pays `distance`. `program`: what the tier runs as on real sockets.
    Raises ValueError for fields that do not fit together.
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

    discipline: ClassVar[str] = "tier"  # as Server.discipline: how the simulator serves its requests
    dependencies: ClassVar[dict[str, float]] = {}
    boot: ClassVar[float] = 0.0
    cancels: ClassVar[bool] = False  # it does not cancel a request whose client has left

    def __attrs_post_init__(self) -> None:
        if not self.servers:
            raise ValueError("servers: a tier needs at least one server, or tier, to send requests to")
        for i, node in enumerate(self.servers):
            if not isinstance(node, Server | Tier):
                raise ValueError(f"servers[{i}] is {node!r}: use a Server or a Tier")
        if depth(self) > MOST_LAYERS:
            raise ValueError(f"servers: more than {MOST_LAYERS} tiers are nested: use fewer")
        if fault := _name_server_fault(self) if self.ttl is not None else "":
            raise ValueError(fault)
        if self.policy.sticky:
            raise ValueError("policy.sticky: sessions are kept by the experiment's own policy: set it there")

    @property
    def delay(self) -> float:
        """The one-way network delay of a request in seconds; 0 for a name server, which sees no requests."""
        return self.distance if self.ttl is None else 0.0

    @property
    def workers(self) -> int:
        """The number of workers of all servers below it."""
        return sum(server.workers for server in leaves(self.servers))

    @property
    def capacity(self) -> float:
        """The requests a second that the servers below it can serve in all, without those of weight 0."""
        return sum(node.capacity for node in self.servers if node.weight > 0)


Node: TypeAlias = Server | Tier


def _name_server_fault(tier: Tier) -> str:
    """Return why a tier cannot be a name server: a field that needs to see requests; empty if it can."""
    health = tier.policy.health
    needs_requests = {
        "admission": tier.admission,
        "policy.retry": tier.policy.retry,
        "policy.health.outliers": health and health.outliers,
        "policy.health.max_fails": health and health.max_fails,
        "policy.health.breaker": health and health.breaker,
        "policy.health.max_in_flight": health and health.max_in_flight,
        "policy.balancers": tier.policy.balancers > 1,
        "program": tier.program != LBKIT,
    }
    found = next((name for name, value in needs_requests.items() if value), "")
    return f"{found}: a tier with a ttl answers queries and sees no requests; leave it out" if found else ""


def leaves(servers: Iterable[Node]) -> tuple[Server, ...]:
    """Return all servers of a tree, from left to right."""
    return tuple(_leaves(servers))


def _leaves(servers: Iterable[Node]) -> Iterator[Server]:
    for node in servers:
        if isinstance(node, Tier):
            yield from _leaves(node.servers)
        else:
            yield node


def tiers(servers: Iterable[Node]) -> Iterator[Tier]:
    """Yield all tiers of a tree, each before those below it."""
    for node in servers:
        if isinstance(node, Tier):
            yield node
            yield from tiers(node.servers)


def depth(tier: Tier) -> int:
    """Return the number of tiers on the longest path from here to a server."""
    return 1 + max((depth(node) for node in tier.servers if isinstance(node, Tier)), default=0)


def with_fields(servers: Sequence[Node], **fields: Any) -> tuple[Node, ...]:
    """Return the same tree with these fields changed in all its servers."""
    return tuple(
        evolve(node, servers=with_fields(node.servers, **fields))
        if isinstance(node, Tier)
        else evolve(node, **fields)
        for node in servers
    )
