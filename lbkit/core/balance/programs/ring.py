"""The hash ring that the programs share; each places its points in its own way."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, whole_weights
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.consistent_hash import MAX_POINTS


@mypyc_attr(allow_interpreted_subclasses=True)
class _HashRing(Balancer):
    """A hash ring of 32-bit points; a subclass places them and hashes keys."""

    keyed = True
    keyed_by = "path"
    max_weight: ClassVar[int] = 256  # the highest weight
    points: ClassVar[int] = 16  # a unit of weight

    def __init__(self) -> None:
        self._points: list[int] = []
        self._owners: list[Backend] = []

    def points_of(self, backend: Backend, weight: int) -> Iterator[int]:
        """Yield the points of a backend, 32 bits each."""
        raise NotImplementedError

    def hash(self, key: str) -> int:
        """Return the position of a key, 32 bits."""
        raise NotImplementedError

    def rebuild(self, backends: Sequence[Backend]) -> None:
        ring: dict[int, Backend] = {}
        for backend, weight in self.weights(backends).items():
            for point in self.points_of(backend, weight):
                ring.setdefault(point, backend)
        self._points = sorted(ring)
        self._owners = [ring[point] for point in self._points]

    def weights(self, backends: Sequence[Backend]) -> dict[Backend, int]:
        """Return whole weights: coarser ones in a large pool, where the ring would not fit into memory."""
        fits = MAX_POINTS // (self.points * max(1, len(backends)))
        return whole_weights({b: b.weight for b in backends}, max(1, min(self.max_weight, fits)))

    def first(self, key: str) -> int:
        """Return the index of the point that the key belongs to."""
        return bisect_left(self._points, self.hash(key)) % len(self._points)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._owners[self.first(key)]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return next(b for b in self.clockwise(key) if b not in exclude)

    def clockwise(self, key: str) -> Iterator[Backend]:
        """Yield the owners of all points, clockwise from the key."""
        first, ring = self.first(key), len(self._points)
        for k in range(ring):
            yield self._owners[(first + k) % ring]

    def positions(self) -> list[tuple[float, str]]:
        """Return all points of the ring, from 0 to 1, each with the name of its backend."""
        return [(point / 2**32, b.name) for point, b in zip(self._points, self._owners, strict=True)]

    def arcs(self) -> list[tuple[float, str]]:
        """Return where each arc of the ring begins, from 0 to 1, and the backend that its keys belong to: of
        the point at its end. The last arc goes on at 0."""
        points = self.positions()
        ends = points[1:] + points[:1]
        return [(begin, name) for (begin, _), (_, name) in zip(points, ends, strict=True)]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        first, ring = self.first(key), len(self._points)
        near = [(first + k) % ring for k in range(-1, min(3, ring))]
        points = tuple((self._points[i] / 2**32, self._owners[i].name) for i in near)
        return Why(f"the ring near the hash of {key!r}", place=self.hash(key) / 2**32, near=points)
