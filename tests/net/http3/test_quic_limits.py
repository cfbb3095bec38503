"""What a client may make the proxy do by HTTP/3: each limit ends its own connection or stream, no other."""

from __future__ import annotations

import threading
import time

import pytest
from needs import need_feature

need_feature("http3", "cert")

import pylsqpack
from aioquic.h3.connection import ErrorCode
from http3_client import OK, Fields, Http3Client, get, serving, wait_for
from scripted import TIMEOUT, Connection, answers, echo

from lbkit.net import Proxy
from lbkit.net.http3.frames import DATA, HEADERS, SETTINGS, frame, varint
from lbkit.net.http3.rules import Http3
from lbkit.net.settings import Limits, Timeouts
from lbkit.net.streams.stream import MAX_FRAME

MALFORMED = {
    "a line end in a value": get(b"/", (b"a", b"x\r\nTransfer-Encoding: chunked")),
    "Transfer-Encoding": get(b"/", (b"transfer-encoding", b"chunked")),
    "Upgrade": get(b"/", (b"upgrade", b"h2c")),
    "two Hosts": get(b"/", (b"host", b"a.test"), (b"host", b"b")),
    "a URL as path": get(b"http://b/"),
}
SIZE = 2_000_000
PIECE = b"x" * 50_000


def still_serves(proxy: Proxy) -> None:
    with Http3Client(proxy) as other:
        assert other.ask(get()).body == b"ok"


def block(fields: Fields) -> bytes:
    return pylsqpack.Encoder().encode(0, list(fields))[1]


def raw_request(client: Http3Client, data: bytes, end: bool = True) -> int:
    """Send the bytes of a request's stream past the library's checks."""
    number = client.open()
    client.quic.send_stream_data(number, data, end)
    client.flush()
    return number


def control(client: Http3Client, data: bytes) -> None:
    """Send on the client's control stream, whose kind and SETTINGS have been sent."""
    client.quic.send_stream_data(2, data)
    client.flush()


# -- heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", MALFORMED)
def test_a_head_that_breaks_the_rules_resets_its_stream_only(what: str) -> None:
    """All of them are tried in tests/net/streams, as the rules are HTTP/2's."""
    with serving(answers(OK)) as proxy, Http3Client(proxy) as client:
        bad = raw_request(client, frame(HEADERS, block(MALFORMED[what])))
        assert client.answer(bad).reset == ErrorCode.H3_MESSAGE_ERROR
        assert client.ask(get()).body == b"ok"


def test_a_head_that_is_too_large_is_answered_431() -> None:
    with serving(answers(OK), limits=Limits(head=2000)) as proxy, Http3Client(proxy) as client:
        for fields in ([(b"x", b"y" * 3_000)], [(b"a%d" % i, b"y" * 50) for i in range(60)]):
            assert client.ask(get(b"/", *fields)).status == 431
        never_ends = raw_request(client, varint(HEADERS) + varint(2**40) + b"x", end=False)
        assert client.answer(never_ends).status == 431
        assert client.ask(get()).body == b"ok"


def test_there_is_no_table_for_a_header_bomb() -> None:
    """Without QPACK's dynamic table, a few bytes cannot stand for a long field that was sent before."""
    with serving(answers(OK)) as proxy:
        with Http3Client(proxy) as client:
            client.quic.send_stream_data(6, b"\x3f\xe1\x1f")  # set the capacity to 4096
            client.flush()
            assert client.ended() == ErrorCode.QPACK_ENCODER_STREAM_ERROR
        still_serves(proxy)


def test_a_head_that_does_not_come_to_an_end_is_given_up() -> None:
    with serving(answers(OK), timeouts=Timeouts(head=1.0)) as proxy, Http3Client(proxy) as client:
        assert client.ask(get()).status == 200
        number = raw_request(client, varint(HEADERS) + varint(100) + b"x", end=False)
        assert client.answer(number).reset == ErrorCode.H3_REQUEST_REJECTED


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (frame(DATA, b"x"), ErrorCode.H3_FRAME_UNEXPECTED),
        (frame(SETTINGS, b""), ErrorCode.H3_FRAME_UNEXPECTED),
        (frame(0x2, b""), ErrorCode.H3_FRAME_UNEXPECTED),
        (varint(HEADERS) + varint(9) + b"cut", ErrorCode.H3_FRAME_ERROR),
        (frame(HEADERS, b"\xff\xff\xff"), ErrorCode.QPACK_DECOMPRESSION_FAILED),
    ],
)
def test_frames_that_must_not_be_in_a_request_end_the_connection(data: bytes, error: int) -> None:
    with serving(answers(OK)) as proxy, Http3Client(proxy) as client:
        raw_request(client, data)
        assert client.ended() == error


def test_frames_of_unknown_kinds_are_skipped() -> None:
    data = frame(0x21, b"grease") + frame(HEADERS, block(get())) + frame(0x40, b"more")
    with serving(answers(OK)) as proxy, Http3Client(proxy) as client:
        control(client, frame(0x21, b"grease"))
        assert client.answer(raw_request(client, data)).body == b"ok"


def test_a_whole_request_may_be_in_one_packet() -> None:
    data = (
        frame(HEADERS, block(get(method=b"POST")))
        + frame(DATA, b"abc")
        + frame(HEADERS, block([(b"x", b"1")]))
    )
    seen: list[bytes] = []

    def script(connection: Connection) -> None:
        connection.head()
        seen.append(connection.until(b"0\r\n") + connection.until(b"\r\n\r\n"))
        connection.send(OK)

    with serving(script) as proxy, Http3Client(proxy) as client:
        assert client.answer(raw_request(client, data)).body == b"ok"
    assert seen == [b"3\r\nabc\r\n0\r\nx: 1\r\n\r\n"]


def test_a_refused_body_has_no_more_than_its_window() -> None:
    """A client that goes on all the same is held back; its other requests are not."""
    rules = Http3(window=20_000)
    with serving(answers(OK), rules=rules, limits=Limits(body=10)) as proxy, Http3Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"x" * 200_000, end=False)
        assert client.answer(number).status == 413
        assert client.ask(get()).body == b"ok"
        assert connection_of(proxy).quic.held == 0


# -- floods -----------------------------------------------------------------------------------------


def test_rapid_reset() -> None:
    """CVE-2023-44487: requests that are given up at once never count as running at once."""
    with serving(answers(OK), rules=Http3(resets=20)) as proxy:
        with Http3Client(proxy) as client:
            for _ in range(30):
                number = client.request(get(method=b"POST"), end=False)
                client.quic.reset_stream(number, 0)
            client.flush()
            assert client.ended() == ErrorCode.H3_EXCESSIVE_LOAD
        still_serves(proxy)


def test_malformed_requests_count_as_resets() -> None:
    with serving(answers(OK), rules=Http3(resets=20)) as proxy, Http3Client(proxy) as client:
        for _ in range(21):
            raw_request(client, frame(HEADERS, block(MALFORMED["Upgrade"])))
        assert client.ended() == ErrorCode.H3_EXCESSIVE_LOAD


def test_frames_that_cost_nothing_are_counted() -> None:
    with serving(answers(OK), rules=Http3(control_frames=50)) as proxy, Http3Client(proxy) as client:
        control(client, frame(0x21, b"") * 60)
        assert client.ended() == ErrorCode.H3_EXCESSIVE_LOAD


def test_there_are_never_more_requests_at_once_than_the_rules_admit() -> None:
    release = threading.Event()

    def script(connection: Connection) -> None:
        while connection.head():
            assert release.wait(TIMEOUT)
            connection.send(OK)

    with serving(script, rules=Http3(streams=4)) as proxy, Http3Client(proxy) as client:
        numbers = [client.request(get()) for _ in range(10)]
        client.until(lambda: len(connection_of(proxy).streams) == 4)
        release.set()
        assert all(client.answer(number).body == b"ok" for number in numbers)


def connection_of(proxy: Proxy):  # type: ignore[no-untyped-def]
    (one,) = proxy.listener.open
    return one


# -- back-pressure -----------------------------------------------------------------------------------


def test_a_client_that_does_not_read_holds_back_its_backend() -> None:
    """The proxy stops reading; what the backend still sends is the kernel's."""
    sent = 0

    def script(connection: Connection) -> None:
        nonlocal sent
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // len(PIECE)):
            connection.send(PIECE)
            sent += len(PIECE)

    with serving(script) as proxy, Http3Client(proxy) as client:
        number = client.request(get())
        wait_for(lambda: sent)
        before = -1
        while before != sent:  # until no more is taken
            before = sent
            time.sleep(0.2)
        one = connection_of(proxy)
        assert one.streams[number].backlog < 2**20
        assert one.quic.room(number) > -2 * MAX_FRAME
        assert len(client.answer(number).body) == SIZE


def test_memory_stays_flat_over_many_requests() -> None:
    with serving(echo) as proxy, Http3Client(proxy) as client:
        for _ in range(150):
            number = client.request(get(method=b"POST"), b"x" * 100)
            client.answer(number)
        one = connection_of(proxy)
        client.until(lambda: len(one.quic._streams) < 12)  # the last are not acknowledged yet
        assert [len(one.streams), len(one._requests), len(one._turns), one.quic.held] == [0] * 4
        assert proxy.listener.requests == 0


# -- connections ---------------------------------------------------------------------------------------


def test_an_idle_connection_is_closed_and_pings_do_not_keep_it() -> None:
    with serving(answers(OK), timeouts=Timeouts(idle=1.0)) as proxy, Http3Client(proxy) as client:
        assert client.ask(get()).body == b"ok"
        client.quic.send_ping(7)
        client.flush()
        assert client.ended() == ErrorCode.H3_NO_ERROR
        assert client.pings == 1


def test_too_many_connections_of_one_client_are_not_answered() -> None:
    with serving(answers(OK), limits=Limits(connections_per_client=1)) as proxy:
        with Http3Client(proxy), pytest.raises(AssertionError, match="never came true"):
            Http3Client(proxy, patience=0.5)
        wait_for(lambda: not proxy.listener.open)
        still_serves(proxy)
