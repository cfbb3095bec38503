"""All settings of a proxy in the modes tcp and udp: the table of their fields.

At layer 4 a proxy sees connections and datagrams, so there are fewer fields than for HTTP; those that both
have mean the same.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import number, whole, word
from lbkit.core import AnyPool
from lbkit.core.options import named_fields
from lbkit.core.routing import DEFAULT
from lbkit.core.text import did_you_mean
from lbkit.layer4 import SEEN
from lbkit.net.address import a_listen_address, split_address
from lbkit.net.config.backends import BackendConfig, by_pool, make_pool
from lbkit.net.config.conflicts import address_faults, tracing_faults
from lbkit.net.config.error import NO_BACKENDS, ConfigError
from lbkit.net.config.fields import MOST_WORKERS, add_admin, admin_section, defaults, sections
from lbkit.net.l4.tcp import as_pattern
from lbkit.net.l4.tcp_config import TcpRules
from lbkit.net.l4.udp import UdpRules
from lbkit.net.origin.reach import HTTP1
from lbkit.net.settings import AdminRules
from lbkit.policy import OnChange, Policy
from lbkit.schema import strict_converter, structure


def _routes(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(pool, str) for pool in value.values()):
        raise ValueError(f'{attribute.name} is {value!r}: use a table such as {{ "www.a.test" = "a" }}')
    for name in value:
        as_pattern(name)


@named_fields
@frozen
class Layer4Config:
    """All settings of a proxy at layer 4."""

    mode: str = field(default="tcp", validator=word(("tcp", "udp")))
    backends: tuple[BackendConfig, ...] = sections(BackendConfig)
    listen: str = field(default="127.0.0.1:8080", validator=a_listen_address)
    lookup_interval: float = field(default=30.0, validator=number(0, above=True))
    workers: int = field(default=1, validator=whole(1, MOST_WORKERS))
    seed: int = field(default=0, validator=whole(0))
    grace: float = field(default=30.0, validator=number(0))  # seconds for open connections at a shutdown
    admin: AdminRules | None = admin_section()
    policy: Policy = defaults(Policy)
    tcp: TcpRules = defaults(TcpRules)
    udp: UdpRules = defaults(UdpRules)
    # TLS server name, or *.NAME -> pool. Without certificates: the ClientHello is read, nothing is decrypted.
    routes: Mapping[str, str] = field(factory=dict, validator=_routes)

    def __attrs_post_init__(self) -> None:
        if faults := list(self._faults()):
            raise ConfigError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        """Yield the contradictions between fields, and what layer 4 does not have."""
        yield from address_faults(self.backends, self.listen)
        yield from tracing_faults(None, self.admin)
        policy, other = self.policy, "udp" if self.mode == "tcp" else "tcp"
        if getattr(self, other) != (UdpRules() if other == "udp" else TcpRules()):
            yield f"{other}: the mode is {self.mode!r}; move the fields to [{self.mode}], or remove them"
        if policy.key and policy.key not in SEEN:
            yield f"policy.key is {policy.key!r}: layer 4 sees addresses only; use flow or client"
        if policy.sticky:
            yield (
                "policy.sticky: layer 4 sees no cookies; remove it, and use an algorithm that hashes, such "
                "as maglev, with key = 'client'"
            )
        if policy.retry:
            yield "policy.retry: layer 4 sees no requests; use policy.retries, for connections"
        if (health := policy.health) and health.checks and self.mode == "udp":
            yield "policy.health.checks: there are none for UDP, which has no answer in common; remove them"
        for i, backend in enumerate(self.backends):
            if backend.tls or backend.protocol != HTTP1:
                field = "tls" if backend.tls else "protocol"
                yield f"backends[{i}].{field}: layer 4 relays bytes as they are; remove it"
        yield from self._route_faults()

    def _route_faults(self) -> Iterator[str]:
        pools = by_pool(self.backends)
        if self.routes and self.mode == "udp":
            yield "routes: a server name is read from TLS over TCP only; remove them"
        for name, pool in self.routes.items():
            if pool not in pools:
                there = f"there are {', '.join(pools)}{did_you_mean(pool, list(pools))}"
                yield f"routes: {name!r} leads to the pool {pool!r}, which has no backend; {there}"
        for pool in pools:
            if pool != DEFAULT and pool not in self.routes.values():
                yield f"backends: nothing leads to the pool {pool!r}; add it to routes, or remove pool"

    # What other parts of `lbkit proxy` ask of any settings.
    tls = None
    access_log = ""

    @property
    def scheme(self) -> str:
        return self.mode

    @property
    def address(self) -> tuple[str, int]:
        """The host and port to listen on."""
        return split_address(self.listen)

    @property
    def socket_kind(self) -> socket.SocketKind:
        return socket.SOCK_STREAM if self.mode == "tcp" else socket.SOCK_DGRAM

    @property
    def key(self) -> str:
        """What algorithms get: the policy's key, or if the algorithm's own is not seen here, the flow."""
        keyed_by = self.policy.keyed_by
        return keyed_by if keyed_by in SEEN else "flow"

    def pool(self, seed: int = 0, start: float = 0.0, on_change: OnChange = None) -> AnyPool:
        """Return the pool of these backends; see `make_pool`."""
        return make_pool(self.backends, self.policy, seed, start, on_change)

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = _converter.unstructure(self)
        return {"mode": self.mode, **plain}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Layer4Config:
        """Return the settings in plain data. Raises ConfigError with a line for every wrong field."""
        config = structure(_converter, data, cls, ConfigError)
        if not config.backends:
            raise ConfigError(NO_BACKENDS)
        return config


_converter = strict_converter()
add_admin(_converter)
