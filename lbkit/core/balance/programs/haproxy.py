"""HAProxy: hash-type consistent and map-based, random, roundrobin, leastconn.

Its static-rr is in round_robin.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend, whole_weights
from lbkit.core.balance.base import Balancer, Why, restoring
from lbkit.core.balance.least_connections import _LowestScore
from lbkit.core.balance.programs.ring import _HashRing
from lbkit.core.balance.round_robin import StaticRoundRobin
from lbkit.core.hashing import address_bytes
from lbkit.core.options import whole


@mypyc_attr(allow_interpreted_subclasses=True)
class HaproxyRing(_HashRing):
    """HAProxy `hash-type consistent`: 16 points a unit of weight; the nearest point on either side wins.

    A server's points come from its number in the list, so a new address does not move them. Without
    `avalanche`, similar keys lie close together on the ring: a whole network goes to one server. `factor`
    above 0 bounds loads, in percent of the average (`hash-balance-factor`). (lb_chash.c.)
    """

    def __init__(self, factor: int = 0, avalanche: bool = True) -> None:
        whole(0, factor=factor)
        if 0 < factor <= 100:
            raise ValueError(f"factor is {factor}: use a percentage above 100, or 0 for no bound")
        super().__init__()
        self.factor, self.avalanche = factor, avalanche
        self._in_flight = 0  # sum over all servers, kept up to date: a pick must not add it up
        self._number: dict[Backend, int] = {}  # in order of arrival in the pool
        self._slots_of: dict[Backend, tuple[int, int]] = {}  # own points, those of all before

    def rebuild(self, backends: Sequence[Backend]) -> None:
        for backend in backends:
            self._number.setdefault(backend, len(self._number) + 1)
        super().rebuild(backends)
        before = 0
        self._slots_of = {}
        for backend, weight in self.weights(backends).items():
            self._slots_of[backend] = self.points * weight, before
            before += self.points * weight
        self._slots = before
        self._in_flight = sum(b.in_flight for b in backends)

    def points_of(self, backend: Backend, weight: int) -> Iterator[int]:
        for i in range(self.points * weight):
            yield avalanche(4096 * self._number[backend] + i)

    def hash(self, key: str) -> int:
        return avalanche(haproxy_hash(key)) if self.avalanche else haproxy_hash(key)

    def first(self, key: str) -> int:
        return self.nearest(self.hash(key))

    def nearest(self, place: int) -> int:
        """Return the index of the point nearest to a position, on either side."""
        after = bisect_left(self._points, place) % len(self._points)
        to_last = (place - self._points[after - 1]) % 2**32
        to_next = (self._points[after] - place) % 2**32
        return (after - 1) % len(self._points) if to_last <= to_next else after

    def arcs(self) -> list[tuple[float, str]]:
        """Return where each arc begins: half-way between two points."""
        points = self.positions()
        befores = [(points[-1][0] - 1, ""), *points[:-1]]
        pairs = zip(befores, points, strict=True)
        return sorted((((before + at) / 2) % 1.0, name) for (before, _), (at, name) in pairs)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self.pick_except(backends, (), key, now) if self.factor else super().pick(backends, key, now)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        if not self.factor:
            return super().pick_except(backends, exclude, key, now)
        passed = set(exclude)
        nearest = None
        chosen = None
        for backend in self.clockwise(key):
            if backend not in passed:
                if self._room(backend) > 0:
                    chosen = backend
                    break
                passed.add(backend)
                nearest = nearest or backend
        self._in_flight += 1
        chosen = chosen or nearest  # all that are left are full: the first on the ring
        assert chosen, "the pool never excludes all of them"
        return chosen

    def resumed(self, backend: Backend, now: float) -> None:
        if backend in self._slots_of:
            self._in_flight += 1

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend in self._slots_of:
            self._in_flight -= 1

    def _room(self, backend: Backend) -> int:
        """Return how many more requests a server may take: its part of the bound, less those in flight."""
        each, rest = divmod(-(-(self._in_flight + 1) * self.factor // 100), self._slots)
        own, before = self._slots_of[backend]
        places = own * each + (before + own) * rest // self._slots - before * rest // self._slots
        return max(1, places) - backend.in_flight

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        why = super().explain(backends, key, now)
        if not self.factor:
            return why
        room = {b.name: float(self._room(b)) for b in backends}
        return replace(why, rule=f"{why.rule}, the first with room; room of each", scores=room)


@mypyc_attr(allow_interpreted_subclasses=True)
class HaproxyRandom(HaproxyRing):
    """HAProxy `random(draws)`: the least loaded of the servers at random positions of its ring.

    The same server may be drawn twice, so the busier of two servers still gets about a quarter. And the ring
    is uneven: two servers of weight 1, with 16 points each, get 40 and 60 %; higher weights even that out.
    `scale` multiplies all weights, for an evener ring with the same proportions. (backend.c, get_server_rnd.)
    """

    name = "haproxy_random"
    keyed = False
    keyed_by = "client"

    def __init__(self, draws: int = 2, scale: int = 1) -> None:
        whole(1, 1000, draws=draws)
        if not 1 <= scale <= 256:
            raise ValueError(f"scale is {scale}: use a number from 1 to 256, as HAProxy's weights end there")
        super().__init__()
        self.draws, self.scale = draws, scale

    def points_of(self, backend: Backend, weight: int) -> Iterator[int]:
        return super().points_of(backend, weight * self.scale)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        best, *others = self._draw(backends)
        for other in others:
            if other.in_flight * best.weight <= best.in_flight * other.weight:
                best = other
        return best

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return Balancer.pick_except(self, backends, exclude, key, now)  # not that of the ring

    def explain_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Why:
        why = self.explain(tuple(b for b in backends if b not in exclude), key, now)
        return replace(why, rule=f"a retry, not {', '.join(b.name for b in exclude)}: {why.rule}")

    def _draw(self, backends: Sequence[Backend]) -> list[Backend]:
        if len(backends) == len(self._slots_of):
            return [self._owners[self.nearest(self.rng.getrandbits(32))] for _ in range(self.draws)]
        return self.rng.choices([b for b in self._owners if b in backends], k=self.draws)  # a retry

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with restoring(self.rng):
            loads = {b.name: b.in_flight / b.weight for b in self._draw(backends)}
        return Why("of those drawn on the ring, in flight / weight", loads, "lowest")


@mypyc_attr(allow_interpreted_subclasses=True)
class HaproxyMap(StaticRoundRobin):
    """HAProxy `hash-type map-based`: the key's hash modulo the weights, in the table of static-rr.

    (lb_map.c. The hash is SDBM for texts, and the address itself for clients.)
    """

    by_weight = False

    keyed = True
    keyed_by = "client"

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._cycle[haproxy_hash(key) % len(self._cycle)]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        start = haproxy_hash(key)
        return next(
            b
            for k in range(len(self._cycle))
            if (b := self._cycle[(start + k) % len(self._cycle)]) not in exclude
        )

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        slots = len(self._cycle)
        return Why(f"hash of {key!r} in the table of turns", place=haproxy_hash(key) % slots, places=slots)


@mypyc_attr(allow_interpreted_subclasses=True)
class HaproxyLeastConnections(_LowestScore):
    """HAProxy `leastconn`: the fewest in flight for the weight, counting the new request; idle servers first.

    (lb_fwlc.c. It also counts requests in the server's queue.)
    """

    scored = "(in flight + 1) / weight, 0 if idle"

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        """Do nothing: every process of HAProxy starts with the first server."""

    def score(self, backend: Backend, in_flight: int) -> float:
        return (in_flight + 1) / backend.weight if in_flight else 0.0


_Entry = tuple[int, int, Backend, int, int]  # order, count, server, number of the turn, rest


@mypyc_attr(allow_interpreted_subclasses=True)
class FastRoundRobin(Balancer):
    """HAProxy `roundrobin`: the lowest turn number; the next is (sum of weights / own weight) later.

    O(log n) a pick. Turns are numbered for a window of sixteen cycles. A server with its next turn beyond the
    window waits for the following one, the heaviest first, and loses a part of a turn: weights 8, 6, 8 get
    330, 241 and 329 of 900. (HAProxy, `roundrobin`, lb_fwrr.c.)
    """

    def __init__(self) -> None:
        self._built_from: tuple[tuple[Backend, int], ...] = ()

    def rebuild(self, backends: Sequence[Backend]) -> None:
        turns = whole_weights({b: b.weight for b in backends}, 256)
        if tuple(turns.items()) == self._built_from:
            return
        self._built_from = tuple(turns.items())
        self._weight = turns
        self._total = sum(turns.values())
        self._window = self._turn = 16 * self._total
        self._count = 0  # keeps equals in order of arrival
        self._fresh: list[_Entry] = []  # no turn yet in this window
        self._queue: list[_Entry] = []  # by the number of the next turn
        self._later: list[_Entry] = []  # waiting for the next window
        for backend in backends:
            self._push(self._fresh, -turns[backend], backend, 0, 0)

    def _push(self, heap: list[_Entry], order: int, backend: Backend, turn: int, rest: int) -> None:
        self._count += 1
        heappush(heap, (order, self._count, backend, turn, rest))

    def _heap(self) -> list[_Entry]:
        """Return the heap to take from: servers that are due, else without a turn yet, else the earliest."""
        if self._queue and self._queue[0][3] <= self._turn:
            return self._queue
        if not self._fresh and not self._queue:
            self._fresh, self._later = self._later, []
            self._turn = self._window
        return self._fresh or self._queue

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        heap = self._heap()
        _, _, backend, turn, rest = heappop(heap)
        if heap is self._fresh:
            turn, rest = self._turn, 0
        weight = self._weight[backend]
        turn += self._total // weight
        rest += self._total % weight  # of a turn: the remainders of the division add up
        if rest >= weight:
            rest -= weight
            turn += 1
        self._turn += 1
        if turn >= 2 * self._window:
            self._push(self._later, -weight, backend, 0, 0)
        else:
            self._push(self._queue, 256 * turn + 256 - weight + rest, backend, turn, rest)
        return backend

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        while (backend := self.pick(backends, key, now)) in exclude:
            pass
        return backend

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        due = self._queue and self._queue[0][3] <= self._turn
        fresh = self._fresh or (not self._queue and self._later)
        if fresh and not due:
            heaviest = {b.name: float(-order) for order, _, b, *_ in fresh}
            return Why("the heaviest without a turn in this window", heaviest, "highest")
        # In the queue a turn counts 256, and the lighter one goes first.
        turns = {b.name: order / 256 for order, _, b, *_ in self._queue}
        return Why("the number of the next turn", turns, "lowest")


def haproxy_hash(key: str) -> int:
    """Return 32 bits: an address folded by XOR of its 4-byte parts; anything else hashed by SDBM."""
    data = address_bytes(key)
    if len(data) in (4, 16) and data != key.encode():
        number = 0
        for i in range(0, len(data), 4):
            number ^= int.from_bytes(data[i : i + 4], "big")
        return number
    number = 0
    for byte in data:
        number = (byte + (number << 6) + (number << 16) - number) & 0xFFFFFFFF
    return number


def avalanche(a: int) -> int:
    """Return 32 bits that each depend on all 32 bits of `a`.

    (Bob Jenkins, "4-byte integer hashing", and HAProxy's prime.)"""
    a = (a + 0x7ED55D16 + (a << 12)) & 0xFFFFFFFF
    a = (a ^ 0xC761C23C) ^ (a >> 19)
    a = (a + 0x165667B1 + (a << 5)) & 0xFFFFFFFF
    a = ((a + 0xD3A2646C) ^ (a << 9)) & 0xFFFFFFFF
    a = (a + 0xFD7046C5 + (a << 3)) & 0xFFFFFFFF
    a = (a ^ 0xB55A4F09) ^ (a >> 16)
    return a * 3221225473 & 0xFFFFFFFF
