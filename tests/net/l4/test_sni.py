"""A ClientHello is read wherever it is split, as real clients send it; hostile bytes raise nothing."""

from __future__ import annotations

import pytest
from hellos import hello
from hypothesis import example, given
from hypothesis import strategies as st

from lbkit.net.l4.sni import LONGEST, ClientHello, HelloReader, NoHello


def records(message: bytes, size: int) -> bytes:
    """The message in records of `size` bytes."""
    pieces = [message[i : i + size] for i in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def made(*extensions: tuple[int, bytes], rest: bytes = b"") -> bytes:
    """A hello with these extensions."""
    listed = b"".join(kind.to_bytes(2, "big") + vector(2, data) for kind, data in extensions)
    body = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
    return records(b"\x01" + vector(3, body + vector(2, listed) + rest), 1 << 14)


def vector(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width, "big") + data


def named(name: bytes) -> tuple[int, bytes]:
    return 0, vector(2, b"\0" + vector(2, name))


def read(data: bytes, piece: int = 0) -> ClientHello | NoHello | None:
    reader, found = HelloReader(), None
    for at in range(0, len(data), piece or len(data)):
        found = reader.feed(data[at : at + (piece or len(data))])
    return found


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(
    ("name", "alpn"), [("www.example.org", ("h2", "http/1.1")), ("A.Example", ()), (None, ("h2",))]
)
def test_name_and_protocols_of_real_hellos(name: str | None, alpn: tuple[str, ...], newest: bool) -> None:
    assert read(hello(name, alpn, newest)) == ClientHello((name or "").lower(), alpn)


def test_a_name_with_umlauts_is_read_as_sent() -> None:
    assert read(hello("bücher.example")) == ClientHello("xn--bcher-kva.example")


def test_an_address_is_no_server_name() -> None:
    assert read(hello("127.0.0.1")) == ClientHello("")  # clients leave it out
    assert read(made(named(b"127.0.0.1"))) == NoHello("the server name is no host name")


REAL = hello(alpn=("h2", "http/1.1"))


@given(st.integers(1, len(REAL)), st.integers(1, 600))
@example(1, 1)
def test_it_is_read_wherever_records_and_segments_end(segment: int, record: int) -> None:
    data = records(REAL[5:], record)
    assert read(data, segment) == ClientHello("www.example.org", ("h2", "http/1.1"))


def test_each_part_of_it_asks_for_more() -> None:
    assert all(read(REAL[:size]) is None for size in range(1, len(REAL)))


def test_encrypted_client_hello_is_reported() -> None:
    assert read(made(named(b"public.example"), (0xFE0D, b"\0"))) == ClientHello("public.example", ech=True)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_hostile_bytes_raise_nothing(data: bytes, piece: int) -> None:
    for start in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03" + bytes(32)):
        found = read(start + data, piece)
        assert found is None or isinstance(found, ClientHello | NoHello)


@given(st.integers(0, len(REAL) - 1), st.integers(0, 255))
def test_a_hello_with_a_wrong_byte_raises_nothing(at: int, byte: int) -> None:
    data = bytearray(REAL)
    data[at] = byte
    read(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\x01\x03\x01",  # SSL 2
        b"\x16\x02",
        b"\x16\x03\x01\0\0",  # an empty record
        b"\x16\x03\x01\x40\x01",  # a record that is too long
        b"\x16\x03\x01\0\x04\x02\0\0\0",  # a ServerHello
        records(b"\x01" + (LONGEST - 3).to_bytes(3, "big"), 4),
        records(REAL[5:] + b"\x01", 1 << 14),
        made(named(b"a.example"), named(b"b.example")),
        made(named(b"a.example\0.evil.example")),
        made(named(b"")),
        made(named(b"a..example")),
        made(named(b"a" * 64)),
        made(named(b"a." * 126 + b"ab")),
        made(named(b"a.example"), rest=b"x"),
        made((0, b"\0\x05\x01\0\x02ab")),  # a name of another type
        made((0, vector(2, b"\0" + vector(2, b"a") + b"\0" + vector(2, b"b")))),  # two names
        made((16, vector(2, vector(1, b"")))),
    ],
)
def test_what_is_no_hello_is_refused(data: bytes) -> None:
    assert isinstance(read(data), NoHello)


def test_an_endless_hello_is_given_up_at_its_length() -> None:
    """The length is in its first four bytes: no more than LONGEST bytes are ever kept."""
    endless = records(b"\x01\xff\xff\xff" + bytes(100), 1)
    assert read(endless, 1) == NoHello("the ClientHello is too long")
