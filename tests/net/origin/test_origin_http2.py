"""HTTP/2 to backends, on real sockets: the client speaks HTTP/1.1 where nothing else is needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from needs import need_feature
from scripted import TIMEOUT, Client, Script, Scripted, answers, ask, field, unchunked

need_feature("http2")

from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2_backend import Request, Session, h2_answers, h2_script

from lbkit.core import Backend
from lbkit.core.health import Probe
from lbkit.experiment import Policy
from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.http2.client import SharedConnection
from lbkit.net.http2.client_stream import STREAM_WINDOW
from lbkit.net.origin.check import send_probe
from lbkit.net.origin.reach import Reach
from lbkit.net.settings import Timeouts

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


@contextmanager
def to(*scripts: Script, protocol: str = "h2", **options: Any) -> Iterator[Proxy]:
    """A proxy before scripted backends that speak HTTP/2 without TLS."""
    with ExitStack() as stack:
        backends = [stack.enter_context(Scripted(script)) for script in scripts]
        configs = [
            BackendConfig(f"127.0.0.1:{backend.port}", f"b{i}", protocol=protocol)
            for i, backend in enumerate(backends, 1)
        ]
        with Proxy(config=ProxyConfig(backends=configs, listen="127.0.0.1:0", **options)) as proxy:
            proxy.scripted = backends  # type: ignore[attr-defined]
            yield proxy
            until(lambda: not any(b.in_flight for b in proxy.pool.backends))


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens in another thread."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def connections(proxy: Proxy) -> list[SharedConnection]:
    sessions = proxy.connections.sessions
    return [connection for some in sessions.open.values() for connection in some] if sessions else []


def post(body: bytes, path: bytes = b"/") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def test_a_request_and_its_answer_are_translated() -> None:
    seen: list[Request] = []

    def answer(session: Session, request: Request) -> None:
        seen.append(request)
        session.answer(request.stream, b"hello", 201, [(b"x-made", b"yes"), (b"content-length", b"5")])

    with to(h2_script(answer)) as proxy:
        status, head, body = ask(proxy, post(b"in", b"/a?b=1"))
    assert (status, body) == (201, b"hello")
    assert field(head, "x-made") == ["yes"]
    assert field(head, "content-length") == ["5"]
    request = seen[0]
    assert request.fields[:4] == [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/a?b=1"),
        (b":authority", b"a.test"),
    ]
    names = [name for name, _ in request.fields]
    assert b"host" not in names
    assert b"connection" not in names
    assert request[b"content-length"] == b"2"
    assert request[b"x-forwarded-for"] == b"127.0.0.1"
    assert request[b"te"] == b"trailers"
    assert request.body == b"in"


def test_one_connection_serves_many_requests_at_once() -> None:
    waiting: list[int] = []

    def answer(session: Session, request: Request) -> None:
        waiting.append(request.stream)
        if len(waiting) == 20:
            for stream in waiting:
                session.answer(stream)

    with to(h2_script(answer)) as proxy, ThreadPoolExecutor(20) as threads:
        assert [status for status, _, _ in threads.map(lambda _: ask(proxy), range(20))] == [200] * 20
        assert proxy.scripted[0].connections == 1  # type: ignore[attr-defined]


def test_no_more_streams_are_opened_than_the_backend_allows() -> None:
    barrier = threading.Barrier(4, timeout=20)
    most: list[int] = []

    def script(connection: Any) -> None:
        session = Session(connection, max_concurrent_streams=2)
        under_way: list[int] = []
        for event in session.events():
            if isinstance(event, StreamEnded):
                under_way.append(event.stream_id)
                most.append(len(under_way))
                if len(under_way) == 2:
                    barrier.wait()
                    for stream in under_way:
                        session.answer(stream)
                    under_way.clear()

    with to(script) as proxy, ThreadPoolExecutor(8) as threads:
        assert [status for status, _, _ in threads.map(lambda _: ask(proxy), range(8))] == [200] * 8
        assert proxy.scripted[0].connections == 4  # type: ignore[attr-defined]
    assert max(most) == 2


def test_an_answer_without_a_length_ends_where_it_ends() -> None:
    with to(h2_answers(b"hello")) as proxy:
        _, head, body = ask(proxy)
        assert field(head, "transfer-encoding") == ["chunked"]
        assert unchunked(body) == b"hello"


def test_head_and_bodiless_answers_have_no_body() -> None:
    def answer(session: Session, request: Request) -> None:
        head = request[b":method"] == b"HEAD"
        fields = [(b":status", b"200" if head else b"204")] + [(b"content-length", b"9")] * head
        session.h2.send_headers(request.stream, fields, end_stream=True)

    with to(h2_script(answer)) as proxy, Client(proxy) as client:
        client.send(GET.replace(b"GET", b"HEAD"))
        status, head, _ = client.answer(head_only=True)
        assert (status, field(head, "content-length")) == (200, ["9"])
        client.send(GET)
        assert client.answer()[0] == 204


def test_interim_answers_are_passed_on() -> None:
    def answer(session: Session, request: Request) -> None:
        session.h2.send_headers(request.stream, [(b":status", b"103"), (b"link", b"</a.css>")])
        session.answer(request.stream)

    with to(h2_script(answer)) as proxy, Client(proxy) as client:
        client.send(GET)
        status, head, _ = client.answer()
        assert (status, field(head, "link")) == (103, ["</a.css>"])
        assert client.answer()[0] == 200


# -- trailers ------------------------------------------------------------------------------------


def test_trailers_reach_the_head_before_the_end_is_announced() -> None:
    """What writes the answer to the client looks there; a filter sees that they are there in time."""
    heads: list[Any] = []
    trailers = [(b"grpc-status", b"0"), (b"content-length", b"7"), (b"x-forwarded-for", b"1.2.3.4")]
    with to(h2_answers(trailers=trailers)) as proxy:
        proxy.service.on_response = (lambda exchange, head: heads.append(head),)
        assert unchunked(ask(proxy)[2].replace(b"\r\n0\r\ngrpc-status: 0\r\n", b"\r\n0\r\n")) == b"ok"
    assert heads[0].trailers == b"grpc-status: 0\r\n"


def test_trailers_of_a_request_reach_the_backend() -> None:
    seen: list[Request] = []

    def answer(session: Session, request: Request) -> None:
        seen.append(request)
        session.answer(request.stream)

    with to(h2_script(answer)) as proxy:

        def ends(exchange: Any, now: float) -> None:
            exchange.request.trailers = b"x-sum: 1\r\n"

        proxy.service.on_request = (ends,)
        assert ask(proxy, post(b"in"))[0] == 200
    assert (seen[0].body, seen[0].trailers) == (b"in", [(b"x-sum", b"1")])


# -- endings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_what_goaway_leaves_out_is_sent_again_and_what_it_does_not_goes_on(method: bytes) -> None:
    sessions: list[Session] = []
    answered = threading.Event()

    def script(connection: Any) -> None:
        session = Session(connection)
        sessions.append(session)
        first = len(sessions) == 1
        for event in session.events():
            if isinstance(event, StreamEnded):
                if not first:
                    session.answer(event.stream_id, b"second")
                    answered.set()
                elif event.stream_id == 3:
                    session.goaway(1)
                    assert answered.wait(20)
                    session.answer(1, b"first")

    request = GET if method == b"GET" else post(b"in")
    with to(script) as proxy, Client(proxy) as one, Client(proxy) as two:
        one.send(request)
        until(lambda: sessions and sessions[0].requests)
        two.send(request)
        assert unchunked(two.answer()[2]) == b"second"
        assert unchunked(one.answer()[2]) == b"first"
        assert proxy.service.attempts.counts["retries"] == 0  # it says nothing about the backend


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_refused_stream_goes_to_another_backend(method: bytes) -> None:
    def refuse(session: Session, request: Request) -> None:
        session.h2.reset_stream(request.stream, 7)

    bodies: list[bytes] = []

    def answer(session: Session, request: Request) -> None:
        bodies.append(request.body)
        session.answer(request.stream)

    with to(h2_script(refuse), h2_script(answer)) as proxy:
        for _ in range(4):
            assert ask(proxy, GET if method == b"GET" else post(b"in"))[0] == 200
        assert proxy.service.attempts.counts["retries"] >= 2
    assert bodies == [b"" if method == b"GET" else b"in"] * 4


@pytest.mark.parametrize(("method", "statuses"), [(b"GET", {200}), (b"POST", {200, 502})])
def test_another_reset_is_repeated_only_if_that_is_safe(method: bytes, statuses: set[int]) -> None:
    def cancel(session: Session, request: Request) -> None:
        session.h2.reset_stream(request.stream, 2)

    with to(h2_script(cancel), h2_answers()) as proxy:
        assert {ask(proxy, GET if method == b"GET" else post(b"in"))[0] for _ in range(4)} == statuses


def test_a_reset_in_the_middle_cuts_one_answer_off_and_the_connection_goes_on() -> None:
    def answer(session: Session, request: Request) -> None:
        if request[b":path"] == b"/cut":
            session.h2.send_headers(request.stream, [(b":status", b"200"), (b"content-length", b"9")])
            session.h2.send_data(request.stream, b"half")
            session.h2.reset_stream(request.stream, 2)
        else:
            session.answer(request.stream)

    with to(h2_script(answer)) as proxy:
        assert ask(proxy)[0] == 200
        with Client(proxy) as client:
            client.send(GET.replace(b"/ ", b"/cut "))
            with pytest.raises(ConnectionError):
                client.answer()
        assert ask(proxy)[0] == 200
        assert proxy.scripted[0].connections == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "fields",
    [
        [(b":status", b"200"), (b"content-length", b"5")],
        [(b":status", b"200"), (b"connection", b"close")],
        [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
        [(b":status", b"200"), (b"X-Upper", b"1")],
        [(b":status", b"200"), (b"x-a", b"1\r\nx-b: 2")],
        [(b":status", b"200"), (b":status", b"200")],
        [(b":status", b"abc")],
        [(b":status", b"101")],
        [(b"x-a", b"1")],
        [(b":status", b"200"), (b"content-length", b"+2")],
        [(b":status", b"200"), (b"content-length", b"2"), (b"content-length", b"3")],
    ],
    ids=[
        "length",
        "connection",
        "coding",
        "upper",
        "line end",
        "twice",
        "status",
        "101",
        "none",
        "sign",
        "lengths",
    ],
)
def test_a_malformed_answer_ends_its_request_only(fields: list[tuple[bytes, bytes]]) -> None:
    def answer(session: Session, request: Request) -> None:
        if request[b":path"] == b"/bad":
            session.h2.config.normalize_outbound_headers = False
            session.h2.send_headers(request.stream, fields)
            session.h2.send_data(request.stream, b"ok", end_stream=True)
        else:
            session.answer(request.stream)

    with to(h2_script(answer), policy=Policy(retries=0)) as proxy:
        assert ask(proxy)[0] == 200
        try:
            assert ask(proxy, GET.replace(b"/ ", b"/bad "))[0] == 502
        except ConnectionError:  # the head was right, only the length was not
            assert fields[-1][0] == b"content-length"
        assert ask(proxy)[0] == 200
        if fields[0][1] != b"101":  # the body would come before the head: for the library, no HTTP/2 at all
            assert proxy.scripted[0].connections == 1  # type: ignore[attr-defined]


def test_frames_that_break_the_rules_end_the_connection() -> None:
    def garbage(session: Session, request: Request) -> None:
        session.connection.send(b"\xff" * 64)

    with to(h2_script(garbage), policy=Policy(retries=0)) as proxy:
        assert ask(proxy)[0] == 502
        assert ask(proxy)[0] == 502
        assert proxy.scripted[0].connections >= 2  # type: ignore[attr-defined]


def test_a_client_that_leaves_resets_its_stream_only() -> None:
    there = threading.Event()
    resets: list[Any] = []

    def script(connection: Any) -> None:
        session = Session(connection)
        for event in session.events():
            if isinstance(event, StreamReset):
                resets.append(event.error_code)
            elif isinstance(event, StreamEnded):
                if session.requests[event.stream_id][b":path"] == b"/":
                    session.answer(event.stream_id)
                else:
                    there.set()

    with to(script) as proxy:
        with Client(proxy) as client:
            client.send(GET.replace(b"/ ", b"/slow "))
            assert there.wait(TIMEOUT)
        assert ask(proxy)[0] == 200
        until(lambda: resets)
        assert proxy.scripted[0].connections == 1  # type: ignore[attr-defined]
    assert resets == [8]


def test_a_connection_that_is_lost_is_renewed() -> None:
    def once(session: Session, request: Request) -> None:
        session.answer(request.stream)
        session.connection.sock.close()

    with to(h2_script(once)) as proxy:
        assert [ask(proxy)[0] for _ in range(3)] == [200] * 3


def test_a_backend_that_is_silent_is_asked_for_a_sign_of_life_and_left(monkeypatch: Any) -> None:
    monkeypatch.setattr("lbkit.net.http2.client.SILENCE", 0.0)
    monkeypatch.setattr("lbkit.net.http2.client.PING_TIMEOUT", 0.2)
    stop = threading.Event()

    def silent(connection: Any) -> None:
        Session(connection)
        stop.wait(20)

    with to(silent, policy=Policy(retries=0), timeouts=Timeouts(read=0.3)) as proxy:
        assert ask(proxy)[0] == 504
        until(lambda: not connections(proxy))
        stop.set()


def test_idle_connections_are_closed() -> None:
    closed = threading.Event()

    def script(connection: Any) -> None:
        h2_answers()(connection)
        closed.set()

    with to(script, timeouts=Timeouts(idle=0.2)) as proxy:
        assert ask(proxy)[0] == 200
        assert closed.wait(20)
        assert not connections(proxy)


# -- what does not speak HTTP/2 --------------------------------------------------------------------


def test_a_backend_that_speaks_http1_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    def old(connection: Any) -> None:
        connection.sock.recv(1000)
        connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with to(old, h2_answers()) as proxy:
        assert [ask(proxy)[0] for _ in range(4)] == [200] * 4
    assert capfd.readouterr().err == ("lbkit proxy: backend b1: it answers with HTTP/1.1: correct protocol\n")


def test_a_backend_without_settings_is_a_connect_timeout() -> None:
    silent = lambda connection: connection.until(b"never")  # noqa: E731
    with to(silent, policy=Policy(retries=0), timeouts=Timeouts(connect=0.2)) as proxy:
        assert ask(proxy)[0] == 504


def test_a_backend_that_allows_no_streams_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    def script(connection: Any) -> None:
        for _ in Session(connection, max_concurrent_streams=0).events():
            pass

    with to(script, policy=Policy(retries=0)) as proxy:
        assert ask(proxy)[0] == 502
    assert "backend b1: it allows no requests at all" in capfd.readouterr().err


def test_http1_to_backends_is_as_before() -> None:
    with to(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), protocol="http/1.1") as proxy:
        assert ask(proxy)[0] == 200
        assert proxy.connections.sessions is None


# -- bodies ----------------------------------------------------------------------------------------


def test_a_large_body_passes_both_ways() -> None:
    body = bytes(range(256)) * 12_000  # 3 MB

    def script(connection: Any) -> None:
        session = Session(connection)
        rest: dict[int, bytes] = {}

        def send() -> None:
            for stream in list(rest):
                while room := min(
                    len(rest[stream]),
                    session.h2.local_flow_control_window(stream),
                    session.h2.max_outbound_frame_size,
                ):
                    session.h2.send_data(stream, rest[stream][:room])
                    rest[stream] = rest[stream][room:]
                if not rest[stream]:
                    session.h2.end_stream(stream)
                    del rest[stream]

        for event in session.events():
            if isinstance(event, StreamEnded):
                session.h2.send_headers(event.stream_id, [(b":status", b"200")])
                rest[event.stream_id] = session.requests[event.stream_id].body
            send()

    with to(script) as proxy:
        status, _, answer = ask(proxy, post(body))
        assert status == 200
        assert unchunked(answer) == body


def test_a_backend_that_takes_no_body_stops_the_client() -> None:
    """What waits in the proxy is bounded, and the request goes on when the windows open."""
    go = threading.Event()
    arrived: list[int] = []

    def script(connection: Any) -> None:
        session = Session(connection)
        session.take = False
        for event in session.events():
            if isinstance(event, DataReceived):
                arrived.append(len(event.data))
            if sum(arrived) == 65_535 and not session.take:
                assert go.wait(20)
                session.take = True
                session.h2.increment_flow_control_window(2**24)
                session.h2.increment_flow_control_window(2**24, 1)
                session.flush()
            if isinstance(event, StreamEnded):
                session.answer(1, b"%d" % sum(arrived))

    size = 8_000_000
    with to(script) as proxy, Client(proxy) as client, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(client.send, post(b"x" * size))
        until(lambda: sum(arrived) >= 65_535)
        (stream,) = connections(proxy)[0].streams.values()
        time.sleep(0.2)  # all that would come has come
        assert stream._waiting.size < 1_000_000
        assert not sending.done()
        go.set()
        assert unchunked(client.answer()[2]) == b"%d" % size


def test_a_client_that_reads_nothing_stops_its_own_answer_only() -> None:
    sent: dict[int, int] = {}

    def script(connection: Any) -> None:
        session = Session(connection)
        for event in session.events():
            if isinstance(event, StreamEnded):
                if session.requests[event.stream_id][b":path"] == b"/":
                    session.answer(event.stream_id)
                else:
                    session.h2.send_headers(event.stream_id, [(b":status", b"200")])
                    sent[event.stream_id] = 0
            for stream in sent:
                while room := min(session.h2.local_flow_control_window(stream), 16384):
                    session.h2.send_data(stream, b"x" * room)
                    sent[stream] += room

    with to(script) as proxy, Client(proxy) as slow:
        slow.send(GET.replace(b"/ ", b"/endless "))
        before = -1
        while not sent or sum(sent.values()) != before:  # until it stands still
            before = sum(sent.values())
            time.sleep(0.2)
        # The kernel's buffers take some megabytes; of what the proxy holds, a window is the most.
        assert before < 30_000_000
        assert [ask(proxy)[0] for _ in range(20)] == [200] * 20
        assert proxy.scripted[0].connections == 1  # type: ignore[attr-defined]
        slow.sock.recv(1000)
    assert STREAM_WINDOW < 1_000_000


def test_an_answer_comes_before_the_request_has_ended() -> None:
    """Both directions stream at once, as gRPC's do."""

    def script(connection: Any) -> None:
        session = Session(connection)
        for event in session.events():
            if isinstance(event, RequestReceived):
                session.h2.send_headers(event.stream_id, [(b":status", b"200")])
            elif isinstance(event, DataReceived):
                session.h2.send_data(event.stream_id, event.data.upper())
            elif isinstance(event, StreamEnded):
                session.h2.end_stream(event.stream_id)

    with to(script) as proxy, Client(proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1\r\na\r\n")
        while b"\r\nA\r\n" not in client.buffer:
            client.buffer += client.sock.recv(1000)
        client.send(b"1\r\nb\r\n0\r\n\r\n")
        assert unchunked(client.answer()[2]) == b"AB"


def test_an_answer_that_ends_first_resets_the_rest_of_the_request() -> None:
    codes: list[int] = []

    def script(connection: Any) -> None:
        session = Session(connection)
        for event in session.events():
            if isinstance(event, RequestReceived):
                session.answer(event.stream_id, b"enough", 413)
            elif isinstance(event, StreamReset):
                codes.append(int(event.error_code))

    with to(script) as proxy, Client(proxy) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        assert client.answer()[0] == 413
        until(lambda: codes)
        assert codes == [0]


# -- health checks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, ""),
        ({"expect": "404"}, "status 200"),
        ({"body": "ok"}, ""),
        ({"body": "well"}, "'well' is not in the answer"),
        ({"path": "/none"}, "status 404"),
    ],
)
def test_a_check_of_http_is_sent_over_http2(fields: dict[str, Any], fault: str) -> None:
    asked: list[Request] = []

    def answer(session: Session, request: Request) -> None:
        asked.append(request)
        session.answer(request.stream, b"ok", 404 if request[b":path"] == b"/none" else 200)

    probe = Probe(headers={"X-Check": "1"}, **fields)
    with Scripted(h2_script(answer)) as backend:
        target = Backend("b", host="127.0.0.1", port=backend.port)
        assert asyncio.run(send_probe(probe, target, Reach("h2"))) == fault
    assert asked[0][b":authority"] == b"127.0.0.1:%d" % backend.port
    assert asked[0][b"x-check"] == b"1"


def test_a_check_of_what_does_not_speak_http2_fails() -> None:
    def old(connection: Any) -> None:
        connection.sock.recv(1000)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with Scripted(old) as backend:
        target = Backend("b", host="127.0.0.1", port=backend.port)
        assert asyncio.run(send_probe(Probe(), target, Reach("h2"))) == "answer is not HTTP/2"
