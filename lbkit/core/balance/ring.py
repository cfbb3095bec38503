"""Same key, same backend, by a ring: who comes or goes moves its own keys only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from hashlib import shake_128
from math import ceil
from struct import unpack
from typing import ClassVar

from lbkit.core.backend import Backend, whole_weights
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.hashing import hash64


class ConsistentHash(Balancer):
    """A ring: each backend stands at many points, a key goes to the next point clockwise.

    When a backend leaves, only its own keys move, 1/N of them. `points` per unit
    of weight even out the shares: their spread is about 1/sqrt(points). 160 as in nginx
    and ketama. (Karger et al., STOC 1997; Lamping and Veach, arXiv 1406.2294.)
    """

    keyed = True
    keyed_by = "path"

    def __init__(self, points: int = 160) -> None:
        if points < 1:
            raise ValueError(f"points is {points}: a backend needs at least 1 point on the ring")
        self.points = points
        self._ring: list[float] = []  # points, in order; see ring_points()
        self._owners: list[Backend] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # By name, so that every proxy settles it alike should two ever stand at one point.
        self._owners = sorted(backends, key=lambda b: b.name)
        ring: list[float] = []
        for owner, backend in enumerate(self._owners):
            ring += ring_points(backend.name, owner, max(1, round(self.points * backend.weight)))
        ring.sort()
        self._ring = ring

    def _owner(self, point: float) -> Backend:
        return self._owners[int(point * 2**52) & 0xFFFFF]

    def _first(self, key: str) -> int:
        """Index of the first point clockwise of the key's place."""
        return bisect_right(self._ring, 1 + (hash64(key) >> 32) * 2**-32) % len(self._ring)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._owner(self._ring[self._first(key)])

    def onwards(self, key: str) -> Iterator[Backend]:
        """From the key's place once around: where it would go if those before were not there."""
        first, ring = self._first(key), self._ring
        return (self._owner(ring[i % len(ring)]) for i in range(first, first + len(ring)))

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return next(b for b in self.onwards(key) if b not in exclude)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        first, ring = self._first(key), len(self._ring)
        near = [self._ring[(first + k) % ring] for k in range(-1, min(3, ring))]
        return Why(
            f"the first point clockwise of the hash of {key!r}",
            place=(hash64(key) >> 32) / 2**32,
            near=tuple((point - 1, self._owner(point).name) for point in near),
        )

    def where(self) -> list[tuple[float, str]]:
        """All points of the ring, from 0 to 1, with whose they are: for a picture."""
        return [(point - 1, self._owner(point).name) for point in self._ring]


def ring_points(name: str, owner: int, number: int) -> tuple[float, ...]:
    """Places on a ring, from 1 to 2: of a float's 52 bits, 32 say where, and 20 which backend (`owner`).

    So a ring is one list of floats, which Python sorts and searches faster than anything else. One long
    digest serves all points, and bits are put in place in all of them at once: the work is by the backend.
    """
    each = int.from_bytes((1).to_bytes(8, "big") * number, "big")  # a 1 in every 64 bits
    bits = int.from_bytes(shake_128(name.encode()).digest(8 * number), "big")
    bits = bits & each * 0x000F_FFFF_FFF0_0000 | each * (0x3FF0_0000_0000_0000 + owner)  # 3FF: from 1 to 2
    return unpack(f">{number}d", bits.to_bytes(8 * number, "big"))


class BoundedHash(ConsistentHash):
    """The ring, but nobody gets more than `factor` times the average: what is too much goes on clockwise.

    A popular key no longer sinks its server, at the price of a few keys that sometimes meet another. The
    factor is above 1; 1.25 is usual. (Mirrokni, Thorup and Zadimoghaddam, SODA 2018; HAProxy
    `hash-balance-factor`, Envoy `hash_balance_factor`.)
    """

    def __init__(self, factor: float = 1.25, points: int = 160) -> None:
        super().__init__(points)
        if not factor > 1:
            raise ValueError(f"factor is {factor}: at 1 or below there is no room for the next request")
        self.factor = factor
        self._members: frozenset[Backend] = frozenset()
        self._weight = 0.0  # of all of them
        self._in_flight = 0  # on all of them, so that a pick does not count

    def rebuild(self, backends: Sequence[Backend]) -> None:
        super().rebuild(backends)
        self._members = frozenset(backends)
        self._weight = sum(b.weight for b in backends)
        self._in_flight = sum(b.in_flight for b in backends)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self.pick_except(backends, (), key, now)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        share = self.factor * (self._in_flight + 1) / self._weight
        room = {b.name: ceil(share * b.weight) - b.in_flight for b in backends}
        ring = super().explain(backends, key, now)
        return Why(f"{ring.rule} that has room; room of each", room, "", ring.place, 0, ring.near)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        self._in_flight += 1
        share = self.factor * self._in_flight / self._weight
        passed = set(exclude)
        nearest = None
        for backend in self.onwards(key):
            if backend in passed:
                continue
            if backend.in_flight < ceil(share * backend.weight):
                return backend
            passed.add(backend)
            nearest = nearest or backend
        assert nearest, "the pool sees to it that not all are excluded"
        return nearest  # all that are left are full: where the key belongs

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend in self._members:
            self._in_flight -= 1


class _HashRing(Balancer):
    """A ring of points that a program places in its own way."""

    keyed = True
    keyed_by = "path"
    max_weight: ClassVar[int] = 256  # the highest weight

    def __init__(self) -> None:
        self._points: list[int] = []
        self._owners: list[Backend] = []

    def stand(self, backend: Backend, weight: int) -> Iterator[int]:
        """Its points, 32 bits each."""
        raise NotImplementedError

    def hash(self, key: str) -> int:
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        ring: dict[int, Backend] = {}
        for backend, weight in whole_weights({b: b.weight for b in backends}, self.max_weight).items():
            for point in self.stand(backend, weight):
                ring.setdefault(point, backend)
        self._points = sorted(ring)
        self._owners = [ring[point] for point in self._points]

    def first(self, key: str) -> int:
        """Index of the point that the key belongs to."""
        return bisect_left(self._points, self.hash(key)) % len(self._points)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._owners[self.first(key)]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return next(b for b in self.onwards(key) if b not in exclude)

    def onwards(self, key: str) -> Iterator[Backend]:
        first, ring = self.first(key), len(self._points)
        return (self._owners[(first + k) % ring] for k in range(ring))

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        first, ring = self.first(key), len(self._points)
        near = [(first + k) % ring for k in range(-1, min(3, ring))]
        points = tuple((self._points[i] / 2**32, self._owners[i].name) for i in near)
        return Why(f"the ring near the hash of {key!r}", place=self.hash(key) / 2**32, near=points)
