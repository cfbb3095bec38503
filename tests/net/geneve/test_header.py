"""The GENEVE codec: examples by hand, laws for all headers, and nothing but GeneveError for garbage."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.net.geneve import (
    AwsOptions,
    GeneveError,
    Header,
    Option,
    decode,
    encode,
    tcp_packet,
    udp_packet,
)
from lbkit.net.geneve.header import IPV4, IPV6, LONGEST

words = st.integers(0, 31).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
options = st.builds(Option, st.integers(0, 0xFFFF), st.integers(0, 0xFF), words)


def fitting(some: list[Option]) -> tuple[Option, ...]:
    """Return as many options as a header has room for."""
    while sum(4 + len(option.data) for option in some) > LONGEST:
        some = some[:-1]
    return tuple(some)


headers = st.builds(
    Header,
    st.sampled_from([IPV4, IPV6, 0x6558]),
    st.integers(0, 0xFFFFFF),
    st.lists(options, max_size=8).map(lambda some: fitting(some)),
    st.booleans(),
)


def test_a_header_by_hand() -> None:
    header = Header(IPV6, 0x123456, (Option(0x0108, 3, b"\0\0\0\7"),))
    assert encode(header, b"inside") == bytes.fromhex("020086dd 12345600 01080301 00000007") + b"inside"


@given(header=headers, packet=st.binary(max_size=50))
def test_what_is_encoded_is_decoded(header: Header, packet: bytes) -> None:
    assert decode(encode(header, packet)) == (header, packet)


@given(
    datagram=st.one_of(st.binary(max_size=80), st.builds(encode, headers, st.binary(max_size=20))),
    data=st.data(),
)
def test_anything_else_is_refused_or_means_one_thing(datagram: bytes, data: st.DataObject) -> None:
    broken = bytearray(datagram)
    for _ in range(data.draw(st.integers(0, 3)) if broken else 0):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    broken = broken[: data.draw(st.integers(0, len(broken)))]
    try:
        header, packet = decode(bytes(broken))
    except GeneveError:
        return
    again = encode(header, packet)
    assert len(again) == len(broken)
    assert decode(again) == (header, packet)


@pytest.mark.parametrize(
    ("datagram", "message"),
    [
        ("", "0 bytes are no GENEVE header: it has at least 8"),
        ("00000800 000000", "7 bytes are no GENEVE header"),
        ("40000800 00000000", "version is 1: only 0 is defined"),
        ("01000800 00000000", "options end at byte 12, and the datagram at 8"),
        ("01000800 00000000 01080301", "option 0x0108/0x03 ends behind the others"),
        ("01000800 00000000 01088300", "an option is critical, and the header does not say so (C)"),
    ],
)
def test_what_does_not_add_up(datagram: str, message: str) -> None:
    with pytest.raises(GeneveError, match=re.escape(message)):
        decode(bytes.fromhex(datagram))


def test_reserved_bits_are_ignored() -> None:
    header, packet = decode(bytes.fromhex("013f0800 000000ff 010803e0") + b"a")
    assert (header, packet) == (Header(IPV4, options=(Option(0x0108, 3),)), b"a")
    assert encode(header, packet) == bytes.fromhex("01000800 00000000 01080300") + b"a"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Option(1, 1, b"123"),
        lambda: Option(1, 1, bytes(128)),
        lambda: Option(1 << 16, 1),
        lambda: Header(vni=1 << 24),
        lambda: Header(options=(Option(1, 1, bytes(124)),) * 2),
    ],
    ids=["no words", "long data", "large class", "large network", "long options"],
)
def test_what_no_header_can_carry(make) -> None:
    with pytest.raises(ValueError, match="use"):
        make()


def test_aws_adds_68_bytes() -> None:
    about = AwsOptions(1, 2, 3)
    header = Header(options=about.options())
    assert AwsOptions.read(decode(encode(header, b""))[0]) == about
    assert 20 + 8 + len(encode(header, b"")) == 68


@given(st.builds(AwsOptions, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)))
def test_aws_options_go_there_and_back(about: AwsOptions) -> None:
    assert AwsOptions.read(Header(options=about.options())) == about


FULL = AwsOptions(1, 2, 3).options()


@pytest.mark.parametrize(
    ("some", "message"),
    [
        (FULL[:2], "AWS option 3 is missing"),
        ((*FULL, FULL[0]), "AWS option 1 is unknown, there twice"),
        ((FULL[0], FULL[1], Option(0x0108, 3, bytes(8))), "of a wrong length"),
        ((*FULL, Option(0x0108, 9)), "AWS option 9 is unknown"),
        ((*FULL, Option(0x0101, 0x80)), "option 0x0101 is critical, and not known here"),
    ],
)
def test_other_options_of_aws_are_refused(some: tuple[Option, ...], message: str) -> None:
    with pytest.raises(GeneveError, match=message):
        AwsOptions.read(Header(options=some))
    assert AwsOptions.read(Header(options=(*FULL, Option(0x0101, 1)))) == AwsOptions(1, 2, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Header(vni="x"), "vni is 'x': use a whole number"),
        (lambda: Header(vni=1 << 24), "vni is 16777216: use a whole number"),
        (lambda: Header(protocol=-1), "protocol is -1"),
        (lambda: Header(options=(5,)), "options has 5: use a Option each"),
        (lambda: Option("x", 2), "namespace is 'x'"),
        (lambda: Option(1, 256), "type is 256"),
        (lambda: Option(1, 2, "abcd"), "data is 'abcd': use bytes"),
        (lambda: AwsOptions(2**64, 0, 0), "endpoint is 18446744073709551616"),
        (lambda: AwsOptions(0, -1, 0), "attachment is -1"),
        (lambda: AwsOptions(0, 0, 2**32), "cookie is 4294967296"),
        (lambda: udp_packet(("10.0.0.1", 70_000), ("10.0.0.2", 1)), "port of source is 70000"),
        (lambda: tcp_packet(("10.0.0.1", 1), 5), "destination is 5: use an address and a port"),
        (lambda: udp_packet(("10.0.0.1", 1), ("10.0.0.2", 1), bytes(70_000)), "payload is b.*at most 65,495"),
        (lambda: udp_packet(("10.0.0.1", 1), ("10.0.0.2", 1), "x"), "payload is 'x': use bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_values_are_named(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
