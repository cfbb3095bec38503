"""Contradictions between fields that are valid by themselves. Each function yields a line for every fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from lbkit.core.routing import DEFAULT, Routing
from lbkit.core.sticky import Sticky
from lbkit.firewall import FirewallRules
from lbkit.needs import why_not
from lbkit.net.address import leads_back, split_address
from lbkit.net.config.backends import BackendConfig, by_pool
from lbkit.net.http2.rules import Http2
from lbkit.net.http3.rules import Http3
from lbkit.net.origin.reach import HTTP2
from lbkit.net.settings import AdminRules
from lbkit.net.shared_store import SharedStore
from lbkit.net.tls.rules import TlsRules
from lbkit.net.tracing.rules import Tracing
from lbkit.policy import Policy


def address_faults(backends: Sequence[BackendConfig], listen: str) -> Iterator[str]:
    """Yield which names of backends are taken, and which addresses lead back to the proxy."""
    names = [b.name or b.address for b in backends]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"backends: two have the name {name!r}; names must differ"
    for i, backend in enumerate(backends):
        if leads_back(*split_address(backend.address), *split_address(listen)):
            at = f"backends[{i}].address is {backend.address!r}"
            yield f"{at}, where the proxy itself listens: requests would go round in circles"


def protocol_faults(backends: Sequence[BackendConfig], send_proxy: str) -> Iterator[str]:
    """Yield which backends cannot be spoken to as they are configured."""
    for i, backend in enumerate(backends):
        if backend.tls:
            yield from (f"backends[{i}].tls.{fault}" for fault in backend.tls.faults())
        if backend.protocol == HTTP2 and send_proxy:
            yield f"backends[{i}].protocol is {HTTP2!r}, and send_proxy is set: remove one of them"
        if backend.protocol == HTTP2 and (reason := why_not("http2")):
            yield f"backends[{i}].protocol is {HTTP2!r}: {reason}"


def routing_faults(
    routing: Routing | None, backends: Sequence[BackendConfig], sticky: Sticky | None, shared: bool
) -> Iterator[str]:
    """Yield the rules that the proxy cannot carry out, or that no request reaches.

    `shared`: sessions are in Redis."""
    pools = list(by_pool(backends))
    others = [pool for pool in pools if pool != DEFAULT]
    if others and DEFAULT not in pools:
        yield f"backends: none is in the pool {DEFAULT!r}, which gets what no rule fits; add one"
    if others and sticky and (sticky.how == "route" or (sticky.table and shared)):
        yield (
            f"policy.sticky.how is {sticky.how!r}, which has one session for all pools"
            f"{' in redis' if shared else ''}: use insert, or one pool"
        )
    if routing is None:
        if others:
            yield f"backends: no request goes to the pool {others[0]!r}; add routing.rules"
        return
    yield from routing.pool_faults(list(dict.fromkeys([DEFAULT, *pools])))
    yield from (f"routing: {problem}; move or remove it" for problem in routing.problems())


def sticky_faults(rules: Sticky | None, workers: int, shared: bool) -> Iterator[str]:
    """Yield the rules of sticky sessions that do not work with several workers, or with Redis (`shared`)."""
    if rules is None:
        return
    if rules.table and shared:
        if rules.idle == inf or rules.life < inf:
            yield (
                "policy.sticky: sessions in redis expire only when idle; "
                "set idle, such as 1800.0 seconds, and no life"
            )
    elif rules.table and workers > 1:
        yield (
            f"policy.sticky.how is {rules.how!r}: each of {workers} workers would have a table of "
            "its own; use insert, or [redis], or workers = 1"
        )
    elif workers > 1 and not rules.secret:
        yield (
            f"policy.sticky.secret is missing: {workers} workers must share one; "
            "use 16 bytes or more, drawn at random"
        )


def package_faults(
    http2: Http2 | None, policy: Policy, firewall: FirewallRules | None = None
) -> Iterator[str]:
    """Yield which packages are missing."""
    if http2 and (reason := why_not("http2")):
        yield f"http2: {reason}"
    if firewall and firewall.engine == "modsecurity" and (reason := why_not("modsecurity")):
        yield f"firewall.engine is 'modsecurity': {reason}"
    checks = policy.health and policy.health.checks
    if checks and checks.probe.kind == "grpc" and (reason := why_not("grpc")):
        yield f"policy.health.checks.probe.kind is 'grpc': {reason}"


def tracing_faults(rules: Tracing | None, admin: AdminRules | None) -> Iterator[str]:
    """Yield that spans or metrics cannot be sent; to pass traceparent on needs no package."""
    if rules and rules.endpoint and (reason := why_not("tracing")):
        yield f"tracing.endpoint: {reason}"
    if admin and admin.otlp and (reason := why_not("tracing")):
        yield f"admin.otlp: {reason}"


def http3_faults(
    http3: Http3 | None, workers: int, tls: TlsRules | None, asks_clients: bool, announced: bool
) -> Iterator[str]:
    """Yield what HTTP/3 lacks, and what it cannot do.

    `asks_clients`: for certificates; `announced`: proxies in front tell the clients' addresses."""
    if http3 is None:
        return
    if reason := why_not("http3"):
        yield f"http3: {reason}"
    if tls is None:
        yield "http3: it is always encrypted, and there are no certificates; add [tls]"
    if workers > 1:
        yield (
            f"http3: {workers} workers would get each other's datagrams, as the kernel does not know QUIC's "
            "connections; use workers = 1, or remove http3"
        )
    if asks_clients:
        yield "http3: it asks no client for a certificate; remove it, or tls.client_certificates"
    if announced:
        yield "http3: the PROXY protocol is read on TCP only; remove it, or accept_proxy"


def redis_faults(redis: SharedStore | None, limited: bool, sticky: Sticky | None) -> Iterator[str]:
    """Yield that Redis would hold nothing. `limited`: there are rate limits."""
    if redis and not limited and not (sticky and sticky.table):
        yield "redis is set, but there are no rate_limits to count: add some, or remove redis"
