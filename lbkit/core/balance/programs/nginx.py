"""nginx: ip_hash, hash, hash consistent and least_conn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from zlib import crc32

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, whole_weights
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.programs.ring import _HashRing
from lbkit.core.balance.round_robin import WeightedRoundRobin
from lbkit.core.hashing import address_bytes

TRIES = 20  # hashes that nginx tries for an untried server, before it falls back to round robin


@mypyc_attr(allow_interpreted_subclasses=True)
class _Rehash(Balancer):
    """Hash of the key modulo the sum of weights; for a backend that was tried already, the next hash."""

    keyed = True
    keyed_by = "client"

    def numbers(self, key: str) -> Iterator[int]:
        """Yield the hashes of the key, without end."""
        raise NotImplementedError

    def __init__(self) -> None:
        self._slots: list[Backend] = []
        self._turns = WeightedRoundRobin()  # the fallback after TRIES hashes

    def rebuild(self, backends: Sequence[Backend]) -> None:
        weights = whole_weights({b: b.weight for b in backends}, 1000)
        self._slots = [b for b in backends for _ in range(weights[b])]
        self._turns.rebuild(backends)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._slots[next(self.numbers(key)) % len(self._slots)]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        for number in islice(self.numbers(key), TRIES):
            if (backend := self._slots[number % len(self._slots)]) not in exclude:
                return backend
        return self._turns.pick_except(backends, exclude, key, now)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        slots = len(self._slots)
        rule = f"hash of {key!r} modulo the sum of weights"
        return Why(rule, place=next(self.numbers(key)) % slots, places=slots)


@mypyc_attr(allow_interpreted_subclasses=True)
class NginxIPHash(_Rehash):
    """nginx `ip_hash`: the first three octets of an IPv4 address (all of an IPv6 one), modulo the weights.

    A whole /24 shares a server: a client whose address changes within it keeps its server, but a few large
    networks make the shares uneven. (ngx_http_upstream_ip_hash_module.c: x 113 + octet, modulo 6271.)
    """

    name = "nginx_ip_hash"

    def numbers(self, key: str) -> Iterator[int]:
        octets = address_bytes(key)
        octets = octets[:3] if len(octets) == 4 else octets
        number = 89
        while True:
            for octet in octets:
                number = (number * 113 + octet) % 6271
            yield number


@mypyc_attr(allow_interpreted_subclasses=True)
class NginxHash(_Rehash):
    """nginx `hash key`: fifteen bits of CRC-32, modulo the weights, as in Cache::Memcached.

    (ngx_http_upstream_hash_module.c.)
    """

    keyed_by = "path"

    def numbers(self, key: str) -> Iterator[int]:
        number = 0
        tries = 0
        while True:
            prefix = str(tries) if tries else ""
            number += crc32((prefix + key).encode()) >> 16 & 0x7FFF
            yield number
            tries += 1


@mypyc_attr(allow_interpreted_subclasses=True)
class NginxRing(_HashRing):
    """nginx `hash key consistent`: 160 points a unit of weight, each the CRC-32 of the one before (ketama).

    (ngx_http_upstream_hash_module.c; compatible with Cache::Memcached::Fast.)
    """

    max_weight = 1000
    points = 160

    def points_of(self, backend: Backend, weight: int) -> Iterator[int]:
        host, _, port = backend.address.rpartition(":")
        base = crc32(f"{host}\0{port}".encode()) if host else crc32(f"{port}\0".encode())
        point = 0
        for _ in range(self.points * weight):
            point = crc32(point.to_bytes(4, "little"), base)
            yield point

    def hash(self, key: str) -> int:
        return crc32(key.encode())


@mypyc_attr(allow_interpreted_subclasses=True)
class NginxLeastConnections(WeightedRoundRobin):
    """nginx `least_conn`: the fewest in flight for the weight; among equals the smooth turns. O(n).

    (ngx_http_upstream_least_conn_module.c.)
    """

    by_weight = False

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        """Do nothing: every worker of nginx starts with the first server."""

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        least = min(b.in_flight / b.weight for b in backends)
        return super().pick([b for b in backends if b.in_flight / b.weight == least], key, now)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        return Why("in flight / weight", {b.name: b.in_flight / b.weight for b in backends}, "lowest")
