"""Modulo hashing: the hash of the key modulo the number of backends."""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.hashing import hash64
from lbkit.core.options import whole


@mypyc_attr(allow_interpreted_subclasses=True)
class ModuloHash(Balancer):
    """Hash of the key modulo the number of backends.

    Even shares, no memory, one calculation a pick; but when a backend joins N others, N/(N+1) of the keys
    move. Weights are ignored. (nginx `hash`, HAProxy `hash-type map-based` with equal weights.)
    """

    keyed = True
    keyed_by = "path"

    def part(self, key: str) -> str:
        """Return the part of the key that is hashed."""
        return key

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[hash64(self.part(key)) % len(backends)]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        part, n = self.part(key), len(backends)
        return Why(f"hash of {part!r} modulo {n}", place=hash64(part) % n, places=n)


@mypyc_attr(allow_interpreted_subclasses=True)
class IPHash(ModuloHash):
    """Hash of the client's address modulo the number of backends.

    A client keeps its backend without a cookie, until the pool changes: then nearly all clients move (N/(N+1)
    of them when a backend joins N others). Weights are ignored. With `octets=3` only the first three octets
    of an IPv4 address are hashed, as in nginx: a whole /24 goes to one backend.
    """

    name = "ip_hash"
    keyed_by = "client"

    def __init__(self, octets: int = 4) -> None:
        whole(1, 4, octets=octets)
        self.octets = octets

    def part(self, key: str) -> str:
        if self.octets < 4 and key.count(".") == 3:
            return ".".join(key.split(".")[: self.octets])
        return key
