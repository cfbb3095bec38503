"""Backends as settings, for HTTP and layer 4 alike, and the pool that they make."""

from __future__ import annotations

import random
import secrets
import socket
from collections.abc import Iterable, Sequence

from attrs import field, frozen

from lbkit.checks import flag, number, text, whole, word
from lbkit.core import AnyPool, Backend
from lbkit.core.options import named_fields
from lbkit.core.routing import DEFAULT
from lbkit.net.address import a_backend_address, split_address
from lbkit.net.config.error import ConfigError
from lbkit.net.config.fields import section
from lbkit.net.origin.reach import HTTP1, PROTOCOLS
from lbkit.net.tls.origin import OriginTls
from lbkit.policy import OnChange, Policy


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
    workers: int = field(default=0, validator=whole(0))  # requests it works on at once; 0: not known
    # Makes one backend for each address that the name resolves to; see `lookup_interval` of the proxy.
    resolve: bool = field(default=False, validator=flag)
    protocol: str = field(default=HTTP1, validator=word(PROTOCOLS))  # that it speaks
    tls: OriginTls | None = section(OriginTls)

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
            workers=self.workers,
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
