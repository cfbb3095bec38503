"""The client's address, by the forwarding fields of trusted proxies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.net.peer import Peer, plain_address, trusted_networks

TRUSTED = trusted_networks(("10.0.0.0/8", "2001:db8:1::/48"))


def client(forwarded_for: bytes = b"", forwarded: bytes = b"", address: str = "10.0.0.1") -> str:
    return Peer(address, TRUSTED).client(forwarded_for, forwarded)


@pytest.mark.parametrize(
    ("node", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:5678", "203.0.113.7"),
        ("203.0.113.7:_hidden", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:0DB8:0::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", ""),
        ("_hidden", ""),
        ("203.0.113.7:http", ""),
        ("203.0.113.7:123456", ""),
        ("203.0.113", ""),
        ("203.0.113.07", ""),
        ("[2001:db8::1", ""),
        ("[2001:db8::1]x", ""),
        ("", ""),
    ],
)
def test_a_node_has_one_address_in_one_spelling(node: str, address: str) -> None:
    assert plain_address(node) == address


@pytest.mark.parametrize(
    ("forwarded_for", "expected"),
    [
        (b"203.0.113.7:5678", "203.0.113.7"),
        (b"[2001:db8::1]:443", "2001:db8::1"),
        (b"198.51.100.1, 203.0.113.7:5678, 10.2.3.4:999", "203.0.113.7"),  # a trusted address with a port
        (b"203.0.113.7, [2001:db8:1::9]:443", "203.0.113.7"),
        (b"203.0.113.7, ::ffff:10.9.9.9", "203.0.113.7"),
        (b"203.0.113.7, , 10.2.3.4,", "203.0.113.7"),
        (b"unknown", "10.0.0.1"),  # falls back to the peer
        (b"203.0.113.7, nonsense", "10.0.0.1"),
        (b"203.0.113.7, nonsense, 10.2.3.4", "10.2.3.4"),  # the last proxy that is known
        (b"10.2.3.4", "10.2.3.4"),
    ],
)
def test_x_forwarded_for(forwarded_for: bytes, expected: str) -> None:
    assert client(forwarded_for) == expected


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (b"for=203.0.113.7", "203.0.113.7"),
        (b'for="203.0.113.7:5678";proto=http', "203.0.113.7"),
        (b'proto=https;For="[2001:db8::1]:443", for=10.2.3.4', "2001:db8::1"),
        (b'for=203.0.113.7;host="a, for=198.51.100.1"', "203.0.113.7"),  # a quoted text is one text
        (b"for=203.0.113.7, for=unknown", "10.0.0.1"),
        (b"proto=http", "10.0.0.1"),
    ],
)
def test_forwarded(forwarded: bytes, expected: str) -> None:
    assert client(forwarded=forwarded) == expected
    assert client(b"198.51.100.99", forwarded) == "198.51.100.99"  # X-Forwarded-For comes first


def test_an_ipv4_peer_on_an_ipv6_socket_is_an_ipv4_peer() -> None:
    peer = Peer("::ffff:10.0.0.1", TRUSTED)
    assert peer.trusted
    assert peer.address == "10.0.0.1"
    assert b"X-Forwarded-For: 10.0.0.1\r\n" in peer.fields(b"a", {})
    assert Peer("10.1.1.1", trusted_networks(("::ffff:10.0.0.0/104",))).trusted


def test_forwarding_fields_of_an_untrusted_peer_are_ignored() -> None:
    assert client(b"203.0.113.7", b"for=203.0.113.7", address="198.51.100.1") == "198.51.100.1"


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_the_client_is_always_an_address(forwarded_for: bytes, forwarded: bytes) -> None:
    found = client(forwarded_for, forwarded)
    assert plain_address(found) == found
