"""Consistent hashing on a ring: a backend that joins or leaves moves only its own keys."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import ceil

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.points import after, in_order, owner_of, points_of
from lbkit.core.hashing import GOLDEN, hash64, mix64, place64
from lbkit.core.options import number, whole
from lbkit.core.vectors import vec

MAX_POINTS = 5_000_000  # on a ring: some 300 MB


@mypyc_attr(allow_interpreted_subclasses=True)
class ConsistentHash(Balancer):
    """A hash ring: each backend has many points on it, a key belongs to the next point clockwise.

    When a backend leaves, only its own keys move, 1/N of all. More `points` per unit of weight make the
    shares more even: their relative spread is about 1/sqrt(points). Weights count in steps of one point, and
    every backend has one at least. The default of 160 is that of nginx and ketama. (Karger et al., STOC 1997;
    Lamping and Veach, arXiv 1406.2294.)
    """

    keyed = True
    keyed_by = "path"

    def __init__(self, points: int = 160) -> None:
        whole(1, MAX_POINTS, points=points)
        self.points = points
        self._ring: vec[float] = vec[float]()  # all points in order
        self._owners: list[Backend] = []

    def check_weights(self, weights: Mapping[str, float]) -> None:
        if self.points * sum(weights.values(), 0.0) > MAX_POINTS:
            heaviest = max(weights, key=weights.__getitem__)
            raise ValueError(
                f"weight of backend {heaviest!r} is {weights[heaviest]:g}: with {self.points} points a unit "
                f"of weight there are more than {MAX_POINTS} on the ring: use smaller weights or fewer points"
            )

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # By name, so that every proxy gives a point that two backends share to the same one.
        self._owners = sorted(backends, key=lambda b: b.name)
        points = [
            points_of(backend.name, owner, max(1, round(self.points * backend.weight)))
            for owner, backend in enumerate(self._owners)
        ]
        self._ring = in_order(points)

    def _owner(self, point: float) -> Backend:
        return self._owners[owner_of(point)]

    def _first(self, key: str) -> int:
        """Return the index of the first point clockwise of the key's position."""
        return after(self._ring, 1 + (hash64(key) >> 32) * 2**-32) % len(self._ring)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._owner(self._ring[self._first(key)])

    def clockwise(self, key: str) -> Iterator[Backend]:
        """Yield the owners of all points, clockwise from the key: the order in which they stand in."""
        first, ring = self._first(key), self._ring
        for i in range(first, first + len(ring)):
            yield self._owner(ring[i % len(ring)])

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return next(b for b in self.clockwise(key) if b not in exclude)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        first, ring = self._first(key), len(self._ring)
        near = [self._ring[(first + k) % ring] for k in range(-1, min(3, ring))]
        return Why(
            f"the first point clockwise of the hash of {key!r}",
            place=(hash64(key) >> 32) / 2**32,
            near=tuple((point - 1, self._owner(point).name) for point in near),
        )

    def positions(self) -> list[tuple[float, str]]:
        """Return all points of the ring, from 0 to 1, each with the name of its backend."""
        return [(point - 1, self._owner(point).name) for point in self._ring]

    def arcs(self) -> list[tuple[float, str]]:
        """Return where each arc of the ring begins, from 0 to 1, and the backend that its keys belong to: of
        the point at its end. The last arc goes on at 0."""
        points = self.positions()
        ends = points[1:] + points[:1]
        return [(begin, name) for (begin, _), (_, name) in zip(points, ends, strict=True)]


@mypyc_attr(allow_interpreted_subclasses=True)
class BoundedHash(ConsistentHash):
    """Consistent hashing with bounded loads: a backend has at most `factor` times the average in flight.

    A request for a full backend goes on clockwise to the next with room. So a popular key does not overload
    its server, but some requests of other keys go to another one. The factor is above 1; 1.25 is usual.
    (Mirrokni, Thorup and Zadimoghaddam, SODA 2018; HAProxy `hash-balance-factor`, Envoy
    `hash_balance_factor`.)
    """

    def __init__(self, factor: float = 1.25, points: int = 160) -> None:
        super().__init__(points)
        number(1, above=True, factor=factor)
        self.factor = factor
        self._members: frozenset[Backend] = frozenset()
        self._weight = 0.0  # sum over all members
        self._in_flight = 0  # sum over all members, kept up to date: a pick must not add it up

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
        for backend in self.clockwise(key):
            if backend in passed:
                continue
            if backend.in_flight < ceil(share * backend.weight):
                return backend
            passed.add(backend)
            nearest = nearest or backend
        assert nearest, "the pool never excludes all of them"
        return nearest  # all that are left are full: the first clockwise

    def resumed(self, backend: Backend, now: float) -> None:
        if backend in self._members:
            self._in_flight += 1

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend in self._members:
            self._in_flight -= 1


@mypyc_attr(allow_interpreted_subclasses=True)
class MultiProbe(Balancer):
    """A ring with one point a backend; each key has `probes` positions, and the nearest point wins.

    Shares are as even as with hundreds of points each, on a ring as short as the pool. Weights are ignored.
    With 21 probes the busiest backend has 1.05 times the average. (Appleton and O'Reilly, arXiv 1505.00062.)
    """

    keyed = True
    keyed_by = "path"

    def __init__(self, probes: int = 21) -> None:
        whole(1, 1000, probes=probes)
        self.probes = probes
        self._hashes: list[int] = []
        self._owners: list[Backend] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        ring = sorted(((place64(b.name), b) for b in backends), key=lambda entry: entry[0])
        self._hashes = [point for point, _ in ring]
        self._owners = [backend for _, backend in ring]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return min(self._probe(hash64(key), *self._ring(backends)), key=lambda look: look[0])[1]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        gaps: dict[str, float] = {}
        for distance, owner in self._probe(hash64(key), *self._ring(backends)):
            gaps[owner.name] = min(distance / 2**64, gaps.get(owner.name, 1.0))
        return Why(f"distance to the next point from {self.probes} positions of {key!r}", gaps, "lowest")

    def _ring(self, backends: Sequence[Backend]) -> tuple[list[int], list[Backend]]:
        if len(backends) == len(self._owners):
            return self._hashes, self._owners
        left = [i for i, owner in enumerate(self._owners) if owner in backends]  # a retry, among fewer
        return [self._hashes[i] for i in left], [self._owners[i] for i in left]

    def _probe(self, key: int, hashes: list[int], owners: list[Backend]) -> Iterator[tuple[int, Backend]]:
        """Yield for each position of the key the distance to the next point, and that point's owner."""
        for probe in range(self.probes):
            place = mix64(key + probe * GOLDEN)
            i = bisect_right(hashes, place) % len(hashes)
            yield (hashes[i] - place) % 2**64, owners[i]
