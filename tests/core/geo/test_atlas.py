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
