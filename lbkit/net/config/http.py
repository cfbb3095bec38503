"""All settings of an HTTP proxy: the table of their fields. A section of the file is a field, and a class."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
from attrs import field, frozen

from lbkit.caching import Caching
from lbkit.checks import flag, number, text, whole, word
from lbkit.compression import Compression
from lbkit.core import AnyPool
from lbkit.core.options import named_fields
from lbkit.core.routing import Routing, Rule
from lbkit.core.sticky import Sticky
from lbkit.core.text import unknown
from lbkit.edge import Admission, RateLimit
from lbkit.firewall import FirewallRules
from lbkit.net.address import a_listen_address, split_address
from lbkit.net.config import conflicts
from lbkit.net.config.backends import BackendConfig, make_pool
from lbkit.net.config.error import NO_BACKENDS, ConfigError
from lbkit.net.config.fields import (
    MOST_WORKERS,
    a_path,
    add_admin,
    admin_section,
    defaults,
    header_fields,
    networks,
    section,
    sections,
    texts,
)
from lbkit.net.config.shared import make_rate_limits, make_shared_sessions
from lbkit.net.filters.access_log import FORMATS
from lbkit.net.filters.bandwidth import Bandwidth
from lbkit.net.filters.rate_limit import RateLimits
from lbkit.net.http2.rules import Http2
from lbkit.net.http3.rules import Http3
from lbkit.net.l4.tcp_config import a_version, proxy_networks
from lbkit.net.settings import AdminRules, Limits, Timeouts
from lbkit.net.shared_store import SharedSessions, SharedStore
from lbkit.net.tls.rules import TlsRules
from lbkit.net.tracing.rules import Tracing
from lbkit.policy import OnChange, Policy
from lbkit.schema import add_routing, load_file, strict_converter, structure


@named_fields
@frozen
class ProxyConfig:
    """All settings of a proxy. `workers`: the number of processes that share the port (SO_REUSEPORT)."""

    mode: ClassVar[str] = "http"  # the others are Layer4Config's
    socket_kind: ClassVar[socket.SocketKind] = socket.SOCK_STREAM
    # Where it listens, and how it runs.
    backends: tuple[BackendConfig, ...] = sections(BackendConfig)
    listen: str = field(default="127.0.0.1:8080", validator=a_listen_address)
    # Seconds between lookups of the names of backends with `resolve`.
    lookup_interval: float = field(default=30.0, validator=number(0, above=True))
    workers: int = field(default=1, validator=whole(1, MOST_WORKERS))
    # Seeds the workers' random choices and the places where their rotations start; 0: a new seed each start.
    seed: int = field(default=0, validator=whole(0))
    grace: float = field(default=30.0, validator=number(0))  # seconds for requests in flight at a shutdown

    # What it believes of proxies in front, and tells those behind.
    # Networks of proxies in front of this one: X-Forwarded-* fields are accepted from these only.
    trusted: tuple[str, ...] = field(default=(), converter=texts, validator=networks)
    # Networks of proxies in front, whose connections begin with a PROXY protocol header, version 1 or 2.
    accept_proxy: tuple[str, ...] = field(default=(), converter=texts, validator=proxy_networks)
    # The version of the header that backends get, "v1" or "v2"; "": none. Each client then has backend
    # connections of its own.
    send_proxy: str = field(default="", validator=a_version)
    # Fields such as X_Forwarded_For, which applications may read as X-Forwarded-For: "drop" or "refuse".
    underscores: str = field(default="drop", validator=word(("drop", "refuse")))

    # What it shows. `admin`: where the operator reaches it (`lbkit drain`, status page).
    admin: AdminRules | None = admin_section()
    access_log: str = field(default="", validator=text())  # a file, or "-" for standard error
    access_log_format: str = field(default="combined", validator=word(tuple(FORMATS)))
    tracing: Tracing | None = section(Tracing)  # W3C traces: which are continued, begun, and recorded
    # Shows clients how many backends were tried (X-Lbkit-Attempts), the internal fields of backends' answers,
    # and the page at `probe`, which otherwise is a 404 on a proxy that probes. Exchanges are counted.
    expose: bool = field(default=False, validator=flag)
    explain: bool = field(default=False, validator=flag)  # adds X-Lbkit-Why: why this backend was picked
    probe: str = field(default="/load", validator=a_path)  # where backends report their load

    # Features, off by default.
    rate_limits: tuple[RateLimit, ...] = sections(RateLimit)
    x_ratelimit: bool = field(default=False, validator=flag)  # adds X-RateLimit-* to RateLimit
    redis: SharedStore | None = section(SharedStore)  # several proxies share rate limits and sessions there
    admission: Admission | None = section(Admission)  # how many requests backends get at once; which wait
    bandwidth: tuple[Bandwidth, ...] = sections(Bandwidth)  # how fast answers are sent to clients
    cache: Caching | None = section(Caching)  # which answers are kept, and given to others
    compression: Compression | None = section(Compression)  # which answers are compressed, and how
    firewall: FirewallRules | None = section(FirewallRules)  # refuses by limits, and by signatures of attacks
    # Header fields removed from backends' answers.
    hide: tuple[str, ...] = field(default=(), converter=texts, validator=header_fields)
    # Replaces a backend's 5xx with a short page of the proxy's own.
    hide_errors: bool = field(default=False, validator=flag)
    routing: Routing | None = section(Routing)  # rules: which requests are answered at once, or rewritten
    tls: TlsRules | None = section(TlsRules)  # clients come with HTTPS; by default with plain HTTP
    # Clients may use HTTP/2, by ALPN with TLS, by prior knowledge without; by default only HTTP/1.1.
    http2: Http2 | None = section(Http2)
    http3: Http3 | None = section(Http3)  # clients may use HTTP/3, over UDP, and are told so; it needs TLS

    # Always in force.
    policy: Policy = defaults(Policy)
    timeouts: Timeouts = defaults(Timeouts)
    limits: Limits = defaults(Limits)

    def __attrs_post_init__(self) -> None:
        if faults := list(self._faults()):
            raise ConfigError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        """Yield the contradictions between fields that are valid by themselves."""
        shared = self.redis is not None
        yield from conflicts.address_faults(self.backends, self.listen)
        yield from conflicts.protocol_faults(self.backends, self.send_proxy)
        yield from conflicts.routing_faults(self.routing, self.backends, self.sticky, shared)
        yield from conflicts.sticky_faults(self.sticky, self.workers, shared)
        for rules in (self.tls, self.firewall):
            if rules:
                yield from rules.faults()
        yield from conflicts.package_faults(self.http2, self.policy, self.firewall)
        yield from conflicts.tracing_faults(self.tracing, self.admin)
        yield from conflicts.http3_faults(
            self.http3, self.workers, self.tls, self.client_certificates, bool(self.accept_proxy)
        )
        yield from conflicts.redis_faults(self.redis, bool(self.rate_limits), self.sticky)
        for make in (self.shared_sessions, self.shared_or_own_limits):
            try:
                make()
            except ValueError as error:
                yield str(error)

    def shared_sessions(self) -> SharedSessions | None:
        return make_shared_sessions(self.sticky, self.redis)

    def shared_or_own_limits(self) -> RateLimits:
        return make_rate_limits(self.rate_limits, self.x_ratelimit, self.redis)

    @property
    def sticky(self) -> Sticky | None:
        """The policy's rules of sticky sessions, which a filter uses, too."""
        return self.policy.sticky

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    # What filters do for TLS, each falsy if it is off.
    @property
    def https_redirect(self) -> str:
        return self.tls.redirect if self.tls else ""

    @property
    def hsts(self) -> float:
        return self.tls.hsts if self.tls else 0.0

    @property
    def mirrored(self) -> tuple[Rule, ...]:
        """The rules of content switching that have a mirror."""
        return tuple(rule for rule in self.routing.rules if rule.mirror) if self.routing else ()

    @property
    def client_certificates(self) -> bool:
        return self.tls is not None and self.tls.client_certificates != "off"

    @property
    def stats(self) -> bool:
        """Whether exchanges are counted by backend: for the operator, and where `expose` is set."""
        return self.admin is not None or self.expose

    @property
    def address(self) -> tuple[str, int]:
        """The host and port to listen on."""
        return split_address(self.listen)

    def pool(self, seed: int = 0, start: float = 0.0, on_change: OnChange = None) -> AnyPool:
        """Return the pool of these backends; see `make_pool`."""
        return make_pool(self.backends, self.policy, seed, start, on_change)

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = _converter.unstructure(self)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProxyConfig:
        """Return the settings in plain data. Raises ConfigError with a line for every wrong field."""
        if isinstance(data, Mapping):
            data = {
                name: value
                for name, value in data.items()
                if not (name == "backends" and not value) and (name, value) != ("mode", cls.mode)
            }
        try:
            config = structure(_converter, data, cls, ConfigError)
        except ConfigError as error:
            raise ConfigError("\n".join(_all_faults(data, str(error).splitlines()))) from None
        if not config.backends:
            raise ConfigError(NO_BACKENDS)
        return config

    def but(self, **options: Any) -> ProxyConfig:
        """Return a copy with some fields changed; `retries` and `keyed_by` are the policy's.

        Raises ConfigError."""
        known = [f.name for f in attrs.fields(ProxyConfig)]
        for name in options:
            if name not in (*known, "retries", "keyed_by"):
                raise ConfigError(unknown(name, [*known, "retries", "keyed_by"]))
        try:
            policy = options.pop("policy", self.policy)
            for name, of_policy in (("retries", "retries"), ("keyed_by", "key")):
                if name in options:
                    policy = attrs.evolve(policy, **{of_policy: options.pop(name)})
            return attrs.evolve(self, policy=policy, **options)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(str(error)) from None

    @classmethod
    def load(cls, path: str | Path) -> ProxyConfig:
        """Return the settings in a TOML file. Raises ConfigError, also for a file that cannot be read."""
        try:
            return load_file(path, cls.from_dict, ConfigError, "TOML")
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _all_faults(data: Any, faults: list[str]) -> list[str]:
    """Return the faults, with those between valid fields, which are checked only if all fields are valid."""
    if isinstance(data, Mapping):
        wrong = {re.split(r"[^\w]", fault.removeprefix("unknown "))[0] for fault in faults}
        rest = {name: value for name, value in data.items() if name not in wrong}
        if len(rest) < len(data):
            try:
                structure(_converter, rest, ProxyConfig, ConfigError)
            except ConfigError as error:
                faults += [line for line in str(error).splitlines() if line not in faults]
        if "backends" not in data:
            faults.append(NO_BACKENDS)
    return faults


_converter = strict_converter()
add_routing(_converter)
add_admin(_converter)
