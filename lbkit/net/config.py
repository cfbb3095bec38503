"""What a proxy does, as data: the file behind `lbkit proxy config.toml`, and what an experiment asks for."""

from __future__ import annotations

import random
import re
import socket
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.core import Backend, Pool, Replicas
from lbkit.distributions import number, whole, word
from lbkit.edge import Admission, RateLimit
from lbkit.experiment import Policy
from lbkit.net.filters.bandwidth import Bandwidth
from lbkit.net.filters.rate_limit import RateLimits
from lbkit.net.peer import trusted_networks
from lbkit.net.settings import Limits, Timeouts
from lbkit.net.shared_store import SharedStore
from lbkit.schema import strict_converter, structure


class ConfigError(ValueError):
    """Says which field is wrong, and what would be right."""


def split_address(text: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8080" or "[::1]:8080". Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"is {text!r}: use host:port, such as 127.0.0.1:8080")
    return host, int(port)


def _address(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    try:
        split_address(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name} {error}") from None


def _path(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if not re.fullmatch(r"/[!-~]*", value):
        raise ValueError(f"{attribute.name} is {value!r}: use a path, such as /load")


def _networks(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    trusted_networks(value)


@frozen
class BackendConfig:
    """A backend and where it listens."""

    address: str = field(validator=_address)
    name: str = ""  # the address, unless given
    weight: float = field(default=1.0, validator=number(0))
    zone: str = ""
    priority: int = field(default=0, validator=whole(0))  # 0 comes first
    resolve: bool = False  # one backend for each address that the name has at the start, as in nginx

    def backends(self) -> list[Backend]:
        """Raises ConfigError for a name that nobody knows."""
        host, port = split_address(self.address)
        name = self.name or self.address
        if not self.resolve:
            return [self._backend(name, host, port)]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConfigError(f"backends: {host}: {error.strerror}") from None
        addresses = sorted({str(address[0]) for *_, address in found})
        return [self._backend(f"{name} {address}", address, port) for address in addresses]

    def _backend(self, name: str, host: str, port: int) -> Backend:
        return Backend(name, weight=self.weight, host=host, port=port, zone=self.zone, priority=self.priority)


# Converters, as functions so that mypy knows what they take.
def _backends(what: Iterable[BackendConfig]) -> tuple[BackendConfig, ...]:
    return tuple(what)


def _rate_limits(what: Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    return tuple(what)


def _bandwidth(what: Iterable[Bandwidth]) -> tuple[Bandwidth, ...]:
    return tuple(what)


def _texts(what: Iterable[str]) -> tuple[str, ...]:
    if isinstance(what, str):
        raise ValueError(f"is {what!r}: use a list of texts")
    return tuple(what)


@frozen
class ProxyConfig:
    """All of it. `workers`: processes that share the port (SO_REUSEPORT)."""

    backends: tuple[BackendConfig, ...] = field(default=(), converter=_backends)
    listen: str = field(default="127.0.0.1:8080", validator=_address)
    workers: int = field(default=1, validator=whole(1))
    grace: float = field(default=30.0, validator=number(0))  # seconds that a stop waits for answers
    # Networks of proxies before this one, whose X-Forwarded-* are believed; those of others are dropped.
    trusted: tuple[str, ...] = field(default=(), converter=_texts, validator=_networks)
    # X_Forwarded_For and its like, which applications may take for X-Forwarded-For: "drop" or "refuse".
    underscores: str = field(default="drop", validator=word(("drop", "refuse")))
    access_log: str = ""  # a file, or "-" for standard error
    expose: bool = False  # tell the client in X-Lbkit-Attempts how many backends were tried
    explain: bool = False  # tell the client in X-Lbkit-Why why it was this backend
    probe: str = field(default="/load", validator=_path)  # where backends tell their load, if probed
    rate_limits: tuple[RateLimit, ...] = field(default=(), converter=_rate_limits)
    x_ratelimit: bool = False  # tell X-RateLimit-* besides RateLimit
    redis: SharedStore | None = None  # where limits are counted together with other proxies
    admission: Admission | None = None  # how much goes on to the backends; what waits, what is refused
    bandwidth: tuple[Bandwidth, ...] = field(default=(), converter=_bandwidth)  # how fast answers go out
    hide: tuple[str, ...] = field(default=(), converter=_texts)  # fields of answers that clients do not see
    hide_errors: bool = False  # a short page of our own instead of a backend's 5xx
    policy: Policy = field(factory=Policy)
    timeouts: Timeouts = field(factory=Timeouts)
    limits: Limits = field(factory=Limits)

    def __attrs_post_init__(self) -> None:
        names = [b.name or b.address for b in self.backends]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"backends: two are called {name!r}; names must differ")
        self.shared_or_own_limits()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return split_address(self.listen)

    def shared_or_own_limits(self) -> RateLimits:
        """Raises ValueError for limits that cannot be shared, or without redis-py."""
        try:
            return RateLimits(self.rate_limits, self.x_ratelimit, self.redis if self.rate_limits else None)
        except ModuleNotFoundError:
            raise ValueError("redis: needs redis-py: pip install 'lbkit[redis]'") from None

    def pool(self) -> Pool | Replicas:
        """Raises ConfigError if there is no backend, or for a name to `resolve` that is unknown."""
        if not self.backends:
            raise ConfigError("backends: there must be at least one")
        backends = [backend for config in self.backends for backend in config.backends()]
        return self.policy.pool(backends, random.Random)

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = _converter.unstructure(self)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProxyConfig:
        """Raises ConfigError with a line for every wrong field."""
        config = structure(_converter, data, cls, ConfigError)
        if not config.backends:
            raise ConfigError("backends is missing: there must be at least one")
        return config

    @classmethod
    def load(cls, path: str | Path) -> ProxyConfig:
        """Raises ConfigError, for a file that is not there, too."""
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from None
        return cls.from_dict(data)


_converter = strict_converter()
