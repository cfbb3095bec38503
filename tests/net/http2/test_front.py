"""Requests and answers by HTTP/2, through a proxy on real sockets before scripted HTTP/1.1 backends."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from needs import need_feature

need_feature("http2")

from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from http2_client import MALFORMED, OK, Fields, Http2Client, data_frame, get, headers_frames, serving, until
from hyperframe.frame import HeadersFrame
from scripted import TIMEOUT, Connection, answers, ask, echo, field, proxied, unchunked

from lbkit.net.http2.rules import Http2
from lbkit.net.settings import Limits, Timeouts

# -- requests and answers ------------------------------------------------------------------------


def test_a_request_and_its_answer() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        answer = client.ask(get(b"/a?b=c", (b"x-own", b"1")))
    assert answer.status == 200
    assert answer.ended
    assert answer.body.startswith(b"GET /a?b=c HTTP/1.1\r\nhost: a\r\nx-own: 1\r\n")
    assert field(answer.body, "Via") == ["2.0 lbkit"]
    assert field(answer.body, "X-Forwarded-For") == ["127.0.0.1"]
    assert answer.fields[b"date"]
    assert all(name == name.lower() for name in answer.fields)


def test_the_preface_may_arrive_byte_by_byte() -> None:
    with serving(echo) as proxy, Http2Client(proxy, begin=False) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in client.http.data_to_send():
            client.raw(bytes((byte,)))
            time.sleep(0.001)
        assert client.ask(get()).status == 200


def test_http_1_is_served_on_the_same_port() -> None:
    with serving(echo) as proxy:
        assert ask(proxy)[0] == 200


def test_without_http_2_its_preface_is_an_error() -> None:
    with proxied(echo) as proxy:
        assert ask(proxy, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")[0] in (400, 505)


def test_the_preface_is_no_request_after_others() -> None:
    with serving(echo) as proxy:
        assert ask(proxy, b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")[0] in (400, 505)


def test_requests_of_one_connection_are_balanced_on_their_own() -> None:
    named = [answers(OK.replace(b"ok", name)) for name in (b"b1", b"b2", b"b3")]
    with serving(*named) as proxy, Http2Client(proxy) as client:
        streams = [client.request(get()) for _ in range(9)]
        bodies = [client.answer(number).body for number in streams]
    assert sorted(bodies) == [b"b1"] * 3 + [b"b2"] * 3 + [b"b3"] * 3


def test_a_slow_answer_does_not_hold_the_others() -> None:
    release = threading.Event()

    def script(connection: Connection) -> None:
        while head := connection.head():
            if b"/slow" in head:
                assert release.wait(TIMEOUT)
            connection.send(OK)

    with serving(script) as proxy, Http2Client(proxy) as client:
        slow = client.request(get(b"/slow"))
        assert client.ask(get()).body == b"ok"
        assert not client.got[slow].over
        release.set()
        assert client.answer(slow).body == b"ok"


def test_a_body_with_a_length_arrives_with_it() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        body = client.ask(get(b"/", (b"content-length", b"5"), method=b"POST"), b"hello").body
    assert field(body, "content-length") == ["5"]
    assert body.endswith(b"\r\n\r\nhello")


def test_a_body_without_a_length_arrives_in_chunks() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        body = client.ask(get(method=b"POST"), b"x" * 50_000).body
    head, _, rest = body.partition(b"\r\n\r\n")
    assert field(head + b"\r\n", "Transfer-Encoding") == ["chunked"]
    assert unchunked(rest) == b"x" * 50_000


def test_a_body_of_length_0_may_end_in_a_frame_of_its_own() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        number = client.request(get(b"/", (b"content-length", b"0"), method=b"POST"), end=False)
        client.send(number, b"", end=True)
        answer = client.answer(number)
        assert answer.status == 200
        assert answer.reset is None
        assert client.ask(get()).status == 200


@pytest.mark.parametrize("lines", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_an_answer_to_head_has_no_body(lines: bytes) -> None:
    with serving(answers(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % lines)) as proxy, Http2Client(proxy) as client:
        answer = client.ask(get(method=b"HEAD"))
    assert (answer.status, answer.body, answer.ended) == (200, b"", True)
    assert answer.fields.get(b"content-length", b"9") == b"9"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body(status: bytes) -> None:
    with serving(answers(b"HTTP/1.1 %b\r\n\r\n" % status)) as proxy, Http2Client(proxy) as client:
        answer = client.ask(get())
    assert (answer.status, answer.body, answer.ended) == (int(status[:3]), b"", True)


def test_chunks_are_taken_off_and_fields_of_connections_removed() -> None:
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x\r\nX: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    with serving(answers(data)) as proxy, Http2Client(proxy) as client:
        answer = client.ask(get())
    assert answer.body == b"ok"
    assert set(answer.fields) == {b":status", b"date"}


def test_a_body_that_ends_with_the_connection_is_complete() -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    with serving(script) as proxy, Http2Client(proxy) as client:
        assert client.ask(get()).body == b"all of it"


def test_interim_answers_are_passed_on() -> None:
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK
    with serving(answers(data)) as proxy, Http2Client(proxy) as client:
        answer = client.ask(get())
    assert answer.interim == [103]
    assert answer.status == 200


def test_trailers_pass_both_ways() -> None:
    seen: list[bytes] = []

    def script(connection: Connection) -> None:
        head = connection.head()
        seen.append(head + connection.until(b"0\r\n") + connection.until(b"\r\n\r\n"))
        connection.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n"
        )

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"hello", end=False)
        client.http.send_headers(number, [(b"x-sum", b"1"), (b"content-length", b"9")], end_stream=True)
        client.flush()
        answer = client.answer(number)
    assert answer.body == b"ok"
    assert answer.trailers == {b"grpc-status": b"0"}
    assert seen[0].endswith(b"0\r\nx-sum: 1\r\n\r\n")


def test_trailers_may_follow_an_answer_without_a_body() -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGrpc-Status: 5\r\n\r\n"
    with serving(answers(data)) as proxy, Http2Client(proxy) as client:
        answer = client.ask(get())
    assert (answer.body, answer.trailers) == (b"", {b"grpc-status": b"5"})


def test_the_access_log_names_the_version(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(echo, access_log=str(log)) as proxy, Http2Client(proxy) as client:
        client.ask(get(b"/x"))
        ask(proxy)
    assert '"GET /x HTTP/2.0" 200' in log.read_text()
    assert '"GET / HTTP/1.1" 200' in log.read_text()


def test_connect_to_anywhere_is_refused() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        fields = [(b":method", b"CONNECT"), (b":authority", b"a:443")]
        assert client.ask(fields).status == 501


# -- what breaks the rules -------------------------------------------------------------------------


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_reset_and_others_go_on(what: str) -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        number = client.request(MALFORMED[what])
        assert client.answer(number).reset == ErrorCodes.PROTOCOL_ERROR
        assert client.ask(get()).status == 200
        assert proxy.scripted[0].connections == 1  # type: ignore[attr-defined]


def test_trailers_that_do_not_end_the_request_reset_it_and_others_go_on() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"hello", end=False)
        client.raw(
            headers_frames(number, client.http.encoder.encode([(b"x", b"y")]), end_stream=False)[
                0
            ].serialize()
        )
        assert client.answer(number).reset == ErrorCodes.PROTOCOL_ERROR
        assert client.ask(get()).status == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (get(b"/", *((b"x%d" % i, b"y") for i in range(101))), 431),
        (get(b"/", (b"x", b"y" * 40_000)), 431),
        (get(b"/", (b"expect", b"a-miracle")), 417),
        ([*get()[:2], (b":authority", b"me@a"), (b":path", b"/")], 400),
        (get(b"/", (b"content-length", b"1001"), method=b"POST"), 413),
    ],
)
def test_what_http_1_refuses_is_refused_with_the_same_status(fields: Fields, status: int) -> None:
    with serving(echo, limits=Limits(body=1000)) as proxy, Http2Client(proxy) as client:
        number = client.request(fields, end=status != 413)
        assert client.answer(number).status == status
        assert client.ask(get()).status == 200


def test_a_body_that_is_too_long_is_refused() -> None:
    with serving(echo, limits=Limits(body=1000)) as proxy, Http2Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"x" * 1001, end=False)
        answer = client.answer(number)
        assert answer.status == 413
        assert client.ask(get()).status == 200


def test_a_body_that_is_too_long_is_refused_once_and_reaches_no_backend() -> None:
    """The answer waits, as the client has no window for it, while the body goes on."""
    with serving(echo, limits=Limits(body=1000)) as proxy, Http2Client(proxy) as client:
        client.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.until(lambda: client.settings)
        client.flush()
        number, client.next = client.next, client.next + 2
        client.http.send_headers(number, get(method=b"POST"))
        client.http.send_data(number, b"x" * 1001)
        client.flush()
        client.until(lambda: client.got.get(number) and client.got[number].status)
        client.send(number, b"x" * 10)
        client.http.ping(b"12345678")
        client.flush()
        client.until(lambda: client.pings)
        assert client.got[number].reset is None
        client.http.increment_flow_control_window(1000, number)
        client.flush()
        assert client.answer(number).status == 413
        assert b"longer than 1000 bytes" in client.got[number].body
        assert proxy.scripted[0].connections == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["trailers", "reset"])
def test_a_body_shorter_than_its_length_never_looks_complete(how: str) -> None:
    seen: list[bytes] = []

    def script(connection: Connection) -> None:
        seen.append(connection.head())
        seen.append(connection.exactly(5))
        seen.append(connection.sock.recv(100))

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = client.request(get(b"/", (b"content-length", b"10"), method=b"POST"), b"hello", end=False)
        until(lambda: len(seen) == 2)
        if how == "trailers":
            client.http.send_headers(number, [(b"x", b"y")], end_stream=True)
            client.flush()
            assert client.answer(number).reset == ErrorCodes.PROTOCOL_ERROR
        else:
            client.reset(number)
        until(lambda: len(seen) == 3)
    assert seen[1:] == [b"hello", b""]


def test_a_body_longer_than_its_length_does_not_reach_the_backend() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        fields = get(b"/", (b"content-length", b"2"), method=b"POST")
        assert client.ask(fields, b"okGET / HTTP/1.1\r\n\r\n").reset == ErrorCodes.PROTOCOL_ERROR
        assert client.ask(get()).status == 200


# -- endings -----------------------------------------------------------------------------------------


def test_a_reset_cancels_the_request_at_the_backend() -> None:
    arrived, gone = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        if b"/slow" not in connection.head():
            connection.send(OK)
            return
        arrived.set()
        if not connection.sock.recv(1):
            gone.set()

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = client.request(get(b"/slow"))
        assert arrived.wait(TIMEOUT)
        client.reset(number)
        assert gone.wait(TIMEOUT)
        assert client.ask(get()).body == b"ok"


def test_a_request_that_is_reset_at_once_never_reaches_a_backend() -> None:
    with serving(answers(OK)) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        for number in range(1, 100, 2):
            client.http.send_headers(number, get(), end_stream=True)
            client.http.reset_stream(number)
        client.next = 101
        client.flush()
        assert client.ask(get()).body == b"ok"
        assert proxy.scripted[0].connections < 10  # type: ignore[attr-defined] # all but those that were split


def test_an_answer_that_is_cut_off_does_not_look_complete() -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    with serving(script) as proxy, Http2Client(proxy) as client:
        answer = client.ask(get())
        assert (answer.status, answer.body, answer.ended) == (200, b"half", False)
        assert answer.reset == ErrorCodes.INTERNAL_ERROR


def test_an_answer_before_the_end_of_the_body_is_whole_and_stops_it() -> None:
    def script(connection: Connection) -> None:
        connection.head()
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        connection.sock.recv(1)

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = client.request(get(method=b"POST"), b"x", end=False)
        answer = client.answer(number)
        assert (answer.status, answer.body, answer.ended) == (403, b"no", True)
        client.until(lambda: answer.reset is not None)
        assert answer.reset == ErrorCodes.NO_ERROR


def test_a_client_that_leaves_cancels_all_its_requests() -> None:
    arrived = threading.Semaphore(0)

    def script(connection: Connection) -> None:
        connection.head()
        arrived.release()
        connection.sock.recv(1)

    with serving(script) as proxy:
        with Http2Client(proxy) as client:
            for _ in range(5):
                client.request(get())
            for _ in range(5):
                assert arrived.acquire(timeout=TIMEOUT)
        backend = proxy.pool.pools[0].backends[0]
        until(lambda: backend.in_flight == 0)


def test_a_shutdown_lets_requests_end_and_says_so_twice() -> None:
    arrived, release = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        while connection.head():
            arrived.set()
            assert release.wait(TIMEOUT)
            connection.send(OK)

    with serving(script) as proxy, Http2Client(proxy) as client:
        first = client.request(get())
        assert arrived.wait(TIMEOUT)
        stopping = threading.Thread(target=proxy.stop)
        stopping.start()
        until(lambda: any(getattr(one, "_final_at", None) for one in list(proxy.listener.open)))
        second = client.request(get())  # the client has not read yet that it is to make no more
        client.until(lambda: len(client.goaways) == 2)
        late = client.request(get())
        assert client.answer(late).reset == ErrorCodes.REFUSED_STREAM
        release.set()
        assert client.answer(first).body == client.answer(second).body == b"ok"
        assert client.ended() == ErrorCodes.NO_ERROR
        stopping.join()
    assert client.goaways[0][0] == 2**31 - 1
    assert client.goaways[1][0] in (first, second)


def test_a_client_that_says_goodbye_gets_its_answers_first() -> None:
    arrived, release = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        connection.head()
        arrived.set()
        assert release.wait(TIMEOUT)
        connection.send(OK)

    with serving(script) as proxy, Http2Client(proxy) as client:
        number = client.request(get())
        assert arrived.wait(TIMEOUT)
        client.raw(bytes.fromhex("000008 07 00 00000000 00000000 00000000".replace(" ", "")))
        release.set()
        assert client.answer(number).body == b"ok"
        client.ended()


def test_an_idle_connection_is_closed_and_pings_do_not_keep_it() -> None:
    with serving(answers(OK), timeouts=Timeouts(idle=1.0)) as proxy, Http2Client(proxy) as client:
        assert client.ask(get()).body == b"ok"
        client.http.ping(b"12345678")
        client.flush()
        assert client.ended() == ErrorCodes.NO_ERROR
        assert client.pings == 1


def test_frames_in_the_wrong_place_end_the_connection() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        client.raw(data_frame(1, b"x"))
        assert client.ended() == ErrorCodes.PROTOCOL_ERROR


def test_a_stream_number_is_not_used_twice() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        assert client.ask(get()).status == 200
        client.raw(headers_frames(1, client.encoder.encode(get())))
        assert client.ended() in (ErrorCodes.PROTOCOL_ERROR, ErrorCodes.STREAM_CLOSED)


def test_a_block_that_cannot_be_decompressed_ends_the_connection() -> None:
    with serving(echo) as proxy, Http2Client(proxy) as client:
        frame = HeadersFrame(1, b"\xff\xff\xff\xff\xff", flags=["END_HEADERS", "END_STREAM"])
        client.raw(frame)
        assert client.ended() in (ErrorCodes.PROTOCOL_ERROR, ErrorCodes.COMPRESSION_ERROR)


def test_the_settings_say_what_the_rules_are() -> None:
    rules = Http2(streams=7, window=50_000)
    with serving(echo, rules=rules) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
    assert client.settings[SettingCodes.MAX_CONCURRENT_STREAMS] == 7
    assert client.settings[SettingCodes.INITIAL_WINDOW_SIZE] == 50_000
    assert client.settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
