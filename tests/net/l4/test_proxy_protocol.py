"""The PROXY protocol: what is written is read again, hostile bytes are refused, and HAProxy agrees."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.net.l4.proxy_protocol import (
    LONGEST,
    LONGEST_V1,
    SIGNATURE,
    Header,
    Malformed,
    Transport,
    between,
    crc32c,
    read,
    write_v1,
    write_v2,
)

ports = st.integers(0, 65535)
four = st.tuples(st.ip_addresses(v=4).map(str), ports)
six = st.tuples(st.ip_addresses(v=6).map(str), ports)
paths = st.binary(max_size=108).filter(lambda path: not path.endswith(b"\0"))
tlvs = st.lists(
    st.tuples(st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=50)), max_size=5
).map(tuple)


def header(kinds: list[Transport], ends: st.SearchStrategy) -> st.SearchStrategy[Header]:
    return st.builds(Header, st.sampled_from(kinds), ends, ends)


TCP = header([Transport.TCP4], four) | header([Transport.TCP6], six)
ANY = (
    TCP
    | header([Transport.UDP4], four)
    | header([Transport.UDP6], six)
    | header([Transport.UNIX_STREAM, Transport.UNIX_DGRAM], paths)
)


@given(TCP, st.binary(max_size=20))
def test_a_line_of_version_1_is_read_as_it_was_written(header: Header, rest: bytes) -> None:
    data = write_v1(header)
    assert len(data) <= LONGEST_V1
    found = read(data + rest)
    assert found == header
    assert found.size == len(data)


@given(ANY, tlvs, st.booleans(), st.binary(max_size=20))
def test_a_header_of_version_2_is_read_as_it_was_written(
    header: Header, tlvs: tuple[tuple[int, bytes], ...], checksum: bool, rest: bytes
) -> None:
    header = Header(header.transport, header.source, header.destination, tlvs=tlvs)
    data = write_v2(header, checksum)
    found = read(bytearray(data + rest))
    assert isinstance(found, Header)
    assert found.size == len(data)
    assert (found.transport, found.source, found.destination) == (
        header.transport,
        header.source,
        header.destination,
    )
    assert found.tlvs[: len(tlvs)] == tlvs
    assert len(found.tlvs) == len(tlvs) + checksum


@given(ANY, st.sampled_from([write_v1, write_v2]))
def test_every_part_of_a_header_asks_for_more(header: Header, write) -> None:
    data = write(header)
    assert all(read(data[:size]) is None for size in range(len(data)))


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]),
)
def test_hostile_bytes_raise_nothing(data: bytes, start: bytes) -> None:
    found = read(start + data)
    assert found is None or isinstance(found, Malformed | Header)


@given(ANY, tlvs, st.data())
def test_a_changed_byte_does_not_pass_the_checksum(header: Header, tlvs, data: st.DataObject) -> None:
    whole = bytearray(write_v2(Header(header.transport, header.source, header.destination, tlvs=tlvs), True))
    at = data.draw(st.integers(16, len(whole) - 8))
    # Lengths of TLVs may move its end; of the addresses every bit counts.
    at = min(at, 16 + 11)
    whole[at] ^= data.draw(st.integers(1, 255))
    assert read(whole) == Malformed("the checksum of a version 2 header is wrong")


@given(st.integers(107, 100_000))
def test_no_more_is_asked_for_than_the_longest_header(size: int) -> None:
    assert isinstance(read(b"PROXY TCP4 " + b"1" * size), Malformed)
    assert isinstance(read(SIGNATURE + b"\x21\x11" + (LONGEST - 15).to_bytes(2, "big")), Malformed)
    assert read(SIGNATURE + b"\x21\x11" + (LONGEST - 16).to_bytes(2, "big")) is None


@pytest.mark.parametrize(
    "line",
    [
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN a\rb\r\n",
        "GET / HTTP/1.1\r\n",
        "\r\n\r\nGET",
    ],
)
def test_other_spellings_are_refused(line: str) -> None:
    assert isinstance(read(line.encode()), Malformed)


def test_what_follows_unknown_is_skipped() -> None:
    line = b"PROXY UNKNOWN ffff::1 who knows 1 2\r\n"
    assert read(line + b"data") == Header(Transport.UNKNOWN)
    assert read(line).size == len(line)
    assert write_v1(Header(Transport.UDP4, ("192.0.2.1", 1), ("192.0.2.2", 2))) == b"PROXY UNKNOWN\r\n"


def test_of_a_local_header_everything_is_skipped() -> None:
    data = SIGNATURE + b"\x20\xff\0\x03abc"
    assert read(data) == Header(Transport.UNKNOWN, local=True)
    assert read(data).size == len(data)
    assert read(write_v2(Header(Transport.UNKNOWN, local=True))).local


@pytest.mark.parametrize(
    "rest",
    [
        b"\x11\x11\0\x0c" + bytes(12),  # version 1 in binary
        b"\x22\x11\0\x0c" + bytes(12),  # an unknown command
        b"\x21\x41\0\x0c" + bytes(12),  # an unknown family
        b"\x21\x13\0\x0c" + bytes(12),  # an unknown protocol
        b"\x21\x11\0\x0b" + bytes(11),  # too short for two addresses
        b"\x21\x11\0\x0e" + bytes(12) + b"\x01\0",  # a TLV without its length
        b"\x21\x11\0\x0f" + bytes(12) + b"\x01\0\x01",  # a TLV without its value
        b"\x21\x11\0\x12" + bytes(12) + b"\x03\0\x03abc",  # a checksum of three bytes
    ],
)
def test_wrong_binary_headers_are_refused(rest: bytes) -> None:
    assert isinstance(read(SIGNATURE + rest), Malformed)


def test_the_checksum_is_that_of_rfc_3720() -> None:
    # Appendix B.4: 32 bytes of zeros, of ones, and counting up.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_ends_of_two_families_are_both_written_as_ipv6() -> None:
    mixed = between(("192.0.2.1", 1), ("2001:db8::1", 2))
    assert mixed.transport is Transport.TCP6
    assert IPv6Address(mixed.source[0]).ipv4_mapped == IPv4Address("192.0.2.1")
    assert between(("::ffff:192.0.2.1", 1), ("192.0.2.2", 2)).source == ("192.0.2.1", 1)
    assert between(("", 0), ("192.0.2.2", 2)) == Header(Transport.UNKNOWN)


def test_tlvs_that_do_not_fit_are_refused_when_written() -> None:
    with pytest.raises(ValueError, match="TLVs that fit into 4096"):
        write_v2(Header(Transport.TCP4, ("192.0.2.1", 1), ("192.0.2.2", 2), tlvs=((4, bytes(5000)),)))
