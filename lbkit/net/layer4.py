"""The proxy at layer 4, TCP or UDP, that the settings make."""

from __future__ import annotations

from typing import Any

import attrs

from lbkit.core import AnyPool, Pool, PoolSet, Replicas
from lbkit.core.routing import DEFAULT
from lbkit.net.config import Layer4Config
from lbkit.net.config.backends import by_pool
from lbkit.net.faults import say
from lbkit.net.l4.proxy_protocol import GREETINGS
from lbkit.net.l4.tcp import TcpProxy
from lbkit.net.l4.tcp_config import TcpConfig
from lbkit.net.l4.udp import UdpConfig, UdpProxy
from lbkit.net.names import Names
from lbkit.net.origin.check import Checker
from lbkit.net.origin.reach import Reach


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
