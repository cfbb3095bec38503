"""The settings of a proxy as data: the file of `lbkit proxy config.toml`, or what an experiment needs."""

from __future__ import annotations

import random
import re
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import attrs
import cattrs
from attrs import field, frozen
from attrs.validators import optional

from lbkit.caching import Caching
from lbkit.checks import flag, number, one_of, several, text, whole, word
from lbkit.core import AnyPool, Backend
from lbkit.core.options import named_fields
from lbkit.core.routing import DEFAULT, Routing, Rule
from lbkit.core.sticky import Sticky
from lbkit.core.text import shown, unknown
from lbkit.edge import Admission, RateLimit
from lbkit.experiment import Policy
from lbkit.needs import why_not
from lbkit.net.address import a_backend_address, a_listen_address, leads_back, split_address
from lbkit.net.filters.bandwidth import Bandwidth
from lbkit.net.filters.compress import Compression
from lbkit.net.filters.rate_limit import RateLimits
from lbkit.net.firewall_rules import FirewallRules
from lbkit.net.http2.rules import Http2
from lbkit.net.l4.tcp_config import a_version, proxy_networks
from lbkit.net.origin.reach import HTTP1, HTTP2, PROTOCOLS
from lbkit.net.peer import trusted_networks
from lbkit.net.settings import AdminRules, Limits, Timeouts
from lbkit.net.shared_store import SharedSessions, SharedStore
from lbkit.net.tls.origin import OriginTls
from lbkit.net.tls.rules import TlsRules
from lbkit.policy import OnChange
from lbkit.schema import add_routing, load_file, strict_converter, structure

MOST_WORKERS = 512  # a mistyped number must not start a million processes
FRAMING = ("content-length", "transfer-encoding")  # without these a client cannot read an answer


class ConfigError(ValueError):
    """Raised for invalid settings; the message has a line for each wrong field and says how to correct it."""


def _path(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, str) and re.fullmatch(r"/[!-~]*", value)):
        raise ValueError(f"{attribute.name} is {value!r}: use a path, such as /load")


def _several_texts(attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{attribute.name} is {value!r}: use a list of strings")


def _networks(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    _several_texts(attribute, value)
    faults = []
    for network in value:
        try:
            trusted_networks([network])
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("\n".join(faults))


def _fields(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    _several_texts(attribute, value)
    faults = []
    for name in value:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            faults.append(f"{attribute.name} has {name!r}: use the name of a header field, such as Server")
        elif name.lower() in FRAMING:
            faults.append(
                f"{attribute.name} has {name!r}: without it clients cannot read answers; leave it out"
            )
    if faults:
        raise ValueError("\n".join(faults))


@named_fields
@frozen
class BackendConfig:
    """A backend and the address it listens on."""

    address: str = field(validator=a_backend_address)
    name: str = field(default="", validator=text())  # the address, unless given
    weight: float = field(default=1.0, validator=number(0))
    zone: str = field(default="", validator=text())
    priority: int = field(default=0, validator=whole(0))  # 0 comes first
    pool: str = field(default=DEFAULT, validator=text(empty=False))  # rules of `routing` choose among pools
    # Makes one backend for each address that the name resolves to; see `lookup_interval` of the proxy.
    resolve: bool = field(default=False, validator=flag)
    protocol: str = field(default=HTTP1, validator=word(PROTOCOLS))  # that it speaks
    tls: OriginTls | None = field(default=None, validator=optional(one_of(OriginTls)))

    @property
    def host_and_port(self) -> tuple[str, int]:
        return split_address(self.address)

    def backends(self) -> list[Backend]:
        """Return the backend; with `resolve`, one for each address of its name.

        Raises ConfigError for a name that cannot be resolved."""
        if self.resolve:
            return self.at(look_up(*self.host_and_port))
        return [self._backend(self.name or self.address, *self.host_and_port)]

    def at(self, addresses: Iterable[str]) -> list[Backend]:
        """Return a backend for each of these addresses."""
        port = self.host_and_port[1]
        return [self._backend(self._name_at(address), address, port) for address in addresses]

    def has(self, backend: Backend) -> bool:
        """Return whether the backend is one of these."""
        name = self._name_at(backend.host) if self.resolve else self.name or self.address
        return backend.name == name

    def _name_at(self, address: str) -> str:
        return f"{self.name or self.address} {address}"

    def _backend(self, name: str, host: str, port: int) -> Backend:
        return Backend(
            name,
            weight=self.weight,
            host=host,
            port=port,
            zone=self.zone,
            priority=self.priority,
            pool=self.pool,
        )


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses that a name resolves to, sorted. Raises ConfigError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"{host}: {error.strerror}; correct the name, or add it to the DNS") from None
    return sorted({str(address[0]) for *_, address in found})


def by_pool(backends: Iterable[BackendConfig]) -> dict[str, list[BackendConfig]]:
    """Return the names of the pools, and their backends; the default pool, if there is one, is first."""
    ordered = sorted(backends, key=lambda backend: backend.pool != DEFAULT)
    return {b.pool: [other for other in ordered if other.pool == b.pool] for b in ordered}


def make_pool(
    backends: Sequence[BackendConfig],
    policy: Policy,
    seed: int = 0,
    start: float = 0.0,
    on_change: OnChange = None,
) -> AnyPool:
    """Return the pool of these backends, or a set of pools; each worker has its own `seed` and `start` (see
    Policy.pool).

    Raises ConfigError if there is no backend, or if a name cannot be resolved."""
    if not backends:
        raise ConfigError("backends: there must be at least one")
    made: list[Backend] = []
    faults = []
    for i, config in enumerate(backends):
        try:
            made += config.backends()
        except ConfigError as error:
            faults.append(f"backends[{i}].address: {error}")
    if faults:
        raise ConfigError("\n".join(faults))
    stream = lambda name: random.Random(f"{seed}/{name}")  # noqa: E731
    secret = secrets.token_bytes(32)
    try:
        return policy.pools(made, stream, by_pool(backends), start, on_change, secret)
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(f"policy: {error}") from None


def address_faults(backends: Sequence[BackendConfig], listen: str) -> Iterator[str]:
    """Yield which names of backends are taken, and which addresses lead back to the proxy."""
    names = [b.name or b.address for b in backends]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"backends: two have the name {name!r}; names must differ"
    for i, backend in enumerate(backends):
        if leads_back(*split_address(backend.address), *split_address(listen)):
            at = f"backends[{i}].address is {backend.address!r}"
            yield f"{at}, where the proxy itself listens: requests would go round in circles"


# Converters are functions so that mypy knows their argument types; validators check the items.
def backend_list(what: BackendConfig | Iterable[BackendConfig]) -> tuple[BackendConfig, ...]:
    return several(what)


def _rate_limits(what: RateLimit | Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    return several(what)


def _bandwidth(what: Bandwidth | Iterable[Bandwidth]) -> tuple[Bandwidth, ...]:
    return several(what)


def admin_rules(what: AdminRules | str | None) -> AdminRules | None:
    return (AdminRules(socket=what) if what else None) if isinstance(what, str) else what


def add_admin(converter: cattrs.Converter) -> None:
    """Teach `converter` the field `admin`: a table, or the path of a socket."""

    def structure(value: Any, _: Any) -> AdminRules | None:
        try:
            if value is None or isinstance(value, str):
                return admin_rules(value)
        except ValueError as error:
            raise ValueError(str(error).removeprefix("socket ")) from None
        if not isinstance(value, Mapping):
            raise ValueError(f"is {shown(value)}: use the path of a socket, or a table such as [admin]")
        rules: AdminRules = converter.structure(value, AdminRules)
        return rules

    converter.register_structure_hook(AdminRules | None, structure)


def _texts(what: Iterable[str]) -> Iterable[str]:
    return tuple(what) if isinstance(what, Iterable) and not isinstance(what, str | bytes) else what


def all_are(cls: type) -> Any:
    """Return a validator that requires every item to be a `cls`."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: tuple[Any, ...]) -> None:
        for i, one in enumerate(value):
            if not isinstance(one, cls):
                raise ValueError(f"{attribute.name}[{i}] is {one!r}: use a {cls.__name__}")

    return check


@named_fields
@frozen
class ProxyConfig:
    """All settings of a proxy. `workers`: the number of processes that share the port (SO_REUSEPORT)."""

    mode: ClassVar[str] = "http"  # the others are Layer4Config's
    socket_kind: ClassVar[socket.SocketKind] = socket.SOCK_STREAM
    backends: tuple[BackendConfig, ...] = field(
        default=(), converter=backend_list, validator=all_are(BackendConfig)
    )
    listen: str = field(default="127.0.0.1:8080", validator=a_listen_address)
    # Seconds between lookups of the names of backends with `resolve`.
    lookup_interval: float = field(default=30.0, validator=number(0, above=True))
    workers: int = field(default=1, validator=whole(1, MOST_WORKERS))
    # Seeds the workers' random choices and the places where their rotations start; 0: a new seed each start.
    seed: int = field(default=0, validator=whole(0))
    grace: float = field(default=30.0, validator=number(0))  # seconds for requests in flight at a shutdown
    # Networks of proxies in front of this one: X-Forwarded-* fields are accepted from these only.
    trusted: tuple[str, ...] = field(default=(), converter=_texts, validator=_networks)
    # Networks of proxies in front, whose connections begin with a PROXY protocol header, version 1 or 2.
    accept_proxy: tuple[str, ...] = field(default=(), converter=_texts, validator=proxy_networks)
    # The version of the header that backends get, "v1" or "v2"; "": none. Each client then has backend
    # connections of its own.
    send_proxy: str = field(default="", validator=a_version)
    # Fields such as X_Forwarded_For, which applications may read as X-Forwarded-For: "drop" or "refuse".
    underscores: str = field(default="drop", validator=word(("drop", "refuse")))
    # Where the operator reaches the proxy (`lbkit drain`, status page); a text is the path of a Unix socket.
    admin: AdminRules | None = field(
        default=None, converter=admin_rules, validator=optional(one_of(AdminRules))
    )
    access_log: str = field(default="", validator=text())  # a file, or "-" for standard error
    # Shows clients how many backends were tried (X-Lbkit-Attempts), the internal fields of backends' answers,
    # and the page at `probe`, which otherwise is a 404 on a proxy that probes.
    expose: bool = field(default=False, validator=flag)
    explain: bool = field(default=False, validator=flag)  # adds X-Lbkit-Why: why this backend was picked
    probe: str = field(default="/load", validator=_path)  # where backends report their load
    rate_limits: tuple[RateLimit, ...] = field(
        default=(), converter=_rate_limits, validator=all_are(RateLimit)
    )
    x_ratelimit: bool = field(default=False, validator=flag)  # adds X-RateLimit-* to RateLimit
    # The store in which several proxies count rate limits and remember sessions together.
    redis: SharedStore | None = field(default=None, validator=optional(one_of(SharedStore)))
    # How many requests the backends get at once; which wait, and which are refused.
    admission: Admission | None = field(default=None, validator=optional(one_of(Admission)))
    # How fast answers are sent to clients.
    bandwidth: tuple[Bandwidth, ...] = field(default=(), converter=_bandwidth, validator=all_are(Bandwidth))
    # Which answers are kept, and given to others.
    cache: Caching | None = field(default=None, validator=optional(one_of(Caching)))
    # Which answers are compressed, and how.
    compression: Compression | None = field(default=None, validator=optional(one_of(Compression)))
    # Which requests are refused: by limits, and by signatures of attacks.
    firewall: FirewallRules | None = field(default=None, validator=optional(one_of(FirewallRules)))
    # Header fields removed from backends' answers.
    hide: tuple[str, ...] = field(default=(), converter=_texts, validator=_fields)
    # Replaces a backend's 5xx with a short page of the proxy's own.
    hide_errors: bool = field(default=False, validator=flag)
    # Rules over requests: which are answered at once, and which are rewritten.
    routing: Routing | None = field(default=None, validator=optional(one_of(Routing)))
    # Clients come with HTTPS; by default with plain HTTP.
    tls: TlsRules | None = field(default=None, validator=optional(one_of(TlsRules)))
    # Clients may use HTTP/2, by ALPN with TLS, by prior knowledge without; by default only HTTP/1.1.
    http2: Http2 | None = field(default=None, validator=optional(one_of(Http2)))
    policy: Policy = field(factory=Policy, validator=one_of(Policy))
    timeouts: Timeouts = field(factory=Timeouts, validator=one_of(Timeouts))
    limits: Limits = field(factory=Limits, validator=one_of(Limits))

    def __attrs_post_init__(self) -> None:
        if faults := list(self._faults()):
            raise ConfigError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        """Yield the contradictions between fields that are valid by themselves."""
        yield from address_faults(self.backends, self.listen)
        for i, backend in enumerate(self.backends):
            if backend.tls:
                yield from (f"backends[{i}].tls.{fault}" for fault in backend.tls.faults())
            if backend.protocol == HTTP2 and self.send_proxy:
                yield f"backends[{i}].protocol is {HTTP2!r}, and send_proxy is set: remove one of them"
            if backend.protocol == HTTP2 and (reason := why_not("http2")):
                yield f"backends[{i}].protocol is {HTTP2!r}: {reason}"
        yield from self._routing_faults()
        yield from self._sticky_faults()
        if self.cache and self.cache.disk and self.workers > 1:
            yield f"cache.disk: {self.workers} workers cannot share a folder; use workers = 1, or no disk"
        if self.tls:
            yield from self.tls.faults()
        if self.firewall:
            yield from self.firewall.faults()
        if self.http2 and (reason := why_not("http2")):
            yield f"http2: {reason}"
        checks = self.policy.health and self.policy.health.checks
        if checks and checks.probe.kind == "grpc" and (reason := why_not("grpc")):
            yield f"policy.health.checks.probe.kind is 'grpc': {reason}"
        if self.redis and not self.rate_limits and not (self.sticky and self.sticky.table):
            yield "redis is set, but there are no rate_limits to count: add some, or remove redis"
        try:
            self.shared_or_own_limits()
        except ValueError as error:
            yield str(error)

    def _routing_faults(self) -> Iterator[str]:
        """Yield the rules that this proxy cannot carry out, or that no request reaches."""
        others = [pool for pool in by_pool(self.backends) if pool != DEFAULT]
        if others and DEFAULT not in by_pool(self.backends):
            yield f"backends: none is in the pool {DEFAULT!r}, which gets what no rule fits; add one"
        if others and self.sticky and (self.sticky.how == "route" or (self.sticky.table and self.redis)):
            yield (
                f"policy.sticky.how is {self.sticky.how!r}, which has one session for all pools"
                f"{' in redis' if self.redis else ''}: use insert, or one pool"
            )
        if self.routing is None:
            if others:
                yield f"backends: no request goes to the pool {others[0]!r}; add routing.rules"
            return
        yield from self.routing.pool_faults(list(dict.fromkeys([DEFAULT, *by_pool(self.backends)])))
        yield from (f"routing: {problem}; move or remove it" for problem in self.routing.problems())

    def _sticky_faults(self) -> Iterator[str]:
        """Yield the rules of sticky sessions that do not work with several workers, or with Redis."""
        rules = self.sticky
        if rules is None:
            return
        if rules.table and self.redis:
            if rules.idle == inf or rules.life < inf:
                yield (
                    "policy.sticky: sessions in redis expire only when idle; "
                    "set idle, such as 1800.0 seconds, and no life"
                )
            try:
                self.shared_sessions()
            except ValueError as error:
                yield str(error)
        elif rules.table and self.workers > 1:
            yield (
                f"policy.sticky.how is {rules.how!r}: each of {self.workers} workers would have a table of "
                "its own; use insert, or [redis], or workers = 1"
            )
        elif self.workers > 1 and not rules.secret:
            yield (
                f"policy.sticky.secret is missing: {self.workers} workers must share one; "
                "use 16 bytes or more, drawn at random"
            )

    def shared_sessions(self) -> SharedSessions | None:
        """Return the table of sessions in Redis, or None. Raises ValueError if redis-py is not installed."""
        rules = self.sticky
        if rules is None or self.redis is None or not rules.table:
            return None
        try:
            return SharedSessions(self.redis, rules.idle if rules.idle < inf else 0.0, rules.cookie)
        except ModuleNotFoundError:
            raise ValueError(f"redis: {why_not('shared_limits')}") from None

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
        """Whether exchanges are counted by backend."""
        return self.admin is not None

    @property
    def address(self) -> tuple[str, int]:
        """The host and port to listen on."""
        return split_address(self.listen)

    def shared_or_own_limits(self) -> RateLimits:
        """Return the filter of rate limits. Raises ValueError for limits that cannot be shared."""
        try:
            return RateLimits(self.rate_limits, self.x_ratelimit, self.redis if self.rate_limits else None)
        except ModuleNotFoundError:
            raise ValueError(f"redis: {why_not('shared_limits')}") from None

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


NO_BACKENDS = "backends is missing: there must be at least one"


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
