"""The settings of `lbkit proxy` in the modes tcp and udp, and the proxy that they make.

At layer 4 a proxy sees connections and datagrams, so there are fewer fields than for HTTP; those that both
have mean the same.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from attrs import field, frozen
from attrs.validators import optional

from lbkit.checks import number, one_of, whole, word
from lbkit.core import AnyPool, Pool, PoolSet, Replicas
from lbkit.core.options import named_fields
from lbkit.core.routing import DEFAULT
from lbkit.core.text import did_you_mean
from lbkit.experiment import Policy
from lbkit.layer4 import SEEN
from lbkit.net.address import a_listen_address, split_address
from lbkit.net.config import (
    MOST_WORKERS,
    BackendConfig,
    ConfigError,
    add_admin,
    address_faults,
    admin_rules,
    all_are,
    backend_list,
    by_pool,
    make_pool,
)
from lbkit.net.faults import say
from lbkit.net.l4.proxy_protocol import GREETINGS
from lbkit.net.l4.tcp import TcpProxy, as_pattern
from lbkit.net.l4.tcp_config import TcpConfig, TcpRules
from lbkit.net.l4.udp import UdpConfig, UdpProxy, UdpRules
from lbkit.net.names import Names
from lbkit.net.origin.check import Checker
from lbkit.net.origin.reach import HTTP1, Reach
from lbkit.net.settings import AdminRules
from lbkit.policy import OnChange
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
    backends: tuple[BackendConfig, ...] = field(
        default=(), converter=backend_list, validator=all_are(BackendConfig)
    )
    listen: str = field(default="127.0.0.1:8080", validator=a_listen_address)
    lookup_interval: float = field(default=30.0, validator=number(0, above=True))
    workers: int = field(default=1, validator=whole(1, MOST_WORKERS))
    seed: int = field(default=0, validator=whole(0))
    grace: float = field(default=30.0, validator=number(0))  # seconds for open connections at a shutdown
    admin: AdminRules | None = field(
        default=None, converter=admin_rules, validator=optional(one_of(AdminRules))
    )
    policy: Policy = field(factory=Policy, validator=one_of(Policy))
    tcp: TcpRules = field(factory=TcpRules, validator=one_of(TcpRules))
    udp: UdpRules = field(factory=UdpRules, validator=one_of(UdpRules))
    # TLS server name, or *.NAME -> pool. Without certificates: the ClientHello is read, nothing is decrypted.
    routes: Mapping[str, str] = field(factory=dict, validator=_routes)

    def __attrs_post_init__(self) -> None:
        if faults := list(self._faults()):
            raise ConfigError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        """Yield the contradictions between fields, and what layer 4 does not have."""
        yield from address_faults(self.backends, self.listen)
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
            raise ConfigError("backends is missing: there must be at least one")
        return config


_converter = strict_converter()
add_admin(_converter)


def layer4_proxy(config: Layer4Config, pool: AnyPool | None = None) -> TcpProxy | UdpProxy:
    """Return the proxy of these settings, with health checks and lookups of names.

    Raises ConfigError for a backend's name that cannot be resolved."""
    pool = config.pool() if pool is None else pool
    proxy = _udp(config, pool) if config.mode == "udp" else _tcp(config, pool)
    health = config.policy.health
    if health and health.checks:
        proxy.checker = Checker(
            pool,
            health.checks.probe,
            health.checks.timeout,
            lambda: proxy.now(),
            on_fault=proxy.faults.report,
        )
        reach = Reach(greeting=GREETINGS[config.tcp.send_proxy])
        proxy.checker.reach = lambda backend: reach
        proxy.background.append(proxy.checker.run)
    names = Names(pool, config.backends, config.lookup_interval, say)
    names.set_intent = proxy.set_intent
    if names.named:
        proxy.background.append(names.run)
    return proxy


def _tcp(config: Layer4Config, pool: AnyPool) -> TcpProxy:
    first: Pool | Replicas | None
    if isinstance(pool, PoolSet):
        named = {name: pool.named(name) for name in by_pool(config.backends)}
        first = named.get(DEFAULT)
    else:
        only = next(iter(by_pool(config.backends)), DEFAULT)
        named = {only: pool}
        first = pool if only == DEFAULT else None
    rules = TcpConfig(
        **_fields(config.tcp), listen=config.listen, key=config.key, retries=config.policy.retries
    )
    return TcpProxy(first, rules, routes={name: named[to] for name, to in config.routes.items()})


def _udp(config: Layer4Config, pool: AnyPool) -> UdpProxy:
    assert not isinstance(pool, PoolSet)  # there are no routes to a second pool
    return UdpProxy(pool, UdpConfig(**_fields(config.udp), listen=config.listen, key=config.key))


def _fields(rules: Any) -> dict[str, Any]:
    return attrs.asdict(rules, recurse=False)
