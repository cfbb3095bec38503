"""Packets: flows have one name in both directions, and checksums that a kernel would accept."""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.net.geneve import PacketError, read_packet, tcp_packet, udp_packet
from lbkit.net.geneve.packet import ACK, RST, SYN, TCP, UDP, answer_to, checksum

ports = st.integers(1, 65535)
v4 = st.tuples(st.integers(0, 2**32 - 1).map(lambda n: str(IPv4Address(n))), ports)
v6 = st.tuples(st.integers(0, 2**128 - 1).map(lambda n: str(IPv6Address(n))), ports)
ends = st.one_of(st.tuples(v4, v4), st.tuples(v6, v6))


@given(both=ends, payload=st.binary(max_size=50), make=st.sampled_from([udp_packet, tcp_packet]))
def test_a_packet_is_read_as_it_was_made(both, payload: bytes, make) -> None:
    one, other = both
    data = make(one, other, payload=payload)
    packet = read_packet(data)
    assert (packet.source, packet.destination, packet.payload) == (one, other, payload)
    assert packet.protocol == (UDP if make is udp_packet else TCP)
    assert packet.flags == (SYN if make is tcp_packet else 0)
    addresses = data[12:20] if data[0] >> 4 == 4 else data[8:40]
    body = data[packet.start :]
    assert checksum(addresses + struct.pack(">II", len(body), packet.protocol) + body) == 0
    assert data[0] >> 4 == 6 or checksum(data[:20]) == 0


@given(both=ends, fields=st.sampled_from([5, 3, 2]))
def test_both_directions_of_a_flow_have_one_name(both, fields: int) -> None:
    there, back = read_packet(udp_packet(*both)), read_packet(udp_packet(*reversed(both)))
    assert there.key(fields) == back.key(fields)


def test_fewer_fields_tell_fewer_flows_apart() -> None:
    packets = [
        read_packet(make(("10.0.0.1", port), ("10.0.0.2", 80)))
        for make in (udp_packet, tcp_packet)
        for port in (1, 2)
    ]
    assert [len({packet.key(fields) for packet in packets}) for fields in (5, 3, 2)] == [4, 2, 1]


def fragment(data: bytes, offset: int, more: bool) -> bytes:
    cut = bytearray(data)
    cut[6:8] = struct.pack(">H", more << 13 | offset)
    return bytes(cut)


def test_all_fragments_of_a_packet_are_of_one_flow() -> None:
    whole = udp_packet(("10.0.0.1", 7), ("10.0.0.2", 80), bytes(16))
    first, last = read_packet(fragment(whole, 0, True)), read_packet(fragment(whole, 3, False))
    assert first.key() == last.key()
    assert first.source == ("10.0.0.1", 0)


def test_extension_headers_are_walked() -> None:
    plain = udp_packet(("::1", 5), ("::2", 6), b"x")
    hop = bytes([17, 0]) + bytes(6)
    longer = struct.pack(">H", len(hop) + len(plain) - 40)
    data = plain[:4] + longer + b"\0" + plain[7:40] + hop + plain[40:]
    assert read_packet(data).key() == read_packet(plain).key()
    pieces = bytes([17, 0, 0, 8]) + bytes(4)  # an offset: there are no ports here
    data = plain[:4] + longer + bytes([44]) + plain[7:40] + pieces + plain[40:]
    assert read_packet(data).source == ("::1", 0)
    many = plain[:4] + struct.pack(">H", 80) + b"\0" + plain[7:40] + (bytes(8) * 10)
    with pytest.raises(PacketError, match="more than 8 IPv6 extension headers"):
        read_packet(many)


@given(data=st.one_of(st.binary(max_size=90), st.binary(min_size=1, max_size=60).map(lambda b: b"\x45" + b)))
def test_garbage_is_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        packet = read_packet(data)
    except PacketError:
        return
    assert packet.start <= len(data)
    assert packet.key() == packet.key(5)
    assert isinstance(packet.payload, bytes)


@given(both=ends, cut=st.integers(0, 200))
def test_a_packet_that_is_cut_off_is_refused(both, cut: int) -> None:
    data = tcp_packet(*both)
    if cut < len(data):
        with pytest.raises(PacketError):
            read_packet(data[:cut])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"\x10" + bytes(30), "its version is 1"),
        (b"\x44" + bytes(30), "the IPv4 header is cut off"),
        (b"\x45" + bytes(30), "the IPv4 header says 0 bytes, and there are 31"),
    ],
)
def test_why_bytes_are_no_packet(data: bytes, message: str) -> None:
    with pytest.raises(PacketError, match=re.escape(message)):
        read_packet(data)


def test_answers_go_back_to_the_source() -> None:
    packet = read_packet(tcp_packet(("10.0.0.1", 5), ("10.0.0.2", 23)))
    answer = read_packet(answer_to(packet, b"no"))
    assert (answer.source, answer.destination, answer.flags) == (packet.destination, packet.source, RST | ACK)
    packet = read_packet(udp_packet(("10.0.0.1", 5), ("10.0.0.2", 23)))
    assert read_packet(answer_to(packet, b"no")).payload == b"no"
    with pytest.raises(ValueError, match="use two IPv4 or two IPv6 addresses"):
        udp_packet(("10.0.0.1", 5), ("::1", 6))
