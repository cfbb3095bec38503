"""HAProxy's own versions, to the pick: see nginx.py for what that means."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from lbkit.core.backend import Backend, whole_weights
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.balance.chance import same_dice
from lbkit.core.balance.hashing import address_bytes
from lbkit.core.balance.load import _LowestScore
from lbkit.core.balance.ring import _HashRing
from lbkit.core.balance.rotation import StaticRoundRobin


class HaproxyRing(_HashRing):
    """HAProxy `hash-type consistent`: 16 points a unit of weight, and the nearest on either side wins.

    A server's points come from its number in the list, so that its place does not change with its address.
    Without `avalanche`, keys that differ little lie close together: a whole network goes to one server.
    `factor` above 0 bounds loads, in percent of the average (`hash-balance-factor`). (lb_chash.c.)
    """

    def __init__(self, factor: int = 0, avalanche: bool = True) -> None:
        if factor != 0 and not factor > 100:
            raise ValueError(f"factor is {factor}: use a percentage above 100, or 0 for no bound")
        super().__init__()
        self.factor, self.avalanche = factor, avalanche
        self._in_flight = 0  # on all of them, so that a pick does not count
        self._number: dict[Backend, int] = {}  # in the order in which they came
        self._slots_of: dict[Backend, tuple[int, int]] = {}  # points, and those of the ones before

    def rebuild(self, backends: Sequence[Backend]) -> None:
        for backend in backends:
            self._number.setdefault(backend, len(self._number) + 1)
        super().rebuild(backends)
        before = 0
        self._slots_of = {}
        for backend, weight in whole_weights({b: b.weight for b in backends}, 256).items():
            self._slots_of[backend] = 16 * weight, before
            before += 16 * weight
        self._slots = before
        self._in_flight = sum(b.in_flight for b in backends)

    def stand(self, backend: Backend, weight: int) -> Iterator[int]:
        return (avalanche(4096 * self._number[backend] + i) for i in range(16 * weight))

    def hash(self, key: str) -> int:
        return avalanche(haproxy_hash(key)) if self.avalanche else haproxy_hash(key)

    def first(self, key: str) -> int:
        return self.nearest(self.hash(key))

    def nearest(self, place: int) -> int:
        """Index of the point next to a place, on either side."""
        after = bisect_left(self._points, place) % len(self._points)
        to_last = (place - self._points[after - 1]) % 2**32
        to_next = (self._points[after] - place) % 2**32
        return (after - 1) % len(self._points) if to_last <= to_next else after

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
        for backend in self.onwards(key):
            if backend not in passed:
                if self._room(backend) > 0:
                    chosen = backend
                    break
                passed.add(backend)
                nearest = nearest or backend
        self._in_flight += 1
        chosen = chosen or nearest  # all that are left are full: where the key belongs
        assert chosen, "the pool sees to it that not all are excluded"
        return chosen

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend in self._slots_of:
            self._in_flight -= 1

    def _room(self, backend: Backend) -> int:
        """Of so many places for all, each has a whole number for its weight; the rest is dealt in order."""
        each, rest = divmod(-(-(self._in_flight + 1) * self.factor // 100), self._slots)
        mine, before = self._slots_of[backend]
        places = mine * each + (before + mine) * rest // self._slots - before * rest // self._slots
        return max(1, places) - backend.in_flight

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        why = super().explain(backends, key, now)
        if not self.factor:
            return why
        room = {b.name: float(self._room(b)) for b in backends}
        return replace(why, rule=f"{why.rule}, who has room; room of each", scores=room)


class HaproxyRandom(HaproxyRing):
    """HAProxy `random(draws)`: places thrown on its ring, and the least loaded of their owners.

    The same may be drawn twice, so that of two servers the busier one still gets about a quarter. And a ring
    is uneven: two servers of weight 1, of 16 points each, get 40 and 60 %; higher weights even that out.
    (backend.c, get_server_rnd.)
    """

    name = "haproxy_random"
    keyed = False
    keyed_by = "client"

    def __init__(self, draws: int = 2) -> None:
        if draws < 1:
            raise ValueError(f"draws is {draws}: draw at least once")
        super().__init__()
        self.draws = draws

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        best, *others = self._thrown(backends)
        for other in others:
            if other.in_flight * best.weight <= best.in_flight * other.weight:
                best = other
        return best

    pick_except = Balancer.pick_except

    def _thrown(self, backends: Sequence[Backend]) -> list[Backend]:
        if len(backends) == len(self._slots_of):
            return [self._owners[self.nearest(self.rng.getrandbits(32))] for _ in range(self.draws)]
        return self.rng.choices([b for b in self._owners if b in backends], k=self.draws)  # a retry

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        with same_dice(self.rng):
            loads = {b.name: b.in_flight / b.weight for b in self._thrown(backends)}
        return Why("of those hit on the ring, in flight / weight", loads, "lowest")


class HaproxyMap(StaticRoundRobin):
    """HAProxy `hash-type map-based`: the key's hash modulo the weights, in the table of static-rr.

    (lb_map.c. The hash is SDBM for texts, and the address itself for clients.)
    """

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


class HaproxyLeastConnections(_LowestScore):
    """HAProxy `leastconn`: the fewest, with this one, for the weight; idle ones come first, in turn.

    (lb_fwlc.c. It counts what waits in its queue, too.)
    """

    def score(self, backend: Backend, in_flight: int) -> float:
        return (in_flight + 1) / backend.weight if in_flight else 0.0


def haproxy_hash(key: str) -> int:
    """An address by itself, four bytes upon four; anything else by SDBM. 32 bits."""
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
    """32 other bits for 32 bits. (Bob Jenkins, "4-byte integer hashing", and HAProxy's prime.)"""
    a = (a + 0x7ED55D16 + (a << 12)) & 0xFFFFFFFF
    a = (a ^ 0xC761C23C) ^ (a >> 19)
    a = (a + 0x165667B1 + (a << 5)) & 0xFFFFFFFF
    a = ((a + 0xD3A2646C) ^ (a << 9)) & 0xFFFFFFFF
    a = (a + 0xFD7046C5 + (a << 3)) & 0xFFFFFFFF
    a = (a ^ 0xB55A4F09) ^ (a >> 16)
    return a * 3221225473 & 0xFFFFFFFF
