"""The points of a hash ring: in order, each with its owner; compiled and interpreted alike."""

from bisect import bisect_right
from hashlib import shake_128
from struct import unpack

from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.balance.points import after, in_order, owner_of, points_of

POOLS = st.lists(st.tuples(st.text(max_size=20), st.integers(1, 300)), max_size=12)


def test_a_point_is_32_bits_of_the_digest_and_the_owner() -> None:
    digest = shake_128(b"s1").digest(8 * 3)
    places = {(int.from_bytes(digest[i : i + 8], "big") >> 20) % 2**32 for i in (0, 8, 16)}
    points = list(in_order([points_of("s1", 7, 3)]))
    assert {int((point - 1) * 2**32) for point in points} == places
    assert [owner_of(point) for point in points] == [7, 7, 7]


@given(POOLS)
def test_a_ring_has_all_points_in_order(pool: list[tuple[str, int]]) -> None:
    parts = [points_of(name, owner, number) for owner, (name, number) in enumerate(pool)]
    data = b"".join(parts)
    ring = list(in_order(parts))
    assert ring == sorted(unpack(f"<{len(data) // 8}d", data))
    assert all(1 <= point < 2 for point in ring)


def test_points_at_one_place_are_in_the_order_of_their_owners() -> None:
    ring = list(in_order([points_of("same", owner, 40) for owner in (3, 1, 2)]))
    assert [owner_of(point) for point in ring] == [1, 2, 3] * 40


@given(POOLS, st.floats(1, 2))
def test_a_key_belongs_to_the_first_point_above_it(pool: list[tuple[str, int]], place: float) -> None:
    ring = in_order([points_of(name, owner, number) for owner, (name, number) in enumerate(pool)])
    for point in (place, *list(ring)[:3]):
        assert after(ring, point) == bisect_right(list(ring), point)
