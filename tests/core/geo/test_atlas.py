from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.geo import Atlas, Location, Place

PARIS, TOKYO = Location(Place(48.86, 2.35), "EU"), Location(Place(35.68, 139.69), "JP")
# Documentation ranges: RFC 5737 and RFC 3849.
ATLAS = Atlas({"192.0.2.0/24": PARIS, "192.0.2.128/25": TOKYO, "2001:db8::/32": TOKYO, "198.51.100.7": PARIS})


def test_the_longest_network_wins() -> None:
    assert ATLAS.locate("192.0.2.1") == PARIS
    assert ATLAS.locate("192.0.2.200") == TOKYO
    assert ATLAS.locate("2001:db8:1::1") == TOKYO
    assert ATLAS.locate("198.51.100.7") == PARIS
    assert ATLAS.locate("::ffff:192.0.2.1") == PARIS
    assert str(ATLAS.find("192.0.2.200")[0]) == "192.0.2.128/25"  # type: ignore[index]
    assert len(ATLAS) == len(list(ATLAS)) == 4


@pytest.mark.parametrize("nowhere", ["203.0.113.1", "2001:db9::1", "198.51.100.8", "", "c17", "192.0.2.0/24"])
def test_what_it_does_not_know_is_nowhere(nowhere: str) -> None:
    assert ATLAS.locate(nowhere) is None


def test_an_atlas_with_a_text_that_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="use addresses or networks"):
        Atlas({"192.0.2.1/24": PARIS})


lengths = st.integers(0, 32)
around = lengths.map(lambda bits: ip_network((0xC0000200 >> (32 - bits) << (32 - bits), bits)))


@given(st.sets(around), st.integers(0, 2**32 - 1).map(ip_address))
def test_it_finds_what_a_search_through_all_networks_finds(networks, address) -> None:  # type: ignore[no-untyped-def]
    atlas = Atlas({str(network): PARIS for network in networks})
    expected = max((n for n in networks if address in n), key=lambda n: n.prefixlen, default=None)
    found = atlas.find(str(address))
    assert (found and found[0]) == expected


def slow_scope(known, address, least):  # type: ignore[no-untyped-def]
    """Lengthen the prefix until no longer network lies in it, by a look at all networks each time."""
    own = max((n.prefixlen for n in known if address in n), default=0)
    length = max(least, own)
    while any(
        n.prefixlen > length and ip_network((int(address), length), strict=False).supernet_of(n)
        for n in known
    ):
        length += 1
    return length


networks_at = st.tuples(st.integers(0, 2**32 - 1), lengths).map(
    lambda given: ip_network((given[0] >> (32 - given[1]) << (32 - given[1]), given[1]))
)


@given(
    st.sets(st.one_of(around, networks_at)),
    st.one_of(st.integers(0, 2**32 - 1), st.integers(0xC0000200, 0xC00002FF)).map(ip_address),
    st.integers(0, 32),
)
def test_scope_is_what_a_search_through_all_networks_finds(known, address, least) -> None:  # type: ignore[no-untyped-def]
    atlas = Atlas({str(network): PARIS for network in known})
    assert atlas.scope(str(address), least) == slow_scope(known, address, least)
