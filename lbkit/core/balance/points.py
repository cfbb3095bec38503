"""The points of a hash ring: numbers from 1 to 2, each with the backend that it belongs to.

Of a float's 52 bits, 32 are the position and 20 the number of the owner. So a ring is one column of floats,
which Python sorts and searches faster than anything else.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from hashlib import shake_128
from sys import byteorder

from mypy_extensions import i64

from lbkit.core.vectors import COMPILED, append, floats, vec


def points_of(name: str, owner: int, number: int) -> bytes:
    """Return `number` points of a backend, 8 bytes each, little-endian.

    One long digest makes all of them, in a few operations on one large integer."""
    each = int.from_bytes((1).to_bytes(8, "big") * number, "big")  # a 1 in every 64 bits
    bits = int.from_bytes(shake_128(name.encode()).digest(8 * number), "big")
    bits = bits & each * 0x000F_FFFF_FFF0_0000 | each * (0x3FF0_0000_0000_0000 + owner)  # 3FF: from 1 to 2
    return bits.to_bytes(8 * number, "little")


def owner_of(point: float) -> int:
    """Return the number of the backend that a point belongs to."""
    return int(point * 2**52) & 0xFFFFF


if COMPILED:
    from librt.strings import read_f64_le, read_i64_le

    def in_order(points: Iterable[bytes]) -> vec[float]:
        """Return points as a column, in ascending order. O(n)

        By a bucket for each point: as hashes are spread evenly, few buckets have more than one or two."""
        data = b"".join(points)
        count: i64 = len(data) >> 3
        places = vec[i64](capacity=count + 1)  # where the next point of each bucket goes
        for _ in range(count + 1):
            places = append(places, 0)
        for i in range(count):
            places[_bucket(data, i, count) + 1] += 1
        for i in range(count):
            places[i + 1] += places[i]
        ring = floats(count, 0.0)
        for i in range(count):
            bucket = _bucket(data, i, count)
            ring[places[bucket]] = read_f64_le(data, i << 3)
            places[bucket] += 1
        for i in range(1, count):  # insertion sort, for those that share a bucket
            point = ring[i]
            place: i64 = i
            while place > 0 and ring[place - 1] > point:
                ring[place] = ring[place - 1]
                place -= 1
            ring[place] = point
        return ring

    def _bucket(data: bytes, i: i64, count: i64) -> i64:
        """Return which of `count` equal arcs of the ring point `i` is on."""
        return ((read_i64_le(data, i << 3) >> 20) & 0xFFFFFFFF) * count >> 32

    def after(ring: vec[float], point: float) -> i64:
        """Return the index of the first point of a ring above `point`; its length if there is none."""
        low: i64 = 0
        high: i64 = len(ring)
        while low < high:
            middle = (low + high) >> 1
            if point < ring[middle]:
                high = middle
            else:
                low = middle + 1
        return low

else:

    def in_order(points):
        column = array("d", b"".join(points))
        if byteorder == "big":
            column.byteswap()
        ring = column.tolist()  # made at once, floats lie side by side: sorting takes half the time
        ring.sort()
        return ring

    after = bisect_right
