"""Requests of HTTP/2 become heads of HTTP/1.1, and nothing that would be read differently there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_feature

need_feature("http2")

from http2_client import MALFORMED, get
from httptools import HttpRequestParser

from lbkit.net.http1.head import HeadReader
from lbkit.net.http1.head import read_request as read_head
from lbkit.net.messages import Reject, ResponseHead
from lbkit.net.peer import Peer
from lbkit.net.streams.fields import Malformed, read_trailers
from lbkit.net.streams.requests import read_request, response_fields

PEER = Peer("192.0.2.1", (), None)


def test_a_request_becomes_a_head() -> None:
    made = read_request(get(b"/a?b", (b"accept", b"*/*"), (b"te", b"trailers")), True)
    assert made.head == b"GET /a?b HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n"
    assert made.length is None


def test_host_stands_in_for_a_missing_authority() -> None:
    fields = [field for field in get() if field[0] != b":authority"]
    assert b"\r\nhost: b.test\r\n" in read_request([*fields, (b"host", b"b.test")], True).head


def test_cookies_are_one_field_again() -> None:
    made = read_request(get(b"/", (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")), True)
    assert made.head.count(b"cookie") == 1
    assert b"\r\ncookie: a=1; b=2\r\n" in made.head


def test_a_websocket_becomes_an_upgrade_with_a_key_of_its_own() -> None:
    fields = [*get(b"/chat", method=b"CONNECT"), (b":protocol", b"websocket")]
    fields += [(b"sec-websocket-version", b"13"), (b"sec-websocket-key", b"theirs")]
    made, other = read_request(fields, False), read_request(fields, False)
    assert made.head.startswith(b"GET /chat HTTP/1.1\r\n")
    assert b"connection: upgrade\r\nupgrade: websocket\r\n" in made.head
    assert made.head.count(b"sec-websocket-key") == 1
    assert made.key in made.head
    assert made.key != other.key


@pytest.mark.parametrize("what", MALFORMED)
def test_what_breaks_the_rules_is_malformed(what: str) -> None:
    with pytest.raises(Malformed):
        read_request(MALFORMED[what], True)


@pytest.mark.parametrize(
    "fields",
    [
        [(b":method", b"CONNECT"), (b":authority", b"a:443")],
        [*get(method=b"CONNECT"), (b":protocol", b"connect-udp")],
    ],
)
def test_what_is_not_supported_is_answered(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Reject) as raised:
        read_request(fields, False)
    assert raised.value.status == 501


any_bytes = st.binary(max_size=12) | st.sampled_from(
    [b"a", b"content-length", b"host", b"cookie", b"te", b"x\r\ny: z", b"5", b"\xff", b"transfer-encoding"]
)
any_field = st.tuples(any_bytes, any_bytes)


@given(st.lists(any_field, max_size=6), any_bytes, any_bytes, any_bytes, st.booleans())
def test_a_head_has_exactly_the_fields_of_the_request(
    more: list[tuple[bytes, bytes]], method: bytes, path: bytes, authority: bytes, end: bool
) -> None:
    """Whatever is accepted, HTTP/1.1's reader finds one request with as many fields: nothing is smuggled."""
    pseudo = [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", authority),
        (b":path", b"/" + path),
    ]
    try:
        made = read_request([*pseudo, *more], end)
    except (Malformed, Reject):
        return
    assert made.head.count(b"\r\n\r\n") == 1
    assert made.head.endswith(b"\r\n\r\n")
    lines = made.head[:-4].split(b"\r\n")
    assert not any(set(line) & {0, 10, 13} for line in lines)
    assert lines[0] == method + b" /" + path + b" HTTP/1.1"
    names = [line.partition(b":")[0] for line in lines[1:]]
    kept = [name for name, _ in more if name not in (b"host", b"te", b"cookie", b"content-length")]
    single = [name for name in (b"cookie", b"content-length") if any(name == n for n, _ in more)]
    assert sorted(names) == sorted([b"host", *kept, *single])
    try:
        HeadReader(HttpRequestParser, 400).check(made.head)
        read_head(made.head, PEER, 100)
    except Reject:
        pass


def test_trailers_are_fields_that_may_come_after_a_body() -> None:
    trailers = [(b"grpc-status", b"0"), (b"content-length", b"5"), (b"x_forwarded_for", b"1"), (b"x", b"y")]
    assert read_trailers(trailers) == b"grpc-status: 0\r\nx: y\r\n"


@pytest.mark.parametrize("field", [(b":path", b"/"), (b"X", b"y"), (b"x", b"y\r\nz"), (b"connection", b"x")])
def test_trailers_have_no_pseudo_header_fields_and_obey_the_same_rules(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(Malformed):
        read_trailers([field])


def test_an_answer_has_names_in_lower_case_and_its_status_first() -> None:
    head = ResponseHead(200, b"HTTP/1.1 200 OK\r\nContent-Type:  text/plain\r\nSet-Cookie: a=b: c\r\n", 0)
    assert response_fields(head) == [
        (b":status", b"200"),
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a=b: c"),
    ]
