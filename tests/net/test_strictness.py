"""Malformed and hostile input: refused, closed, and nothing of it reaches a backend. (RFC 9112.)"""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import GET, Client, Connection, answers, ask, echo, field, proxied

from lbkit.net import Limits, Proxy, Timeouts

# What is wrong -> (request, status). The connection closes after each.
BAD_REQUESTS = {
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "the same length twice": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        400,
    ),
    "a list of lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks and length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        400,
    ),
    "zero length and chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a signed length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400),
    "a hexadecimal length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    "a huge length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    "an empty length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", 400),
    "gzip, chunked": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "xchunked": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
    "a bare CR in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    "a bare CR as line end": (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),
    "bare LF as line ends": (b"GET / HTTP/1.1\nHost: a\n\n" + GET, 400),
    "one bare LF": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    "a NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    "a folded field": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "a path in Host": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a user in Host": (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    "a quote in Host": (b'GET / HTTP/1.1\r\nHost: a";x="b\r\n\r\n', 400),
    "no path": (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a raw byte in the target": (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
    "an unknown method": (b"FROBNICATE / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n", 400),
    "an odd expectation": (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417),
    "a nameless field": (b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
    "a field without a colon": (b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
}


@pytest.fixture(scope="module")
def proxy():
    with proxied(echo, limits=Limits(head=4096, fields=50, body=1000)) as proxy:
        yield proxy


@pytest.mark.parametrize("wrong", BAD_REQUESTS)
def test_bad_requests(proxy: Proxy, wrong: str) -> None:
    request, expected = BAD_REQUESTS[wrong]
    picks = proxy.pool["b1"].picks
    with Client(proxy) as client:
        client.send(request + GET)  # what follows must not be taken for a request
        status, head, _ = client.answer()
        assert status == expected
        assert b"Connection: close" in head
        assert client.closed()
    assert proxy.pool["b1"].picks == picks


BAD_CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a size that is no number": b"xyz\r\nabc\r\n0\r\n\r\n",
    "a signed size": b"+3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a size too short": b"2\r\nabc\r\n0\r\n\r\n",
    "a bare LF": b"3\nabc\n0\n\n",
    "a huge size": b"fffffffffffffffff\r\nabc\r\n",
    "a space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("wrong", BAD_CHUNKS)
def test_bad_chunks(proxy: Proxy, wrong: str) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for together in (True, False):
        with Client(proxy) as client:
            if together:
                client.send(head + BAD_CHUNKS[wrong] + GET)
            else:
                client.send(head)
                client.send(BAD_CHUNKS[wrong] + GET)
            assert client.answer()[0] == 400
            assert client.closed()


def test_a_request_behind_a_bad_one_is_not_answered_but_one_before_is(proxy: Proxy) -> None:
    with Client(proxy) as client:
        client.send(GET + b"GET / HTTP/1.1\r\n\r\n" + GET)
        assert client.answer()[0] == 200
        assert client.answer()[0] == 400
        assert client.closed()


def test_a_request_after_a_chunked_body_is_read_separately(proxy: Proxy) -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with Client(proxy) as client:
        client.send(post + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        first, second = client.answer(), client.answer()
        assert first[0] == second[0] == 200
        assert b"POST / HTTP/1.1" in first[2]
        assert b"/2" not in first[2]
        assert second[2].startswith(b"GET /2 HTTP/1.1")


LIMITED = {
    "head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000, 431),
    "whole head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431),
    "target": (b"GET /" + b"x" * 5000, 431),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 60 + b"\r\n", 431),
    "length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
    "chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"
        + b"x" * 1001
        + b"\r\n0\r\n\r\n",
        413,
    ),
}


@pytest.mark.parametrize("what", LIMITED)
def test_messages_beyond_the_limits_are_refused(proxy: Proxy, what: str) -> None:
    request, expected = LIMITED[what]
    with Client(proxy) as client:
        client.send(request)
        assert client.answer()[0] == expected
        assert client.closed()


def test_messages_within_the_limits_pass(proxy: Proxy) -> None:
    body = b"x" * 1000
    assert ask(proxy, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + body)[0] == 200
    assert ask(proxy, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 4000 + b"\r\n\r\n")[0] == 200


def test_too_many_connections() -> None:
    with proxied(echo, limits=Limits(connections=2)) as proxy, Client(proxy) as one, Client(proxy) as two:
        for client in (one, two):
            client.send(GET)
            assert client.answer()[0] == 200
        with Client(proxy) as three:
            status, head, body = three.answer()
            assert (status, body) == (503, b"503 Service Unavailable: too many connections\n")
            assert field(head, "Retry-After") == ["1"]
            assert three.closed()
        one.send(GET)
        assert one.answer()[0] == 200


def test_a_slow_head_and_an_idle_connection_end() -> None:
    timeouts = Timeouts(head=1.0, idle=1.0, read=5)
    with (
        proxied(echo, timeouts=timeouts) as proxy,
        Client(proxy) as slow,
        Client(proxy) as silent,
        Client(proxy) as idle,
    ):
        slow.send(b"GET / HT")
        idle.send(GET)
        assert idle.answer()[0] == 200
        assert slow.answer()[0] == 408
        assert all(client.closed() for client in (slow, silent, idle))


def test_a_body_that_stops_coming() -> None:
    with proxied(echo, timeouts=Timeouts(read=0.3)) as proxy, Client(proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert client.answer()[0] == 408
        assert client.closed()


BAD_ANSWERS = {
    "no HTTP": b"hello\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length and chunks": b"HTTP/1.1 200 \r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "gzip coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an unasked switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "a bad status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("wrong", BAD_ANSWERS)
def test_malformed_answers_are_502(wrong: str) -> None:
    with proxied(answers(BAD_ANSWERS[wrong])) as proxy, Client(proxy) as client:
        for _ in range(2):
            client.send(GET)
            status, _, body = client.answer()
            assert (status, body) == (502, b"502 Bad Gateway\n")


def test_a_surplus_answer_goes_to_no_client() -> None:
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

    def script(connection: Connection) -> None:
        if connection.head():
            connection.send(twice)
            connection.head()

    with proxied(script) as proxy, Client(proxy) as client:
        for _ in range(3):
            client.send(GET)
            assert client.answer()[2] == b"1"
        assert proxy.scripted[0].connections == 3  # not one of them was trusted again


def test_bytes_before_any_request_are_not_an_answer() -> None:
    def early(connection: Connection) -> None:
        connection.head()
        # At once: what comes later, after the next request has been sent, cannot be told from an answer.
        answer, poison = (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(b), b) for b in (b"1", b"poison")
        )
        connection.send(answer + poison)
        connection.head()

    with proxied(early) as proxy:
        for _ in range(5):
            assert ask(proxy)[2] == b"1"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_make_the_proxy_hang_or_crash(proxy: Proxy, data: st.DataObject) -> None:
    """Mutations of good requests: each ends in an answer or a closed connection, and the proxy lives."""
    good = data.draw(
        st.sampled_from(
            [
                GET,
                b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
                b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ]
        )
    )
    position = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 3))
    noise = data.draw(
        st.one_of(st.binary(max_size=6), st.sampled_from([b"\r\n", b"\n", b"\r", b":", b" ", b"\0"]))
    )
    with Client(proxy) as client:
        client.send(
            good[:position] + noise + good[position + cut :] + b"\r\n\r\n" * 3 + b"0\r\n\r\n" + b"x" * 5000
        )
        with suppress(ConnectionError, ValueError):  # closed, or an answer that is not HTTP/1.1's
            for _ in range(10):
                client.answer()
            pytest.fail("ten answers to one request")
    assert ask(proxy)[0] == 200


def test_an_answer_that_is_like_others_may_not_have_a_longer_head() -> None:
    def script(connection: Connection) -> None:
        for size in (1, 2, 3, 1500):
            connection.head()
            cookie = b"Set-Cookie: " + b"x" * size
            connection.send(b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n" + cookie + b"\r\n\r\n")

    with proxied(script, limits=Limits(head=512)) as proxy, Client(proxy) as client:
        found = []
        for _ in range(4):
            client.send(GET)
            found.append(client.answer()[0])
    assert found == [200, 200, 200, 502]
